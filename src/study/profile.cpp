#include "study/profile.h"
#include "base/file.h"
#include "model/readiness.h"
#include "quantize/write_models.h"
#include "study/keys.h"
#include "study/offload.h"
#include "study/text.h"
#include "study/variants.h"

#include <apreqel/version.h>

namespace apreqel {
namespace {

/// How many types farther the blocks on accelerators are: their attention does not have the type of the other FFNs.
constexpr std::size_t kOffloadedStep = 2;

/// One type in the blocks before `block`, another from there on: what the two places take.
std::vector<GroupType> split_at(const Inventory& inventory, std::size_t block, const Variant& before, const Variant& behind)
{
    std::vector<GroupType> mix;
    for (const Group& layer : inventory.layers) mix.push_back({layer.name, (layer.block < block ? before : behind).name});
    return mix;
}

}  // namespace

std::vector<std::vector<GroupType>> telling_mixes(const Study& study, bool few)
{
    const std::vector<Variant>& types = study.settings.types;
    std::vector<std::vector<GroupType>> mixes;
    const std::size_t first = study.settings.gpu_layers ? offload_of(study.inventory, *study.settings.gpu_layers).first_block
                                                        : study.inventory.blocks;
    const auto add = [&](std::size_t attention, std::size_t step, std::optional<std::size_t> embedding) {
        std::vector<GroupType> mix;
        for (const Group& layer : study.inventory.layers) {
            std::size_t type = layer.part == kFfn ? attention + step : attention;
            if (layer.block >= first) type += kOffloadedStep;
            mix.push_back({layer.name, types[type % types.size()].name});
        }
        if (embedding) mix.push_back({std::string(kEmbedding), types[*embedding % types.size()].name});
        mixes.push_back(std::move(mix));
    };
    if (study.settings.mixes == Mixes::none) return mixes;
    constexpr std::size_t kOneIn = 4;  // of the mixes that leave the embedding alone, where there are to be few
    const Group embedding = embedding_group(study.inventory);
    const bool mixed = study.settings.mixes == Mixes::with_embedding && !embedding.tensors.empty();
    for (std::size_t q = 0; q < types.size(); ++q) {
        const bool stored = mixed && can_store(study.inventory, embedding, types[(q + 1) % types.size()]);
        if (types.size() > 1 && !(few && stored && q % kOneIn > 0)) add(q, 1, std::nullopt);
        if (stored) add(q, 2, q + 1);
    }
    if (first > 0 && first < study.inventory.blocks)
        for (std::size_t q = 1; q < types.size(); ++q) mixes.push_back(split_at(study.inventory, first, types[q], types[0]));
    return mixes;
}

std::string made_with(const Study& study, const std::vector<std::vector<GroupType>>& mixes)
{
    std::string timed;
    for (const auto& mix : mixes) timed += made_with(study.inventory, study.settings.types, mix);
    return digest({timed});
}

Result<ModelProfile> weighed_model(const Inventory& inventory, const std::vector<Variant>& types, const Variant& embedding_type)
{
    const auto weights = weigh_types(inventory, types, embedding_type);
    if (!weights) return std::unexpected(weights.error());
    ModelProfile profile{.model = inventory.fingerprint,
                         .model_name = inventory.name,
                         .architecture = inventory.architecture,
                         .layers = inventory.layers.size(),
                         .embedding_type = embedding_type.name,
                         .text = {},
                         .version = tool_version(),
                         .types = {}};
    for (std::size_t v = 0; v < weights->size(); ++v) {
        const TypeWeight& weight = (*weights)[v];
        profile.types.push_back({.type = weight.type,
                                 .bits_per_weight = bits_per_weight(inventory, types[v]),
                                 .memory_bytes = weight.tensor_bytes,
                                 .file_bits_per_weight = weight.bits_per_weight,
                                 .quality = {},
                                 .fallbacks = weight.fallbacks});
    }
    return profile;
}

Result<Profile> weighed_profile(const Study& study)
{
    const StudySettings& settings = study.settings;
    auto model = weighed_model(study.inventory, settings.types, settings.embedding_type);
    if (!model) return std::unexpected(model.error());
    const Platform platform = study.platform();
    model->version = tool_version(platform.libllama);
    Profile profile{.model = std::move(*model), .device = {}};
    profile.device = {.model = profile.model.model,
                      .device = study.runtime->platform(study.timed_run()).device,
                      .version = profile.model.version,
                      .embedding_type = profile.model.embedding_type,
                      .workload = {settings.speed.prompt, settings.speed.generated, settings.speed.depth},
                      .models = {}};
    if (settings.gpu_layers) profile.device.offload = offload_of(study.inventory, *settings.gpu_layers);
    return profile;
}

void add_speeds(DeviceProfile& device, const Study& study, const std::vector<std::vector<GroupType>>& mixes,
                const std::vector<Speed>& speeds)
{
    auto speed = speeds.begin();
    for (const Variant& variant : study.settings.types) device.models.push_back({.name = variant.name, .speed = *speed++});
    for (std::size_t m = 0; m < mixes.size(); ++m)
        device.models.push_back({.name = std::format("mix {}", m + 1), .allocation = mixes[m], .speed = *speed++});
}

std::string tool_version(std::string_view libllama)
{
    return std::format("apreqel {}, libllama {}, libggml {}", kVersion, libllama, libggml_version());
}

Result<std::vector<TypeWeight>> weigh_types(const Inventory& inventory, const std::vector<Variant>& types,
                                            const Variant& embedding_type)
{
    if (auto possible = check_storage(inventory, types, embedding_type); !possible) return std::unexpected(possible.error());
    std::vector<TypeWeight> weights;
    for (const Variant& variant : types) {
        TypeAssignment assignment = assign_types(inventory, variant, embedding_type);
        const std::uint64_t bytes = tensor_bytes(inventory, assignment.types);
        const auto whole = file_bytes(
            inventory,
            {.path = {}, .types = std::move(assignment.types), .notes = {}, .origins = std::move(assignment.origins)});
        if (!whole) return std::unexpected(whole.error());
        weights.push_back({.type = variant.name,
                           .tensor_bytes = bytes,
                           .file_bytes = *whole,
                           .bits_per_weight = 8.0 * static_cast<double>(bytes) / static_cast<double>(inventory.parameters()),
                           .fallbacks = std::move(assignment.fallbacks)});
    }
    return weights;
}

namespace {

/// What is asked for, and where its two parts are kept.
struct Artifacts {
    std::vector<std::vector<GroupType>> mixes;
    std::string model_key;
    std::string device_key;
    std::filesystem::path model;
    std::filesystem::path device;
};

Artifacts artifacts_of(const Study& study, const std::string& text)
{
    Artifacts artifacts{.mixes = telling_mixes(study, false)};
    const Facts facts =
        Facts::of(study).with(Input::text, digest({text})).with(Input::mixes, made_with(study, artifacts.mixes));
    artifacts.model_key = facts.key(kModelProfile);
    artifacts.device_key = facts.key(kDeviceProfile);
    artifacts.model = facts.path(study.workspace, kModelProfile);
    artifacts.device = facts.path(study.workspace, kDeviceProfile);
    return artifacts;
}

/// Everything measured anew, or as far as the workspace does not hold it.
Result<Profile> measure_profile(const Study& study, const Artifacts& artifacts)
{
    if (auto possible = check_energy(study); !possible) return std::unexpected(possible.error());
    if (auto enough = check_texts(study, {measuring(study)}); !enough) return std::unexpected(enough.error());
    if (auto built = build_variants(study); !built) return std::unexpected(built.error());
    std::vector<ModelFile> files = variant_files(study);
    const auto mixed = build_mixes(study, artifacts.mixes);
    if (!mixed) return std::unexpected(mixed.error());
    for (const auto& mix : *mixed) files.push_back({.path = mix, .name = "mix", .speed_only = true});
    const auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());
    remove_mixes(study, *mixed);

