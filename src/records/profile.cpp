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
                     "ggml's name; with the importance matrix, `q4_K+imatrix`, or error feedback, `q4_K+gptq`; `source`: as in "
                     "the model's file; or the name "
                     "of a `--variant`",
                     {.rule = Rule::name});
    archive.optional("bits_per_weight", variant.bits_per_weight,
                     "of the type; orders types by precision. ggml's, if `type` is one of its names; required otherwise",
                     {.rule = Rule::positive});
    if (archive.reading() && !archive.has("bits_per_weight")) {
        const auto type = parse_type(std::string_view(variant.type).substr(0, variant.type.find('+')));
        archive.demand(type.has_value(), "bits_per_weight", std::format("is missing, and {} is no type of ggml", variant.type));
        if (type) variant.bits_per_weight = bits_per_weight(*type);
    }
    archive.required("memory_bytes", variant.memory_bytes, "of all tensors", {.rule = Rule::positive});
    archive.optional("file_bits_per_weight", variant.file_bits_per_weight, "8 × `memory_bytes` ÷ parameters",
                     {.rule = Rule::not_negative});
    // Without one, the front method goes by what the groups' probes say; the paper's refuses.
    quality_fields(archive, variant.quality, variant.quality.perplexity > 0 || archive.documenting());
    archive.optional("fallbacks", variant.fallbacks, "tensors that cannot have the type");
}

void fields(Archive& archive, TimedModel& model)
{
    archive.required("name", model.name, "the type of a uniform variant, or any name of a mix");
    const bool mixed = archive.reading() ? archive.has("allocation") : archive.documenting() || !model.allocation.empty();
    if (mixed) {
        archive.map("allocation", model.allocation, &GroupType::group, &GroupType::type,
                    "of a mix: the type of each group, by its name");
    }
    archive.expect("latency_ms");
    fields(archive, model.speed);
}

