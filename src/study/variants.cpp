#include "study/variants.h"

#include "quantize/write_models.h"
#include "study/keys.h"

namespace apreqel {
namespace {

/// Splicing one model takes a moment: only the whole set is a step worth showing.
class Unseen : public Monitor {
public:
    explicit Unseen(const Monitor& monitor) : monitor_(monitor) {}
    [[nodiscard]] bool stop_requested() const override { return monitor_.stop_requested(); }

private:
    const Monitor& monitor_;
};

}  // namespace

std::filesystem::path variant_path(const Workspace& workspace, const Inventory& inventory, const Variant& variant,
                                   QuantType embedding_type)
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
    const unsigned threads = thread_count(study.settings.run);
    if (auto written = write_models(study.inventory, missing, {}, threads, study.monitor); !written) return written;
    for (const ModelSpec& spec : missing)
        if (auto sealed = study.workspace.seal(spec.path, study.monitor); !sealed) return sealed;
    return {};
}

Result<std::filesystem::path> build_mix(const Study& study, const Plan& plan, Monitor& monitor)
{
    auto path = Facts::of(study.inventory, study.settings.embedding_type)
                    .with(Input::allocation, made_with(study.inventory, study.settings.types, plan.allocation))
                    .path(study.workspace, kMix);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) return path;
    if (auto built = quantize(study.inventory, plan, study.workspace, path, thread_count(study.settings.run), monitor,
                              study.settings.types);
        !built) {
        return std::unexpected(built.error());
    }
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return std::unexpected(sealed.error());
    return path;
}

Result<std::vector<std::filesystem::path>> build_mixes(const Study& study,
                                                       const std::vector<std::vector<LayerType>>& allocations)
{
    std::vector<std::filesystem::path> paths;
    if (allocations.empty()) return paths;
    Unseen unseen(study.monitor);
    study.monitor.begin("mixed models", static_cast<double>(allocations.size()));
    for (const std::vector<LayerType>& allocation : allocations) {
        const Plan plan{.model = study.inventory.fingerprint,
                        .method = "",
                        .embedding_type = type_name(study.settings.embedding_type),
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
