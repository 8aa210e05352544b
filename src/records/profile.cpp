#include "records/document.h"
#include "records/fields.h"

#include <apreqel/quant_type.h>

#include <algorithm>
#include <ranges>
#include <set>

namespace apreqel {

bool distinct(std::span<const std::string> names) { return std::set(names.begin(), names.end()).size() == names.size(); }

void fields(Archive& archive, UniformVariant& variant)
{
    archive.required("type", variant.type,
                     "ggml's name; with the importance matrix, `q4_K+imatrix`; or the name of a `--variant`",
                     {.rule = Rule::name});
    archive.optional("bits_per_weight", variant.bits_per_weight,
                     "of the type; orders types by precision. ggml's, if `type` is one of its names; required otherwise",
                     {.rule = Rule::positive});
    if (archive.reading() && !archive.has("bits_per_weight")) {
        const auto type = parse_type(std::string_view(variant.type).substr(0, variant.type.find('+')));
        archive.demand(type.has_value(), "bits_per_weight", std::format("is missing, and {} is no type of ggml", variant.type));
        if (type) variant.bits_per_weight = bits_per_weight(*type);
    }
    for (const std::string_view metric : {"latency_ms", "perplexity"}) archive.expect(metric);
    if (archive.reading()) variant.measurement.name = variant.type;
    measured_fields(archive, variant.measurement);
    archive.optional("fallbacks", variant.fallbacks, "tensors that cannot have the type");
}

void fields(Archive& archive, Profile& profile)
{
    archive.optional("model", profile.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    archive.optional("model_name", profile.model_name, "for people");
    archive.required("layers", profile.layers, "their number", {.rule = Rule::positive});
    archive.optional("embedding_type", profile.embedding_type, "type of embedding and output tensors", {.rule = Rule::label});
    archive.optional("device", profile.device, "machine, backend and threads the speeds hold for");
    archive.optional("text", profile.text, "file name, or how it was sampled");
    archive.optional("version", profile.version, "of apreqel and libllama");
    archive.required("types", profile.types, "the whole model in one type: `latency_ms` and `perplexity` are required here");
    archive.demand(!profile.types.empty(), "types", "must have at least one type");
    std::vector<std::string> names;
    for (const UniformVariant& variant : profile.types) names.push_back(variant.type);
    archive.demand(distinct(names), "types", "must not name a type twice");
    archive.optional(
        "mixes", profile.mixes,
        "mixed models that were timed in the rounds of the types; the front method's latencies are fitted to them");
}

std::string to_json(const Profile& profile, std::string_view key) { return write_record(kProfileSchema, profile, key); }
Result<Profile> parse_profile(std::string_view text) { return parse_record<Profile>(text, kProfileSchema); }
Result<Profile> read_profile(const std::filesystem::path& path) { return read_record<Profile>(path, kProfileSchema); }

}  // namespace apreqel
