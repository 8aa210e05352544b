#include "model/importance.h"
#include "model/readiness.h"
#include "study/form.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"

namespace apreqel {
namespace {

/// Chunks that --imatrix auto reads: sensitivities need no more either. Of a mixture of experts each sees a part of them only.
constexpr std::size_t kOwnChunks = 8;
constexpr std::size_t kOwnChunksOfExperts = 32;

Result<ImportanceMatrix> collect_on(const Study& study, RunnableModel& model, const std::string& text,
                                    const ImportanceSettings& settings, const std::filesystem::path& output)
{
    const auto tokens = model.tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    auto matrix = model.collect_importance(study.inventory, *tokens, settings, study.monitor);
    if (!matrix) return matrix;
    matrix->text = calibration_source(study);
    if (auto written = write_importance(output, *matrix); !written) return std::unexpected(written.error());
    return matrix;
}

}  // namespace

Result<ImportanceMatrix> make_importance(const Study& study, const ImportanceSettings& settings,
                                         const std::filesystem::path& output)
{
    if (auto ready = check_ready(study.inventory, "imatrix", {Task::load, Task::text}); !ready)
        return std::unexpected(ready.error());
    if (auto enough = check_texts(study, {collecting(settings)}); !enough) return std::unexpected(enough.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto model = study.runtime->load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    return collect_on(study, **model, *text, settings, output);
}

Result<> use_own_importance(Study& study)
{
    if (auto ready = check_ready(study.inventory, "imatrix", {Task::load, Task::text, Task::quantize}); !ready) return ready;
    const ImportanceSettings settings{.chunks = study.inventory.experts > 0 ? kOwnChunksOfExperts : kOwnChunks};
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const auto path = Facts::of(study)
                          .with(Input::calibration, digest({*text}))
                          .with(Input::form, type_name(*form))
                          .with(Input::collecting, std::format("context {} chunks {}", settings.context, settings.chunks))
                          .path(study.workspace, kImatrix);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) {
        auto read = read_importance(path, study.inventory, "imatrix.gguf");
        if (read) return read;
        set_aside(path, read.error().message, study.monitor);
    }
    std::vector<TextNeed> needs{collecting(settings)};  // and of what will be used afterwards, what is known already
    if (!study.settings.text.empty()) needs.push_back(measuring(study));
    if (!study.settings.prompts.empty()) needs.push_back(scoring());
    if (auto enough = check_texts(study, needs); !enough) return enough;
    const auto model = load_in_form(study, *form);
    if (!model) return std::unexpected(model.error());
    if (const auto made = collect_on(study, **model, *text, settings, path); !made) return std::unexpected(made.error());
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return sealed;
    return read_importance(path, study.inventory, "imatrix.gguf");
}

}  // namespace apreqel
