#include "study/text.h"

#include "base/file.h"

namespace apreqel {
namespace {

/// Enough for a standard error of about 1 % of perplexity, and quick to write for a model of any size.
constexpr std::size_t kTextSequences = 16;
constexpr std::size_t kTextTokens = 512;

/// As many prompts as the paper scores on.
constexpr std::size_t kPrompts = 70;
constexpr std::size_t kPromptTokens = 64;

/// On the demo model four times as much makes the KL divergence of q3_K half a percent smaller.
constexpr std::size_t kCalibrationSequences = 32;
constexpr std::size_t kCalibrationTokens = 512;

/// The artifact `name`, written by the model itself if it is not there yet. `join` makes one file of the texts.
template <typename Join>
Result<std::filesystem::path> sampled(const Study& study, std::string_view name, const SampleSettings& settings, Join join)
{
    const std::string key = std::format("model {} {} × {} tokens, seed {}, {}", study.inventory.fingerprint, settings.sequences,
                                        settings.tokens, settings.seed, backend_version());
    auto path = study.workspace.keyed(name, key);
    if (std::filesystem::exists(path)) return path;
    const auto model = LoadedModel::load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    const auto texts = sample_texts(*model, settings, study.monitor);
    if (!texts) return std::unexpected(texts.error());
    if (auto written = write_text(path, join(*texts)); !written) return std::unexpected(written.error());
    return path;
}

/// The text in `named`, or else in the artifact `name`, without its last newline, as llama-perplexity reads it.
Result<std::string> text_of(const Study& study, std::filesystem::path named, std::string_view name,
                            const SampleSettings& settings)
{
    if (named.empty()) {
        const auto join = [](const std::vector<std::string>& texts) {
            std::string all;
            for (const std::string& text : texts) all += text + "\n";
            return all;
        };
        auto file = sampled(study, name, settings, join);
        if (!file) return std::unexpected(file.error());
        named = std::move(*file);
    }
    auto text = read_text(named);
    if (text && text->ends_with('\n')) text->pop_back();
    return text;
}

std::string sampled_source(std::size_t sequences, std::size_t tokens, std::uint64_t seed)
{
    return std::format("sampled from the model: {} × {} tokens, seed {}", sequences, tokens, seed);
}

/// Nothing is measured on what it was made with: texts, prompts and calibration text come from seeds of their own.
std::uint64_t prompts_seed(const Study& study) { return study.settings.seed + 1; }
std::uint64_t calibration_seed(const Study& study) { return study.settings.seed + 2; }

}  // namespace

Result<std::string> evaluation_text(const Study& study)
{
    return text_of(study, study.settings.text, "sampled-text.txt",
                   {.sequences = kTextSequences, .tokens = kTextTokens, .seed = study.settings.seed});
}

Result<std::string> calibration_text(const Study& study)
{
    return text_of(study, study.settings.calibration, "sampled-calibration.txt",
                   {.sequences = kCalibrationSequences, .tokens = kCalibrationTokens, .seed = calibration_seed(study)});
}

Result<std::vector<std::string>> scoring_prompts(const Study& study)
{
    if (!study.settings.prompts.empty()) return read_prompts(study.settings.prompts);
    const SampleSettings settings{.sequences = kPrompts, .tokens = kPromptTokens, .seed = prompts_seed(study)};
    const auto file = sampled(study, "sampled-prompts.jsonl", settings, prompts_jsonl);
    if (!file) return std::unexpected(file.error());
    return read_prompts(*file);
}

std::string text_source(const Study& study)
{
    if (!study.settings.text.empty()) return study.settings.text.filename().string();
    return sampled_source(kTextSequences, kTextTokens, study.settings.seed);
}

std::string prompts_source(const Study& study)
{
    if (!study.settings.prompts.empty()) return study.settings.prompts.filename().string();
    return sampled_source(kPrompts, kPromptTokens, prompts_seed(study));
}

std::string calibration_source(const Study& study)
{
    if (!study.settings.calibration.empty()) return study.settings.calibration.filename().string();
    return sampled_source(kCalibrationSequences, kCalibrationTokens, calibration_seed(study));
}

}  // namespace apreqel
