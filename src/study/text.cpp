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

std::string sampled_source(std::size_t sequences, std::size_t tokens, std::uint64_t seed)
{
    return std::format("sampled from the model: {} × {} tokens, seed {}", sequences, tokens, seed);
}

}  // namespace

Result<std::string> evaluation_text(const Study& study)
{
    std::filesystem::path path = study.settings.text;
    if (path.empty()) {
        const SampleSettings settings{.sequences = kTextSequences, .tokens = kTextTokens, .seed = study.settings.seed};
        const auto join = [](const std::vector<std::string>& texts) {
            std::string all;
            for (const std::string& text : texts) all += text + "\n";
            return all;
        };
        auto file = sampled(study, "sampled-text.txt", settings, join);
        if (!file) return std::unexpected(file.error());
        path = *file;
    }
    auto text = read_text(path);
    if (text && text->ends_with('\n')) text->pop_back();
    return text;
}

Result<std::vector<std::string>> scoring_prompts(const Study& study)
{
    if (!study.settings.prompts.empty()) return read_prompts(study.settings.prompts);
    // Another seed than the text's: layers are not scored on what they are measured on.
    const SampleSettings settings{.sequences = kPrompts, .tokens = kPromptTokens, .seed = study.settings.seed + 1};
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
    return sampled_source(kPrompts, kPromptTokens, study.settings.seed + 1);
}

}  // namespace apreqel
