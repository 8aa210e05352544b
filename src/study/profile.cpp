#include "base/file.h"
#include "model/readiness.h"
#include "quantize/write_models.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <apreqel/version.h>

namespace apreqel {
namespace {

/// Mixes that tell what each type costs in attention, in FFN and in the embedding: attention takes every type in turn, FFN the
/// one after it, and, where the embedding is mixed too, once more two types on.
std::vector<std::vector<GroupType>> telling_mixes(const Study& study)
{
    const std::vector<Variant>& types = study.settings.types;
    std::vector<std::vector<GroupType>> mixes;
    const auto add = [&](std::size_t attention, std::size_t step, std::optional<std::size_t> embedding) {
        std::vector<GroupType> mix;
        for (const Group& layer : study.inventory.layers) {
            const std::size_t type = layer.part == kFfn ? attention + step : attention;
            mix.push_back({layer.name, types[type % types.size()].name});
        }
        if (embedding) mix.push_back({std::string(kEmbedding), types[*embedding % types.size()].name});
        mixes.push_back(std::move(mix));
    };
    if (study.settings.mixes == Mixes::none) return mixes;
    const Group embedding = embedding_group(study.inventory);
    const bool mixed = study.settings.mixes == Mixes::with_embedding && !embedding.tensors.empty();
    for (std::size_t q = 0; q < types.size(); ++q) {
        if (types.size() > 1) add(q, 1, std::nullopt);
        if (mixed && can_store(study.inventory, embedding, types[(q + 1) % types.size()])) add(q, 2, q + 1);
    }
    return mixes;
}

}  // namespace

std::string tool_version() { return std::format("apreqel {}, {}", kVersion, backend_version()); }

Result<std::vector<TypeWeight>> weigh_types(const Inventory& inventory, const std::vector<Variant>& types,
                                            QuantType embedding_type)
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

Result<Profile> profile(const Study& study)
{
    if (auto ready = check_ready(study.inventory, "profile", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (auto possible = check_storage(study.inventory, study.settings.types, study.settings.embedding_type); !possible)
        return std::unexpected(possible.error());
    const std::vector<std::vector<GroupType>> mixes = telling_mixes(study);
    if (auto enough = check_space_for(study, mixes.size()); !enough) return std::unexpected(enough.error());
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());
    std::string timed;
    for (const auto& mix : mixes) timed += made_with(study.inventory, study.settings.types, mix);
    const std::string key =
        Facts::of(study).with(Input::text, digest({*text})).with(Input::mixes, digest({timed})).key(kProfile);
    const auto path = study.workspace.path(kProfile.name);
    if (!study.settings.remeasure) {
        auto kept = read_kept(path, read_profile, study.monitor);
        if (kept && read_key(path) == key) return std::move(*kept);
    }

    if (auto enough = check_texts(study, {measuring(study)}); !enough) return std::unexpected(enough.error());
    if (auto built = build_variants(study); !built) return std::unexpected(built.error());
    std::vector<ModelFile> files = variant_files(study);
    const auto mixed = build_mixes(study, mixes);
    if (!mixed) return std::unexpected(mixed.error());
    for (const auto& mix : *mixed) files.push_back({.path = mix, .name = "mix", .speed_only = true});
    auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());
    remove_mixes(study, *mixed);

    Profile profile{.model = study.inventory.fingerprint,
                    .model_name = study.inventory.name,
                    .layers = study.inventory.layers.size(),
                    .embedding_type = type_name(study.settings.embedding_type),
                    .types = {},
                    .device = device_name(study.settings.run),
                    .text = text_source(study),
                    .version = tool_version()};
    const std::size_t uniform = study.settings.types.size();
    for (std::size_t v = 0; v < uniform; ++v) {
        const Variant& variant = study.settings.types[v];
        profile.types.push_back({.type = variant.name,
                                 .bits_per_weight = bits_per_weight(variant),
                                 .measurement = std::move((*measurements)[v]),
                                 .fallbacks = assign_types(study.inventory, variant, study.settings.embedding_type).fallbacks});
    }
    for (std::size_t m = 0; m < mixes.size(); ++m) profile.mixes.push_back({mixes[m], std::move((*measurements)[uniform + m])});
    if (auto written = write_text(path, to_json(profile, key)); !written) return std::unexpected(written.error());
    return profile;
}

}  // namespace apreqel
