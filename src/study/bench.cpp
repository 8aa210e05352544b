#include "model/readiness.h"
#include "study/profile.h"

namespace apreqel {

Result<Profile> bench(const Study& shape)
{
    Study study = shape;
    study.settings.speed = as_needed(study.settings.speed);
    if (auto ready = check_ready(study.inventory, "bench", {Task::load, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    const auto context = study.context();
    if (!context) return std::unexpected(context.error());
    for (Variant& variant : study.settings.types) variant.name = type_name(variant.type);
    auto profile = weighed_profile(study);
    if (!profile) return profile;
    if (auto timed = time_shapes(profile->device, study, telling_mixes(study, true)); !timed)
        return std::unexpected(timed.error());
    profile->device.context = *context;
    return profile;
}

}  // namespace apreqel