    auto profile = weighed_profile(study);
    if (!profile) return profile;
    profile->model.text = text_source(study);
    if (study.settings.quality.kld_chunks > 0) {  // then it was measured, for the others to be compared with
        const auto reference = measure_reference(study);
        if (!reference) return std::unexpected(reference.error());
        profile->model.reference = reference->quality;
    }
    std::vector<Speed> speeds;
    for (const Measurement& measured : *measurements) speeds.push_back(measured.speed);
    for (std::size_t v = 0; v < profile->model.types.size(); ++v) profile->model.types[v].quality = (*measurements)[v].quality;
    add_speeds(profile->device, study, artifacts.mixes, speeds);
    return profile;
}

}  // namespace

Result<Profile> profile(const Study& study)
{
    if (auto ready = check_ready(study.inventory, "profile", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (auto possible = check_storage(study.inventory, study.settings.types, study.settings.embedding_type); !possible)
        return std::unexpected(possible.error());
    if (auto enough = check_space_for(study, telling_mixes(study, false).size()); !enough)
        return std::unexpected(enough.error());
    const auto context = study.context();
    if (!context) return std::unexpected(context.error());
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());
    const Artifacts artifacts = artifacts_of(study, *text);
    const auto together = study.workspace.path("profile.json");
    if (!study.settings.remeasure) {
        auto model = read_kept(artifacts.model, read_model_profile, study.monitor);
        auto device = read_kept(artifacts.device, read_device_profile, study.monitor);
        if (model && device) {
            Profile kept{.model = std::move(*model), .device = std::move(*device)};
            kept.device.context = *context;
            if (auto written = write_text(together, to_json(kept)); !written) return std::unexpected(written.error());
            return kept;
        }
    }
    auto measured = measure_profile(study, artifacts);
    if (!measured) return measured;
    measured->device.context = *context;
    for (const auto& [path, json] : {std::pair(artifacts.model, to_json(measured->model, artifacts.model_key)),
                                     std::pair(artifacts.device, to_json(measured->device, artifacts.device_key)),
                                     std::pair(together, to_json(*measured))}) {
        if (auto written = write_text(path, json); !written) return std::unexpected(written.error());
    }
    return measured;
}

}  // namespace apreqel
