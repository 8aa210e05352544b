#include "base/file.h"
#include "quantize/write_models.h"
#include "study/study.h"
#include "study/variants.h"

#include <apreqel/version.h>

namespace apreqel {

std::string tool_version() { return std::format("apreqel {}, {}", kVersion, backend_version()); }

std::string importance_key(const Inventory& inventory)
{
    return inventory.importance.empty() ? "" : ", importance " + inventory.importance;
}

std::filesystem::path variant_path(const Workspace& workspace, const Inventory& inventory, QuantType type,
                                   QuantType embedding_type)
{
    return workspace.keyed(
        std::format("variants/{}.gguf", type_name(type)),
        std::format("model {}, embedding {}", inventory.fingerprint, type_name(embedding_type)) + importance_key(inventory));
}

Result<std::vector<std::filesystem::path>> build_variants(const Study& study)
{
    std::vector<std::filesystem::path> paths;
    std::vector<ModelSpec> missing;
    for (const QuantType type : study.settings.types) {
        paths.push_back(variant_path(study.workspace, study.inventory, type, study.settings.embedding_type));
        if (std::filesystem::exists(paths.back())) continue;
        missing.push_back({.path = paths.back(),
                           .types = assign_types(study.inventory, type, study.settings.embedding_type).types,
                           .notes = {}});
    }
    if (missing.empty()) return paths;
    if (auto written = write_models(study.inventory, missing, {}, thread_count(study.settings.run), study.monitor); !written) {
        return std::unexpected(written.error());
    }
    return paths;
}

Result<std::vector<TypeWeight>> weigh_types(const Inventory& inventory, const std::vector<QuantType>& types,
                                            QuantType embedding_type)
{
    std::vector<TypeWeight> weights;
    for (const QuantType type : types) {
        TypeAssignment assignment = assign_types(inventory, type, embedding_type);
        const std::uint64_t bytes = tensor_bytes(inventory, assignment.types);
        const auto whole = file_bytes(inventory, {.path = {}, .types = std::move(assignment.types), .notes = {}});
        if (!whole) return std::unexpected(whole.error());
        weights.push_back({.type = type_name(type),
                           .tensor_bytes = bytes,
                           .file_bytes = *whole,
                           .bits_per_weight = 8.0 * static_cast<double>(bytes) / static_cast<double>(inventory.parameters()),
                           .fallbacks = std::move(assignment.fallbacks)});
    }
    return weights;
}

Result<Profile> profile(const Study& study)
{
    if (auto precise = check_full_precision(study.inventory); !precise) return std::unexpected(precise.error());
    const auto paths = build_variants(study);
    if (!paths) return std::unexpected(paths.error());
    std::vector<ModelFile> files;
    for (std::size_t i = 0; i < paths->size(); ++i) files.push_back({(*paths)[i], type_name(study.settings.types[i])});
    auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());

    Profile profile{.model = study.inventory.fingerprint,
                    .model_name = study.inventory.name,
                    .layers = study.inventory.layers.size(),
                    .embedding_type = type_name(study.settings.embedding_type),
                    .types = {},
                    .device = device_name(study.settings.run),
                    .text = text_source(study),
                    .version = tool_version()};
    for (std::size_t i = 0; i < paths->size(); ++i) {
        const QuantType type = study.settings.types[i];
        UniformVariant variant{.type = type_name(type),
                               .bits_per_weight = bits_per_weight(type),
                               .measurement = std::move((*measurements)[i]),
                               .fallbacks = assign_types(study.inventory, type, study.settings.embedding_type).fallbacks};
        profile.types.push_back(std::move(variant));
    }
    if (auto written = write_text(study.workspace.path("profile.json"), to_json(profile)); !written)
        return std::unexpected(written.error());
    return profile;
}

}  // namespace apreqel
