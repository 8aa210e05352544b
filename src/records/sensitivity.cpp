#include "records/document.h"
#include "records/fields.h"

namespace apreqel {
namespace {

/// "ffn" of "blk.3.ffn_gate+ffn_up", "attn" of "blk.3.attn_q": what the inventory calls the part, where a file leaves it out.
std::string part_of(std::string_view group)
{
    const std::size_t dot = group.starts_with("blk.") ? group.find('.', 4) : std::string_view::npos;
    if (dot == std::string_view::npos) return std::string(group);
    return group.substr(dot + 1).starts_with("ffn") ? "ffn" : "attn";
}

/// "blk.3.ffn" of "blk.3.ffn_gate+ffn_up"; empty outside the blocks.
std::string layer_of(std::string_view group)
{
    const std::size_t dot = group.starts_with("blk.") ? group.find('.', 4) : std::string_view::npos;
    return dot == std::string_view::npos ? std::string() : std::format("{}.{}", group.substr(0, dot), part_of(group));
}

}  // namespace

void fields(Archive& archive, Probe& probe)
{
    archive.required("memory_bytes", probe.memory_bytes,
                     "of the group in this type, exact, fallbacks included; 0: the type is no candidate there");
    archive.optional("kl_divergence", probe.kld, "nats per token", {.rule = Rule::not_negative});
    archive.optional("measured", probe.measured, "false: the KL divergence is filled in");
    archive.optional("kl_divergence_error", probe.kld_error, "its standard error",
                     {.rule = Rule::not_negative, .written = probe.measured});
    archive.optional("tokens", probe.tokens, "tokens scored for it", {.written = probe.measured});
    archive.optional("squared_error", probe.squared_error, "Σ‖W − Ŵ‖² ÷ Σ‖W‖² over the weights", {.rule = Rule::not_negative});
    archive.optional("weighted_error", probe.weighted_error,
                     "the same with each column weighted by its importance, where it has one, or as a share of what the "
                     "weights put out, where there are Hessians; 0: not known",
                     {.rule = Rule::not_negative});
}

namespace {

/// `types`: how many probes there must be.
void group_fields(Archive& archive, GroupSensitivity& group, std::size_t types)
{
    archive.required("group", group.group,
                     "a layer, `blk.0.attn`; or some of its tensors, `blk.0.ffn_gate+ffn_up`; or `embedding`",
                     {.rule = Rule::group});
    if (archive.reading()) {
        group.layer = layer_of(group.group);
        group.part = part_of(group.group);
    }
    archive.optional("layer", group.layer, "the layer it is part of; empty outside the blocks", {.rule = Rule::label});
    archive.optional("part", group.part, "where it does its work: `attn`, `ffn`, `embedding`", {.rule = Rule::group});
    archive.required("parameters", group.parameters, "weights that take the group's type", {.rule = Rule::positive});
    archive.optional("fixed_type", group.fixed_type,
                     "the type it has in every uniform variant, and in a plan unless that frees it",
                     {.rule = Rule::label, .written = !group.fixed_type.empty()});
    archive.required("probes", group.probes, "one for each type");
    archive.demand(group.probes.size() == types, "probes", "must be one for each type");
}

}  // namespace

void fields(Archive& archive, Sensitivity& sensitivity)
{
    if (archive.refer_to(kSensitivitySchema)) return;
    archive.optional("model", sensitivity.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    archive.optional("model_name", sensitivity.model_name, "for people");
    archive.optional("text", sensitivity.text, "file name, or how it was sampled");
    archive.optional("version", sensitivity.version, "of apreqel and libllama");
    archive.optional("fixed_bytes", sensitivity.fixed_bytes, "of all tensors that are in no group: norms, biases");
    archive.optional("kv_bytes_per_token", sensitivity.kv_bytes_per_token, "of an f16 KV cache; 0: not known");
    archive.optional("noise_floor", sensitivity.noise_floor, "KL divergence of a probe that changes nothing");
    archive.optional("form", sensitivity.form, "full-precision type of the weights that the probes ran with",
                     {.rule = Rule::label});
    archive.optional("tokens", sensitivity.tokens, "that went through the model for all that is measured");
    archive.required("types", sensitivity.types, "the order of all `probes`", {.rule = Rule::name});
    archive.demand(!sensitivity.types.empty(), "types", "must have at least one type");
    archive.demand(distinct(sensitivity.types), "types", "must not name a type twice");
    const std::size_t types = sensitivity.types.size();
    archive.list(
        "groups", sensitivity.groups, "in the order of the model",
        [&](GroupSensitivity& group) { group_fields(archive, group, types); }, true);
    archive.demand(!sensitivity.groups.empty(), "groups", "must have at least one group");
    Separability& held = sensitivity.separability;
    archive.object("separability",
                   "how well filling in holds: measured ÷ filled in, leaving the probe out, or those held out for this", [&] {
                       archive.optional("pairs", held.pairs, "probes compared");
                       archive.optional("median_factor", held.median_factor, "of the greater of the ratio and its inverse");
                       archive.optional("worst_factor", held.worst_factor, "the same at its worst");
                   });
}

void fields(Archive& archive, SensitivityShard& shard)
{
    archive.required("sensitivity_key", shard.key, "the `key` of the sensitivity that it is part of", {.rule = Rule::name});
    archive.required("shard", shard.share.number, "its number, from 1 on", {.rule = Rule::positive});
    archive.required("shards", shard.share.count, "how many there are", {.rule = Rule::positive});
    archive.demand(shard.share.number <= shard.share.count, "shard", "must not be above shards");
    archive.required("round", shard.round, "above 1: what followed from the probes of the round before, which it has too",
                     {.rule = Rule::positive});
    archive.optional("context", shard.context, "tokens per chunk of a thorough probe; 0: one type tells of the others");
    archive.demand(shard.context == 0 || shard.context >= 8, "context", "must be 0, or at least 8");
    archive.required("choices", shard.choices, "leading `types` that there are to choose from", {.rule = Rule::positive});
    archive.required("probes", shard.probes, "a sensitivity in which nothing is filled in");
    archive.demand(shard.choices <= shard.probes.types.size(), "choices", "must not be above the number of types");
}

std::string to_json(const SensitivityShard& shard) { return write_record(kShardSchema, shard); }
Result<SensitivityShard> parse_shard(std::string_view text) { return parse_record<SensitivityShard>(text, kShardSchema); }
Result<SensitivityShard> read_shard(const std::filesystem::path& path)
{
    return read_record<SensitivityShard>(path, kShardSchema);
}

std::string to_json(const Sensitivity& sensitivity, std::string_view key)
{
    return write_record(kSensitivitySchema, sensitivity, key);
}
Result<Sensitivity> parse_sensitivity(std::string_view text) { return parse_record<Sensitivity>(text, kSensitivitySchema); }
Result<Sensitivity> read_sensitivity(const std::filesystem::path& path)
{
    return read_record<Sensitivity>(path, kSensitivitySchema);
}

}  // namespace apreqel
