#include "study/text.h"

#include "base/file.h"
#include "quantize/check_weights.h"
#include "study/form.h"
#include "study/keys.h"

#include <algorithm>
#include <functional>
#include <memory>

namespace apreqel {
namespace {

/// Enough for a standard error of about 1 % of perplexity, and quick to write for a model of any size.
constexpr SampleSettings kText{.sequences = 16, .tokens = 512, .writing = Writing::prompted};

/// As many prompts as the paper scores on, sampled from nothing: layers are scored on words, not on questions and answers.
constexpr SampleSettings kPrompts{.sequences = 70, .tokens = 64, .writing = Writing::freely};

/// Half of it gives nearly the same plans.
constexpr SampleSettings kCalibration{.sequences = 16, .tokens = 512, .writing = Writing::prompted};

/// Nothing is measured on what it was made with: texts, prompts and calibration text come from seeds of their own.
SampleSettings seeded(SampleSettings settings, std::uint64_t seed)
{
    settings.seed = seed;
    return settings;
}
/// No more of it than is measured on.
SampleSettings text_settings(const Study& study)
{
    SampleSettings settings = seeded(kText, study.settings.seed);
    const QualitySettings& quality = study.settings.quality;
    if (quality.chunks > 0)
        settings.sequences = std::clamp<std::size_t>(quality.chunks * quality.context / kText.tokens, 2, kText.sequences);
    return settings;
}
SampleSettings prompts_settings(const Study& study) { return seeded(kPrompts, study.settings.seed + 1); }
SampleSettings calibration_settings(const Study& study) { return seeded(kCalibration, study.settings.seed + 2); }

/// How much of what is sampled: "16 × 512 tokens", "8192 tokens, prompted".
std::string amount(const SampleSettings& settings)
{
    if (settings.writing == Writing::prompted) return std::format("{} tokens, prompted", settings.sequences * settings.tokens);
    return std::format("{} × {} tokens", settings.sequences, settings.tokens);
}

/// The artifact of that kind, written by the model itself if it is not there yet. `join` makes one file of the texts.
template <typename Join>
Result<std::filesystem::path> sampled(const Study& study, const Artifact& kind, const SampleSettings& settings, Join join)
{
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const Facts facts = Facts::of(study)
                            .with(Input::seed, std::to_string(settings.seed))
                            .with(Input::samples, amount(settings))
                            .with(Input::form, type_name(*form));
    auto path = facts.path(study.workspace, kind);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) return path;
    if (auto finite = check_finite(study); !finite) return std::unexpected(finite.error());
    const auto model = load_in_form(study, *form);
    if (!model) return std::unexpected(model.error());
    const auto texts = (*model)->sample_texts(settings, study.monitor);
    if (!texts) return std::unexpected(texts.error());
    if (auto written = write_text(path, join(*texts)); !written) return std::unexpected(written.error());
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return std::unexpected(sealed.error());
    return path;
}

/// The text in `named`, or else in the artifact of that kind, without its last newline, as llama-perplexity reads it.
Result<std::string> text_of(const Study& study, std::filesystem::path named, const Artifact& kind,
                            const SampleSettings& settings)
{
    if (named.empty()) {
        const auto join = [](const std::vector<std::string>& texts) {
            std::string all;
            for (const std::string& text : texts) all += text + "\n";
            return all;
        };
        auto file = sampled(study, kind, settings, join);
        if (!file) return std::unexpected(file.error());
        named = std::move(*file);
    }
    auto text = read_text(named);
    if (text && text->ends_with('\n')) text->pop_back();
    return text;
}

std::string sampled_source(const SampleSettings& settings)
{
    return std::format("sampled from the model: {}, seed {}", amount(settings), settings.seed);
}

/// One of the texts: the user's file, if there is one, what it is called, and how it is had.
struct Named {
    std::filesystem::path file;
    std::string source;
    std::function<Result<std::vector<std::string>>(const Study&)> read;
};

Named named_text(const Study& study, Input text)
{
    const auto whole = [](Result<std::string> (*read)(const Study&)) {
        return
            [read](const Study& of) { return read(of).transform([](std::string all) { return std::vector{std::move(all)}; }); };
    };
    if (text == Input::prompts) return {study.settings.prompts, prompts_source(study), scoring_prompts};
    if (text == Input::text) return {study.settings.text, text_source(study), whole(evaluation_text)};
    return {study.settings.calibration, calibration_source(study), whole(calibration_text)};
}

}  // namespace

TextNeed measuring(const Study& study)
{
    const std::size_t context = study.settings.quality.context;
    return {Input::text, 2 * context, std::format("two contexts of {}", context)};
}

TextNeed probing(const Study& study)
{
    const std::size_t context = study.settings.quality.context;
    return {Input::calibration, 2 * context, std::format("two contexts of {}", context)};
}

TextNeed collecting(const ImportanceSettings& settings)
{
    return {Input::calibration, settings.context, std::format("one context of {}", settings.context)};
}

TextNeed scoring() { return {Input::prompts, 1, "to score layers on"}; }

Result<std::string> evaluation_text(const Study& study)
{
    return text_of(study, study.settings.text, kSampledText, text_settings(study));
}

Result<std::string> calibration_text(const Study& study)
{
    return text_of(study, study.settings.calibration, kSampledCalibration, calibration_settings(study));
}

Result<std::vector<std::string>> scoring_prompts(const Study& study)
{
    if (!study.settings.prompts.empty()) return read_prompts(study.settings.prompts);
    const auto file = sampled(study, kSampledPrompts, prompts_settings(study), prompts_jsonl);
    if (!file) return std::unexpected(file.error());
    return read_prompts(*file);
}

std::string text_source(const Study& study)
{
    if (!study.settings.text.empty()) return study.settings.text.filename().string();
    return sampled_source(text_settings(study));
}

std::string prompts_source(const Study& study)
{
    if (!study.settings.prompts.empty()) return study.settings.prompts.filename().string();
    return sampled_source(prompts_settings(study));
}

std::string calibration_source(const Study& study)
{
    if (!study.settings.calibration.empty()) return study.settings.calibration.filename().string();
    return sampled_source(calibration_settings(study));
}

Result<> check_finite(const Study& study)
{
    if (*study.finite) return {};
    auto checked = check_weights(study.inventory, study.platform().threads, study.monitor);
    if (checked) *study.finite = true;
    return checked;
}

Result<> check_texts(const Study& study, const std::vector<TextNeed>& needs)
{
    std::unique_ptr<RunnableModel> model;
    for (const bool given : {true, false}) {  // to sample takes long: first what can be refused at once
        if (!given)
            if (auto finite = check_finite(study); !finite) return finite;
        for (const TextNeed& need : needs) {
            const Named named = named_text(study, need.text);
            if (named.file.empty() == given) continue;
            const auto texts = named.read(study);
            if (!texts) return std::unexpected(texts.error());
            if (!model) {
                auto loaded = study.runtime->load(study.model(), study.settings.run, WeightAccess::none);
                if (!loaded) return std::unexpected(loaded.error());
                model = std::move(*loaded);
            }
            std::size_t tokens = 0;
            for (const std::string& text : *texts) {
                const auto tokenized = model->tokenize(text);
                if (!tokenized) return std::unexpected(tokenized.error());
                tokens += tokenized->size();
            }
            if (tokens >= need.tokens) continue;
            return std::unexpected(Error{ErrorCode::usage,
                                         std::format("text {}: the text has {} tokens, at least {} are needed ({})",
                                                     named.source, tokens, need.tokens, need.why),
                                         "give a longer text"});
        }
    }
    return {};
}

}  // namespace apreqel
