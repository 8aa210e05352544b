#include "records/document.h"
#include "records/fields.h"

namespace apreqel {
namespace {

/// `types`: how many probes there must be. Embedding and output may be there in none of them, or not at all.
void probes_fields(Archive& archive, LayerSensitivity& layer, std::size_t types, bool embedding)
{
    archive.required("layer", layer.layer, "with `--granularity tensor` a tensor: `blk.0.attn_q`, `blk.0.ffn_gate+ffn_up`",
                     {.rule = Rule::group});
    archive.required("parameters", layer.parameters, "weights that take the layer's type");
    archive.list(
        "probes", layer.probes, "one for each type",
        [&](Probe& probe) {
            archive.required("memory_bytes", probe.memory_bytes, "of the layer in this type, exact, fallbacks included",
                             {.rule = embedding ? Rule::none : Rule::positive});
            archive.demand(probe.memory_bytes == 0 || layer.parameters > 0, "memory_bytes",
                           "must be 0 where there are no weights");
            archive.required("kl_divergence", probe.kld, "nats per token", {.rule = Rule::not_negative});
            archive.required("measured", probe.measured, "false: the KL divergence is filled in");
            archive.optional("kl_divergence_error", probe.kld_error, "its standard error",
                             {.rule = Rule::not_negative, .written = probe.measured});
            archive.optional("tokens", probe.tokens, "tokens scored for it", {.written = probe.measured});
            archive.optional("squared_error", probe.squared_error, "Σ‖W − Ŵ‖² ÷ Σ‖W‖² over the weights",
                             {.rule = Rule::not_negative});
        },
        true);
    archive.demand(layer.probes.size() == types, "probes", "must be one for each type");
}

}  // namespace

void fields(Archive& archive, Sensitivity& sensitivity)
{
    archive.optional("model", sensitivity.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    archive.optional("model_name", sensitivity.model_name, "for people");
    archive.optional("text", sensitivity.text, "file name, or how it was sampled");
    archive.optional("version", sensitivity.version, "of apreqel and libllama");
    archive.optional("embedding_type", sensitivity.embedding_type, "type of embedding and output tensors",
                     {.rule = Rule::label});
    archive.optional("fixed_bytes", sensitivity.fixed_bytes, "of all tensors outside the layers, embeddings in their type");
    archive.optional("embedding_bytes", sensitivity.embedding_bytes, "of these, embedding and output tensors");
    archive.demand(sensitivity.embedding_bytes <= sensitivity.fixed_bytes, "embedding_bytes", "must be part of fixed_bytes");
    archive.optional("kv_bytes_per_token", sensitivity.kv_bytes_per_token, "of an f16 KV cache; 0: not known");
    archive.optional("embedding_kl_divergence", sensitivity.embedding_kld, "of embedding and output tensors in their type",
                     {.rule = Rule::not_negative});
    archive.optional("noise_floor", sensitivity.noise_floor, "KL divergence of a probe that changes nothing");
    archive.required("types", sensitivity.types, "the order of all `probes`", {.rule = Rule::name});
    archive.demand(!sensitivity.types.empty(), "types", "must have at least one type");
    archive.demand(distinct(sensitivity.types), "types", "must not name a type twice");
    const std::size_t types = sensitivity.types.size();
    archive.list(
        "layers", sensitivity.layers, "in the order of the model",
        [&](LayerSensitivity& layer) { probes_fields(archive, layer, types, false); }, true);
    archive.demand(!sensitivity.layers.empty(), "layers", "must have at least one layer");
    archive.object(
        "embedding", "the same for embedding and output tensors; `memory_bytes` 0: they cannot have the type",
        [&] {
            if (!archive.documenting()) probes_fields(archive, sensitivity.embedding, types, true);
        },
        !sensitivity.embedding.probes.empty());
    Separability& held = sensitivity.separability;
    archive.object("separability", "how well filling in holds: measured ÷ filled in, leaving the probe out", [&] {
        archive.optional("pairs", held.pairs, "probes compared");
        archive.optional("median_factor", held.median_factor, "of the greater of the ratio and its inverse");
        archive.optional("worst_factor", held.worst_factor, "the same at its worst");
    });
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
