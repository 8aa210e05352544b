#include <apreqel/profile.h>

#include <algorithm>

namespace apreqel {

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
    return measurement;
}

std::vector<Metrics> type_metrics(const Profile& profile)
{
    std::vector<Metrics> metrics;
    for (const UniformVariant& variant : profile.model.types)
        metrics.push_back(metrics_of(measurement_of(profile, variant.type), profile.model.reference));
    return metrics;
}

}  // namespace apreqel