namespace {

/// A type with its speed, as people write profiles.
struct ProfiledType {
    UniformVariant variant;
    Speed speed;
};

void fields(Archive& archive, ProfiledType& type)
{
    fields(archive, type.variant);
    archive.expect("latency_ms");
    fields(archive, type.speed);
}

/// What a profile of a model begins with.
void heading_fields(Archive& archive, ModelProfile& profile)
{
    archive.optional("model", profile.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    archive.optional("model_name", profile.model_name, "for people");
    archive.optional("architecture", profile.architecture, "`general.architecture`; layouts need it",
                     {.rule = Rule::label, .written = !profile.architecture.empty()});
    archive.required("layers", profile.layers, "their number", {.rule = Rule::positive});
    archive.optional("embedding_type", profile.embedding_type, "type of embedding and output tensors", {.rule = Rule::label});
    archive.optional("text", profile.text, "file name, or how it was sampled");
    archive.optional("version", profile.version, "of apreqel and libllama");
    archive.object(
        "reference", "the full-precision model", [&] { quality_fields(archive, profile.reference, true); },
        profile.reference.perplexity > 0);
}

/// What the speeds of a device hold for, beside the model.
void speed_heading_fields(Archive& archive, DeviceProfile& profile)
{
    Workload& workload = profile.workload;
    const bool stated = archive.documenting() || workload.generated > 0;
    archive.optional("device", profile.device, "machine, backend and threads the speeds hold for");
    archive.optional("prompt_tokens", workload.prompt, "of the prompt that was timed; 0: none", {.written = stated});
    archive.optional("generated_tokens", workload.generated, "that were timed, at most", {.written = stated});
    archive.optional("depth", workload.depth, "tokens in the KV cache before either", {.written = stated});
    context_fields(archive, profile.context);
    archive.optional("offload", profile.offload, "what was on accelerators, where that is chosen too");
}

/// The usual type first, and none twice.
void demand_cache_types(Archive& archive, std::string_view part, const std::vector<CacheCost>& costs)
{
    std::vector<std::string> types;
    for (const CacheCost& cost : costs) types.push_back(cost.type);
    archive.demand(!types.empty() && types.front() == kCacheType, part, "must begin with f16");
    archive.demand(distinct(types), part, "must not name a type twice");
    if (costs.empty()) return;
    archive.demand(costs.front().kld == 0, part, "must begin with no KL divergence");
}

void demand_types(Archive& archive, const std::vector<std::string>& names)
{
    archive.demand(!names.empty(), "types", "must have at least one type");
    archive.demand(distinct(names), "types", "must not name a type twice");
}

}  // namespace

void fields(Archive& archive, ModelProfile& profile)
{
    heading_fields(archive, profile);
    archive.required("types", profile.types, "the whole model in one type");
    std::vector<std::string> names;
    for (const UniformVariant& variant : profile.types) names.push_back(variant.type);
    demand_types(archive, names);
}

void fields(Archive& archive, DeviceProfile& profile)
{
    archive.optional("model", profile.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    speed_heading_fields(archive, profile);
    archive.optional("embedding_type", profile.embedding_type, "type of embedding and output tensors in the uniform variants",
                     {.rule = Rule::label, .written = archive.documenting() || !profile.embedding_type.empty()});
    archive.optional("version", profile.version, "of apreqel and libllama");
    archive.required("models", profile.models, "timed in the same rounds: the uniform variants, then mixes");
}

void fields(Archive& archive, Offload& offload)
{
    archive.required("gpu_layers", offload.layers, "as --gpu-layers counts them: the output weights are the last");
    archive.required("first_block", offload.first_block, "this block and those behind it were there");
    archive.optional("fixed_bytes", offload.fixed_bytes, "there, of tensors that have no choice");
    archive.optional("embedding_gpu", offload.embedding_gpu, "share of embedding and output that was there",
                     {.rule = Rule::share});
    archive.optional("embedding_main", offload.embedding_main,
                     "share of them in main memory: of what is both, all in both places", {.rule = Rule::share});
}

void fields(Archive& archive, CacheCost& type)
{
    archive.required("type", type.type, "ggml's name", {.rule = Rule::name});
    archive.required("bytes", type.bytes, "of the whole KV cache, and of buffers beside those of f16",
                     {.rule = Rule::positive});
    archive.required("kl_divergence", type.kld, "mean, to the same model with an f16 KV cache, nats per token",
                     {.rule = Rule::not_negative});
    archive.required("kl_divergence_error", type.kld_error, "its standard error", {.rule = Rule::not_negative});
    archive.required("tokens", type.tokens, "that it was measured on");
    archive.expect("latency_ms");
    fields(archive, type.speed);
}

void fields(Archive& archive, CacheProfile& cache)
{
    if (archive.refer_to(kCacheSchema)) return;
    archive.required("context", cache.tokens, "tokens that it has room for", {.rule = Rule::positive});
    archive.required("keys", cache.keys, "types of the keys, the values in f16; f16 first");
    archive.required("values", cache.values, "types of the values, the keys in f16; f16 first");
    demand_cache_types(archive, "keys", cache.keys);
    demand_cache_types(archive, "values", cache.values);
    if (cache.keys.empty() || cache.values.empty()) return;
    const std::uint64_t usual = cache.keys.front().bytes;
    const auto least = [](const std::vector<CacheCost>& part) { return std::ranges::min(part, {}, &CacheCost::bytes).bytes; };
    archive.demand(cache.values.front().bytes == usual, "values", "must begin with as many bytes as the keys");
    archive.demand(least(cache.keys) + least(cache.values) > usual, "bytes", "must leave some for every pair");
}

void fields(Archive& archive, Profile& profile)
{
    heading_fields(archive, profile.model);
    speed_heading_fields(archive, profile.device);
    std::vector<ProfiledType> types;
    std::vector<TimedModel> mixes;
    if (!archive.reading()) {
        for (const UniformVariant& variant : profile.model.types)
            types.push_back({variant, measurement_of(profile, variant.type).speed});
        std::ranges::copy_if(profile.device.models, std::back_inserter(mixes),
                             [](const TimedModel& model) { return !model.allocation.empty(); });
    }
    archive.required("types", types, "the whole model in one type");
    std::vector<std::string> names;
    for (const ProfiledType& type : types) names.push_back(type.variant.type);
    demand_types(archive, names);
    archive.optional(
        "mixes", mixes,
        "mixed models that were timed in the rounds of the types; the front method's latencies are fitted to them");
    archive.optional("cache", profile.cache, "what the types of the KV cache cost: a plan can choose them too");
    if (!archive.reading()) return;
    profile.device.model = profile.model.model;
    profile.device.version = profile.model.version;
    profile.device.embedding_type = profile.model.embedding_type;
    for (ProfiledType& type : types) {
        profile.device.models.push_back({.name = type.variant.type, .speed = std::move(type.speed)});
        profile.model.types.push_back(std::move(type.variant));
    }
    for (TimedModel& mix : mixes) profile.device.models.push_back(std::move(mix));
}

std::string to_json(const Profile& profile) { return write_record(kProfileSchema, profile); }
Result<Profile> parse_profile(std::string_view text) { return parse_record<Profile>(text, kProfileSchema); }
Result<Profile> read_profile(const std::filesystem::path& path) { return read_record<Profile>(path, kProfileSchema); }

std::string to_json(const ModelProfile& profile, std::string_view key) { return write_record(kModelSchema, profile, key); }
Result<ModelProfile> parse_model_profile(std::string_view text) { return parse_record<ModelProfile>(text, kModelSchema); }
Result<ModelProfile> read_model_profile(const std::filesystem::path& path)
{
    return read_record<ModelProfile>(path, kModelSchema);
}

std::string to_json(const DeviceProfile& profile, std::string_view key) { return write_record(kDeviceSchema, profile, key); }
Result<DeviceProfile> parse_device_profile(std::string_view text) { return parse_record<DeviceProfile>(text, kDeviceSchema); }
Result<DeviceProfile> read_device_profile(const std::filesystem::path& path)
{
    return read_record<DeviceProfile>(path, kDeviceSchema);
}

std::string to_json(const CacheProfile& cache, std::string_view key) { return write_record(kCacheSchema, cache, key); }
Result<CacheProfile> parse_cache_profile(std::string_view text) { return parse_record<CacheProfile>(text, kCacheSchema); }
Result<CacheProfile> read_cache_profile(const std::filesystem::path& path)
{
    return read_record<CacheProfile>(path, kCacheSchema);
}

}  // namespace apreqel
