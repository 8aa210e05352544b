#include "base/file.h"
#include "model/readiness.h"
#include "quantize/shape.h"
#include "study/keys.h"
#include "study/profile.h"

#include <algorithm>

namespace apreqel {
namespace {

/// The shapes that are timed, in a folder of the workspace that is empty before and after.
class Shapes {
public:
    explicit Shapes(const Study& study) : study_(study), folder_(study.workspace.path("shapes")) { clear(); }
    Shapes(const Shapes&) = delete;
    Shapes& operator=(const Shapes&) = delete;
    ~Shapes() { clear(); }

    Result<> add(TypeAssignment assignment)
    {
        ModelSpec spec{.path = folder_ / std::format("{}.gguf", paths_.size() + 1),
                       .types = std::move(assignment.types),
                       .notes = {},
                       .origins = std::move(assignment.origins)};
        if (auto written = write_shape(study_.inventory, spec); !written) return written;
        paths_.push_back(std::move(spec.path));
        return {};
    }

    [[nodiscard]] const std::vector<std::filesystem::path>& paths() const { return paths_; }

private:
    void clear() const
    {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) std::filesystem::remove(entry, ignored);
    }

    const Study& study_;
    std::filesystem::path folder_;
    std::vector<std::filesystem::path> paths_;
};

/// The mix as types of the model's tensors. It has one of the study's types for every layer, in their order, and may have one
/// for the embedding.
TypeAssignment assign_mix(const Study& study, const std::vector<GroupType>& mix)
{
    Variant embedding = study.settings.embedding_type;
    std::vector<Variant> layers;
    for (const GroupType& entry : mix) {
        const Variant& variant = *std::ranges::find(study.settings.types, entry.type, &Variant::name);
        if (entry.group == kEmbedding)
            embedding = variant;
        else
            layers.push_back(variant);
    }
    return assign_types(study.inventory, layers, embedding);
}

}  // namespace

Result<> time_shapes(DeviceProfile& device, const Study& study, const std::vector<std::vector<GroupType>>& mixes)
{
    Shapes shapes(study);
    for (const Variant& variant : study.settings.types)
        if (auto added = shapes.add(assign_types(study.inventory, variant, study.settings.embedding_type)); !added)
            return added;
    for (const std::vector<GroupType>& mix : mixes)
        if (auto added = shapes.add(assign_mix(study, mix)); !added) return added;
    const auto speeds = time_models(study, shapes.paths());
    if (!speeds) return std::unexpected(speeds.error());
    add_speeds(device, study, mixes, *speeds);
    return {};
}

SpeedSettings as_needed(SpeedSettings settings)
{
    settings.precision = 0.01;
    settings.sample_ms = 300;
    return settings;
}

Result<Profile> outlook(const Study& full)
{
    Study study = full;
    study.settings.speed = as_needed(study.settings.speed);
    if (auto ready = check_ready(study.inventory, "profile", {Task::load, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    const auto context = study.context();
    if (!context) return std::unexpected(context.error());
    auto profile = weighed_profile(study);
    if (!profile) return profile;
    const auto mixes = telling_mixes(study, true);
    const Facts facts = Facts::of(study).with(Input::mixes, made_with(study, mixes));
    const auto artifact = facts.path(study.workspace, kOutlook);
    auto kept = study.settings.remeasure ? std::nullopt : read_kept(artifact, read_device_profile, study.monitor);
    if (kept) {
        profile->device = std::move(*kept);
    } else {
        if (auto timed = time_shapes(profile->device, study, mixes); !timed) return std::unexpected(timed.error());
        if (auto written = write_text(artifact, to_json(profile->device, facts.key(kOutlook))); !written)
            return std::unexpected(written.error());
    }
    profile->device.context = *context;  // which takes no time, and is not kept
    if (study.settings.mix_cache) {
        auto cache = cache_profile(study);
        if (!cache) return std::unexpected(cache.error());
        profile->cache = std::move(*cache);
    }
    if (auto written = write_text(study.workspace.path("profile.json"), to_json(*profile)); !written)
        return std::unexpected(written.error());
    return profile;
}

}  // namespace apreqel
