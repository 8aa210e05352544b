#include "study/keys.h"

#include <apreqel/version.h>

#include <algorithm>
#include <cassert>

namespace apreqel {
namespace {

constexpr std::array<std::string_view, kInputs> kNames{
    "model",      "seed",       "samples", "text",      "prompts", "calibration", "form",       "gamma", "collecting",
    "probing",    "quality",    "speed",   "embedding", "type",    "types",       "allocation", "mixes", "files",
    "KV context", "GPU layers", "threads", "device",    "apreqel", "libllama",    "libggml"};

}  // namespace

Facts Facts::of(const Inventory& inventory, const Variant& embedding_type)
{
    const bool has_inert = std::ranges::contains(inventory.tensors, TensorPlace::inert, &Tensor::place);
    const std::string inert = has_inert ? " inert " + type_name(inventory.inert_type) : "";
    Facts facts;
    facts.values_ = {{Input::model, inventory.fingerprint},
                     {Input::embedding, embedding_type.name + inert},
                     {Input::apreqel, std::string(kVersion)},
                     {Input::libggml, libggml_version()}};
    return facts;
}

Facts Facts::of(const Study& study)
{
    const StudySettings& settings = study.settings;
    const Platform platform = study.platform();
    std::string types;
    for (const Variant& variant : settings.types) types += made_with(study.inventory, variant) + " ";
    Facts facts = of(study.inventory, settings.embedding_type);
    facts.values_.insert(
        {{Input::seed, std::to_string(settings.seed)},
         {Input::gamma, std::format("{}", settings.gamma)},
         {Input::quality, std::format("context {} chunks {} compared {} {}", settings.quality.context, settings.quality.chunks,
                                      settings.quality.kld_chunks, kEstimated)},
         {Input::speed, std::format("{} rounds of {} + {} tokens behind {}, order {}, {} ms to {}", settings.speed.repetitions,
                                    settings.speed.prompt, settings.speed.generated, settings.speed.depth, settings.speed.seed,
                                    settings.speed.sample_ms, settings.speed.precision)},
         {Input::types, digest({types})},
         {Input::offload, platform.offloading},
         {Input::threads, std::to_string(platform.threads)},
         {Input::device, digest({platform.machine})},
         {Input::libllama, platform.libllama}});
    if (settings.speed.energy) facts.values_[Input::speed] += ", energy";
    facts.values_[Input::speed] += key_of(settings.run.cache);
    if (settings.gpu_layers) facts.values_[Input::speed] += std::format(", {} layers on accelerators", *settings.gpu_layers);
    return facts;
}

std::string key_of(const CacheTypes& cache)
{
    return cache == CacheTypes{} ? "" : std::format(", cache {} {}", cache.keys, cache.values);
}

Facts Facts::with(Input input, std::string value) const
{
    Facts facts = *this;
    facts.values_[input] = std::move(value);
    return facts;
}

std::string Facts::key(const Artifact& artifact) const
{
    std::string key;
    for (std::size_t i = 0; i < kInputs; ++i) {
        const auto input = static_cast<Input>(i);
        if (!artifact.depends_on(input)) continue;
        const auto value = values_.find(input);
        assert(value != values_.end());
        key += std::format("{}{} {}", key.empty() ? "" : ", ", kNames[i], value->second);
    }
    return key;
}

std::filesystem::path Facts::path(const Workspace& workspace, const Artifact& artifact, std::string_view label) const
{
    std::string name(artifact.name);
    if (const std::size_t star = name.find('*'); star != std::string::npos) name.replace(star, 1, label);
    return workspace.keyed(name, key(artifact));
}

std::string importance_digest(const Inventory& inventory)
{
    if (inventory.importance.empty()) return "none";
    // "imatrix.gguf 0123456789abcdef covers …"
    const std::string_view matrix = inventory.importance;
    const std::string_view name_and_digest = matrix.substr(0, matrix.rfind(" covers "));
    return std::string(name_and_digest.substr(name_and_digest.rfind(' ') + 1));
}

std::string made_with(const Inventory& inventory, const Variant& variant)
{
    std::string made = variant.name;
    if (variant.foreign) made += " of " + variant.foreign->fingerprint;
    if (variant.importance || variant.feedback) made += " of " + importance_digest(inventory);
    if (variant.feedback) made += " and " + inventory.hessian.substr(0, inventory.hessian.find(' '));
    return made;
}

std::string made_with(const Inventory& inventory, const std::vector<Variant>& types, const std::vector<GroupType>& allocation)
{
    std::string all;
    for (const GroupType& entry : allocation) {
        const auto variant = std::ranges::find(types, entry.type, &Variant::name);
        all += std::format("{}={} ", entry.group, variant == types.end() ? entry.type : made_with(inventory, *variant));
    }
    return digest({all});
}

}  // namespace apreqel
