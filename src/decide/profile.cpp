#include <apreqel/profile.h>

#include <algorithm>
#include <utility>

namespace apreqel {
namespace {

/// "q4_K" of "q4_K+imatrix" and of "q4_K+gptq": how weights are rounded takes no time.
std::string_view without_suffix(std::string_view type) { return type.substr(0, type.find('+')); }

/// What the model calls a type of the device, where it has that made in one way only.
std::string name_in(const ModelProfile& model, const std::string& type)
{
    if (std::ranges::contains(model.types, type, &UniformVariant::type)) return type;
    const auto same = std::ranges::find(model.types, without_suffix(type),
                                        [](const UniformVariant& variant) { return without_suffix(variant.type); });
    return same == model.types.end() ? type : same->type;
}

}  // namespace

Result<Profile> join(ModelProfile model, DeviceProfile device)
{
    if (!model.model.empty() && !device.model.empty() && model.model != device.model)
        return fail("plan: the profile is of model {}, the times of the device are of {}", model.model, device.model);
    if (!model.embedding_type.empty() && !device.embedding_type.empty() && model.embedding_type != device.embedding_type)
        return fail("plan: embedding and output are {} in the profile, {} in what the device timed", model.embedding_type,
                    device.embedding_type);
    for (TimedModel& timed : device.models) {
        if (timed.allocation.empty()) timed.name = name_in(model, timed.name);
        for (GroupType& entry : timed.allocation) entry.type = name_in(model, entry.type);
    }
    const auto times = [&](std::string_view type, bool exactly) {
        return std::ranges::find_if(device.models, [&](const TimedModel& timed) {
            const std::string_view name = exactly ? std::string_view(timed.name) : without_suffix(timed.name);
            return timed.allocation.empty() && name == (exactly ? type : without_suffix(type));
        });
    };
    for (const UniformVariant& variant : model.types) {  // both of a type are chosen from, and one was timed
        const auto same = times(variant.type, false);
        if (times(variant.type, true) == device.models.end() && same != device.models.end())
            device.models.push_back({.name = variant.type, .speed = same->speed});
    }
    return Profile{.model = std::move(model), .device = std::move(device)};
}

Measurement measurement_of(const Profile& profile, std::string_view type)
{
    const UniformVariant& variant = *std::ranges::find(profile.model.types, type, &UniformVariant::type);
    Measurement measurement{.name = variant.type,
                            .memory_bytes = variant.memory_bytes,
                            .bits_per_weight = variant.file_bits_per_weight,
                            .quality = variant.quality,
                            .speed = {}};
    const auto timed = std::ranges::find_if(
        profile.device.models, [&](const TimedModel& model) { return model.allocation.empty() && model.name == type; });
    if (timed != profile.device.models.end()) measurement.speed = timed->speed;
    measurement.cache = usual_cache(profile);
    return measurement;
}

std::optional<CacheChoice> usual_cache(const Profile& profile)
{
    if (!profile.cache) return std::nullopt;
    return CacheChoice{.types = {}, .bytes = profile.cache->keys.front().bytes};
}

std::vector<Metrics> type_metrics(const Profile& profile)
{
    std::vector<Metrics> metrics;
    for (const UniformVariant& variant : profile.model.types)
        metrics.push_back(metrics_of(measurement_of(profile, variant.type), profile.model.reference));
    return metrics;
}

}  // namespace apreqel
