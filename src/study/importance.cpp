#include "model/importance.h"
#include "model/readiness.h"
#include "quantize/check_weights.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>

namespace apreqel {
namespace {

Result<> check_runnable(const Study& study)
{
    if (auto ready = check_ready(study.inventory, "imatrix", {Task::load, Task::text}); !ready) return ready;
    return check_weights(study.inventory, thread_count(study.settings.run), study.monitor);
}

Result<ImportanceMatrix> collect_on(const Study& study, const std::string& text, const ImportanceSettings& settings,
                                    const std::filesystem::path& output)
{
    const auto model = LoadedModel::load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    const auto tokens = model->tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    auto matrix = collect_importance(*model, study.inventory, *tokens, settings, study.monitor);
    if (!matrix) return matrix;
    matrix->text = calibration_source(study);
    if (auto written = write_importance(output, *matrix); !written) return std::unexpected(written.error());
    return matrix;
}

}  // namespace

Result<ImportanceMatrix> make_importance(const Study& study, const ImportanceSettings& settings,
                                         const std::filesystem::path& output)
{
    if (auto ready = check_runnable(study); !ready) return std::unexpected(ready.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    return collect_on(study, *text, settings, output);
}

Result<> use_own_importance(Study& study)
{
    if (auto precise = check_full_precision(study.inventory); !precise) return precise;
    if (auto ready = check_runnable(study); !ready) return ready;
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const ImportanceSettings settings{};
    const auto path = study.workspace.keyed(
        "imatrix.gguf", std::format("model {}, text {}, context {}, chunks {}, {}", study.inventory.fingerprint,
                                    digest({*text}), settings.context, settings.chunks, backend_version()));
    if (std::filesystem::exists(path) && read_importance(path, study.inventory, "imatrix.gguf"))
        return {};  // else it is damaged
    if (const auto made = collect_on(study, *text, settings, path); !made) return std::unexpected(made.error());
    return read_importance(path, study.inventory, "imatrix.gguf");
}

}  // namespace apreqel
