#include "records/document.h"
#include "records/fields.h"

namespace apreqel {

void fields(Archive& archive, TriedModel& tried)
{
    archive.required("name", tried.measured.name, "`plan 2`, or a uniform type: `all q4_K`");
    measured_fields(archive, tried.measured);
    archive.object("predicted", "what was expected of it; memory with `cache`",
                   [&] { metric_fields(archive, tried.predicted, {}); });
}

void fields(Archive& archive, RunResult& result)
{
    archive.optional("device", result.device, "machine, backend and threads the speeds hold for");
    archive.optional("text", result.text, "file name, or how it was sampled");
    archive.optional("version", result.version, "of apreqel and libllama");
    archive.expect("plan");
    archive.object("plan", "what was built", [&] {
        std::string schema(kPlanSchema);
        if (archive.writing()) archive.required("schema", schema, "");
        fields(archive, result.plan);
    });
    archive.demand(!result.plan.ranking.best.empty(), "plan", "must have types and a distribution");
    archive.required("reference", result.reference, "the full-precision model; its speed is not measured");
    archive.required("uniform", result.uniform,
                     "the uniform variants, measured in the rounds of the mix; with the paper's method");
    archive.required("mix", result.mix, "the output file");
    if (!archive.writing() || !result.rivals.empty())
        archive.list("rivals", result.rivals, "models that it was to be better than, measured in its rounds",
                     [&](Measurement& rival) { rival_fields(archive, rival, result.mix, result.reference.quality); });
    archive.optional("tried", result.tried, "other plans that were built and measured");
    archive.optional("because", result.because, "why that one", {.written = !result.because.empty()});
    archive.optional("limits_kept", result.limits_kept, "as measured");
}

std::string to_json(const RunResult& result) { return write_record(kRunSchema, result); }
Result<RunResult> parse_run(std::string_view text) { return parse_record<RunResult>(text, kRunSchema); }
Result<RunResult> read_run(const std::filesystem::path& path) { return read_record<RunResult>(path, kRunSchema); }

}  // namespace apreqel
