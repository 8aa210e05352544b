#include "study/variants.h"

#include "base/file.h"
#include "quantize/write_models.h"
#include "study/keys.h"

#include <algorithm>
#include <set>

namespace apreqel {
namespace {

/// Splicing one model takes a moment: only the whole set is a step worth showing. A warning is worth it once.
class Unseen : public Monitor {
public:
    explicit Unseen(Monitor& monitor) : monitor_(monitor) {}
    void warn(std::string_view message) override
    {
        if (said_.emplace(message).second) monitor_.warn(message);
    }
    [[nodiscard]] bool stop_requested() const override { return monitor_.stop_requested(); }

private:
    Monitor& monitor_;
    std::set<std::string, std::less<>> said_;
};

}  // namespace

std::filesystem::path variant_path(const Workspace& workspace, const Inventory& inventory, const Variant& variant,
                                   const Variant& embedding_type)
{
    return Facts::of(inventory, embedding_type)
        .with(Input::type, made_with(inventory, variant))
        .path(workspace, kVariant, variant.name);
}

std::vector<ModelFile> variant_files(const Study& study)
{
    std::vector<ModelFile> files;
    for (const Variant& variant : study.settings.types) {
        files.push_back({variant_path(study.workspace, study.inventory, variant, study.settings.embedding_type), variant.name});
    }
    return files;
}

Result<> check_space_for(const Study& study, std::size_t mixes)
{
    const Inventory& inventory = study.inventory;
    const auto weights = weigh_types(inventory, study.settings.types, study.settings.embedding_type);
    if (!weights) return std::unexpected(weights.error());
    const std::vector<ModelFile> files = variant_files(study);
    if (files.empty()) return {};
    std::uint64_t needed = mixes * std::ranges::min_element(*weights, {}, &TypeWeight::file_bytes)->file_bytes;
    for (std::size_t v = 0; v < files.size(); ++v)
        if (!std::filesystem::exists(files[v].path)) needed += (*weights)[v].file_bytes;
    return check_space(study.workspace.directory(), needed);
}

Result<> check_space_for(const Study& study, const std::filesystem::path& output)
{
    const auto weights = weigh_types(study.inventory, study.settings.types, study.settings.embedding_type);
    if (!weights) return std::unexpected(weights.error());
    if (weights->empty()) return {};
    return check_space(output.parent_path(), std::ranges::min_element(*weights, {}, &TypeWeight::file_bytes)->file_bytes);
}

Result<> build_variants(const Study& study)
{
    std::vector<ModelSpec> missing;
    const std::vector<ModelFile> files = variant_files(study);
    for (std::size_t v = 0; v < files.size(); ++v) {
        const auto there = study.workspace.holds(files[v].path, study.monitor);
        if (!there) return std::unexpected(there.error());
        if (*there) continue;
        TypeAssignment assignment = assign_types(study.inventory, study.settings.types[v], study.settings.embedding_type);
        missing.push_back({.path = files[v].path,
                           .types = std::move(assignment.types),
                           .notes = {},
                           .origins = std::move(assignment.origins)});
    }
    if (missing.empty()) return {};
    const unsigned threads = study.platform().threads;
    if (auto written = write_models(study.inventory, missing, {}, threads, study.monitor); !written) return written;
    for (const ModelSpec& spec : missing)
        if (auto sealed = study.workspace.seal(spec.path, study.monitor); !sealed) return sealed;
    return {};
}

Result<std::filesystem::path> build_mix(const Study& study, const Plan& plan, Monitor& monitor, std::span<const BuiltMix> mixes)
{
    auto path = Facts::of(study.inventory, study.settings.embedding_type)
                    .with(Input::allocation, made_with(study.inventory, study.settings.types, plan.allocation))
                    .path(study.workspace, kMix);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) return path;
    const unsigned threads = study.platform().threads;
    const std::vector<Variant>& types = study.settings.types;
    if (auto built = quantize(study.inventory, plan, study.workspace, path, threads, monitor, types, mixes); !built)
        return std::unexpected(built.error());
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return std::unexpected(sealed.error());
    return path;
}

Result<std::vector<std::filesystem::path>> build_mixes(const Study& study,
                                                       const std::vector<std::vector<GroupType>>& allocations)
{
    std::vector<std::filesystem::path> paths;
    if (allocations.empty()) return paths;
    if (auto enough = check_space_for(study, allocations.size()); !enough) return std::unexpected(enough.error());
    Unseen unseen(study.monitor);
    study.monitor.begin("mixed models", static_cast<double>(allocations.size()));
    for (const std::vector<GroupType>& allocation : allocations) {
        const Plan plan{.model = study.inventory.fingerprint,
                        .embedding_type = study.settings.embedding_type.name,
                        .allocation = allocation};
        auto path = build_mix(study, plan, unseen);
        if (!path) return std::unexpected(path.error());
        paths.push_back(std::move(*path));
        study.monitor.advance(static_cast<double>(paths.size()));
    }
    study.monitor.end(std::format("{} spliced", paths.size()));
    return paths;
}

void remove_mixes(const Study& study, const std::vector<std::filesystem::path>& mixes)
{
    for (const auto& path : mixes) study.workspace.remove(path);
}

}  // namespace apreqel
