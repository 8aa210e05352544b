#include "study/keys.h"

#include <algorithm>

namespace apreqel {

std::string variant_key(const Inventory& inventory, const Variant& variant)
{
    if (variant.foreign) return std::format(", {} is {}", variant.name, variant.foreign->fingerprint);
    return variant.importance ? ", importance " + inventory.importance : "";
}

std::string allocation_key(const Study& study, const std::vector<LayerType>& allocation)
{
    std::string key = std::format("model {}, embedding {}, {}", study.inventory.fingerprint,
                                  type_name(study.settings.embedding_type), tool_version());
    for (const LayerType& entry : allocation) key += std::format(", {}={}", entry.layer, entry.type);
    for (const Variant& variant : study.settings.types) {
        if (std::ranges::contains(allocation, variant.name, &LayerType::type)) key += variant_key(study.inventory, variant);
    }
    return key;
}

std::string quality_key(const Study& study, std::string_view text)
{
    const QualitySettings& settings = study.settings.quality;
    return std::format("model {}, text {}, context {}, chunks {}, compared {}, {}", study.inventory.fingerprint, digest({text}),
                       settings.context, settings.chunks, settings.kld_chunks, backend_version());
}

std::string speed_key(const Study& study)
{
    const SpeedSettings& settings = study.settings.speed;
    return std::format("{}, {}, {} repetitions without drift, order {}, tg {}, pp {}", device_name(study.settings.run),
                       backend_version(), settings.repetitions, settings.seed, settings.generated, settings.prompt);
}

}  // namespace apreqel
