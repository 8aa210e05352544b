#include "base/file.h"
#include "study/study.h"
#include "study/variants.h"

namespace apreqel {

namespace {

Result<Plan> choose(const Study& study, const Profile& profile, const PlanRequest& request)
{
    if (request.method == "front") {
        const auto sensitivity = sense(study, request.sense);
        if (!sensitivity) return std::unexpected(sensitivity.error());
        return make_front_plan(profile, *sensitivity, request.weights, request.limits, request.normalization,
                               request.runners_up);
    }
    const auto scores = score(study);
    if (!scores) return std::unexpected(scores.error());
    return make_plan(profile, *scores, request.weights, request.runners_up);
}

}  // namespace

Result<RunResult> run(const Study& study, const PlanRequest& request, const std::filesystem::path& output)
{
    const auto measured = profile(study);
    if (!measured) return std::unexpected(measured.error());
    const auto plan = choose(study, *measured, request);
    if (!plan) return std::unexpected(plan.error());
    if (auto written = write_text(study.workspace.path("plan.json"), to_json(*plan)); !written)
        return std::unexpected(written.error());
    if (auto built = quantize(study.inventory, *plan, study.workspace, output, thread_count(study.settings.run), study.monitor);
        !built) {
        return std::unexpected(built.error());
    }
    // The mix and the uniform types once more, in the same rounds: only then do their latencies compare.
    std::vector<ModelFile> files;
    for (const QuantType type : study.settings.types) {
        files.push_back({variant_path(study.workspace, study.inventory, type, study.settings.embedding_type), type_name(type)});
    }
    files.push_back({output, output.filename().string()});
    auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());

    RunResult result{.plan = *plan,
                     .reference = std::move(*reference),
                     .uniform = {},
                     .mix = std::move(measurements->back()),
                     .device = measured->device,
                     .text = measured->text,
                     .version = measured->version};
    measurements->pop_back();
    result.uniform = std::move(*measurements);
    if (auto written = write_text(study.workspace.path("run.json"), to_json(result)); !written)
        return std::unexpected(written.error());
    return result;
}

}  // namespace apreqel
