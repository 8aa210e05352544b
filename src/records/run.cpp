#include "records/document.h"
#include "records/fields.h"

namespace apreqel {

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
    archive.required("uniform", result.uniform, "the uniform variants, measured in the rounds of the mix");
    archive.required("mix", result.mix, "the output file");
    archive.optional("tried", result.tried, "other mixes that were built and measured");
    archive.optional("instead", result.instead, "the uniform type shipped in the place of the mixes",
                     {.rule = Rule::label, .written = !result.instead.empty()});
    archive.optional("because", result.because, "why that one", {.written = !result.because.empty()});
    archive.optional("limits_kept", result.limits_kept, "as measured");
}

std::string to_json(const RunResult& result) { return write_record(kRunSchema, result); }
Result<RunResult> parse_run(std::string_view text) { return parse_record<RunResult>(text, kRunSchema); }
Result<RunResult> read_run(const std::filesystem::path& path) { return read_record<RunResult>(path, kRunSchema); }

}  // namespace apreqel
