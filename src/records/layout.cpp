#include "records/document.h"
#include "records/fields.h"

#include <algorithm>
#include <map>

namespace apreqel {
namespace {

/// In each role, every run begins behind the one before it.
bool in_order(const std::vector<LayoutRun>& runs)
{
    std::map<std::string_view, std::uint64_t> last;
    return std::ranges::all_of(runs, [&](const LayoutRun& run) {
        const auto before = last.find(run.role);
        const bool behind = before == last.end() || run.first > before->second;
        last[run.role] = run.last;
        return behind && run.first <= run.last;
    });
}

}  // namespace

void fields(Archive& archive, LayoutRun& run)
{
    archive.required("role", run.role, "`attn`, `ffn`, or some tensors of these (`attn_q`, `ffn_gate+ffn_up`)",
                     {.rule = Rule::group});
    archive.required("first", run.first, "block, from 0 on");
    archive.required("last", run.last, "block, not before `first`");
    archive.required("type", run.type, "`q4_K`, `q4_K+imatrix` or `q4_K+gptq`", {.rule = Rule::name});
}

void fields(Archive& archive, Layout& layout)
{
    archive.required("architecture", layout.architecture, "`general.architecture` of the models it is for",
                     {.rule = Rule::name});
    archive.required("blocks", layout.blocks, "of those models, up to the last that has a type", {.rule = Rule::positive});
    archive.optional("model_name", layout.model_name, "the model it was planned for, for people");
    archive.optional("device", layout.device, "whose speeds it was planned with");
    archive.optional("text", layout.text, "that qualities were measured on");
    archive.optional("version", layout.version, "of apreqel and libllama");
    archive.optional("embedding_type", layout.embedding_type, "of embedding and output tensors; q6_K if missing",
                     {.rule = Rule::label});
    archive.optional("embedding", layout.embedding, "the same, where it was chosen like that of a layer",
                     {.rule = Rule::label, .written = !layout.embedding.empty()});
    archive.required("runs", layout.runs, "blocks one after another with one type, by role; all that the model has");
    archive.optional("fallbacks", layout.fallbacks, "tensors that could not have the type of their layer there either");
    archive.demand(in_order(layout.runs), "runs", "must go from first to last block, and none of a role overlap");
    archive.demand(std::ranges::all_of(layout.runs, [&](const LayoutRun& run) { return run.last < layout.blocks; }), "runs",
                   "must lie within the blocks");
}

std::string to_json(const Layout& layout) { return write_record(kLayoutSchema, layout); }
Result<Layout> parse_layout(std::string_view text) { return parse_record<Layout>(text, kLayoutSchema); }
Result<Layout> read_layout(const std::filesystem::path& path) { return read_record<Layout>(path, kLayoutSchema); }

}  // namespace apreqel
