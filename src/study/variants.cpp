#include "study/variants.h"

#include "base/file.h"
#include "quantize/audit.h"
#include "quantize/write_models.h"
#include "study/keys.h"

#include <algorithm>
#include <set>

namespace apreqel {
namespace {

/// Reading more than this takes longer than a moment, and is a step worth showing.
constexpr double kLongRead = 1 << 30;

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
                                   QuantType embedding_type)
{
    return workspace.keyed(std::format("variants/{}.gguf", variant.name),
                           std::format("model {}, embedding {}", inventory.fingerprint, type_name(embedding_type)) +
                               variant_key(inventory, variant));
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
    double total = 0;
    double done = 0;
    for (const ModelFile& file : files) {
        std::error_code absent;
        const auto bytes = std::filesystem::file_size(file.path, absent);
        if (!absent) total += static_cast<double>(bytes);
    }
    const bool shown = total > kLongRead;
    if (shown) study.monitor.begin("check variants", total);
    const auto progress = [&](std::uint64_t bytes) {
        if (shown) study.monitor.advance(done += static_cast<double>(bytes));
        return true;
    };
    for (std::size_t v = 0; v < files.size(); ++v) {
        if (is_whole(files[v].path, study.monitor, progress)) continue;
        TypeAssignment assignment = assign_types(study.inventory, study.settings.types[v], study.settings.embedding_type);
        missing.push_back({.path = files[v].path,
                           .types = std::move(assignment.types),
                           .notes = {},
                           .origins = std::move(assignment.origins)});
    }
    if (shown) study.monitor.end(std::format("{} of {} are there", files.size() - missing.size(), files.size()));
    if (missing.empty()) return {};
    return write_models(study.inventory, missing, {}, thread_count(study.settings.run), study.monitor);
}

Result<std::vector<std::filesystem::path>> build_mixes(const Study& study,
                                                       const std::vector<std::vector<LayerType>>& allocations)
{
    std::vector<std::filesystem::path> paths;
    if (allocations.empty()) return paths;
    if (auto enough = check_space_for(study, allocations.size()); !enough) return std::unexpected(enough.error());
    Unseen unseen(study.monitor);
    study.monitor.begin("mixed models", static_cast<double>(allocations.size()));
    for (const std::vector<LayerType>& allocation : allocations) {
        paths.push_back(study.workspace.keyed("mixes/mix.gguf", allocation_key(study, allocation)));
        study.monitor.advance(static_cast<double>(paths.size()));
        if (is_whole(paths.back(), study.monitor)) continue;
        const Plan plan{.model = study.inventory.fingerprint,
                        .method = "",
                        .embedding_type = type_name(study.settings.embedding_type),
                        .allocation = allocation};
        if (auto built = splice(study.inventory, plan, study.workspace, paths.back(), thread_count(study.settings.run), unseen,
                                study.settings.types);
            !built) {
            return std::unexpected(built.error());
        }
    }
    study.monitor.end(std::format("{} spliced", paths.size()));
    return paths;
}

void remove_mixes(const std::vector<std::filesystem::path>& mixes)
{
    std::error_code ignored;
    for (const auto& path : mixes) std::filesystem::remove(path, ignored);
}

}  // namespace apreqel
