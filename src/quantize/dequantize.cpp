#include "quantize/dequantize.h"

#include <ggml.h>

#include <cstdint>
#include <cstring>

namespace apreqel {

void dequantize(QuantType type, std::span<const std::byte> stored, std::span<float> weights)
{
    if (type.id == GGML_TYPE_F32) {
        std::memcpy(weights.data(), stored.data(), weights.size_bytes());
    } else {
        ggml_get_type_traits(static_cast<ggml_type>(type.id))
            ->to_float(stored.data(), weights.data(), static_cast<std::int64_t>(weights.size()));
    }
}

}  // namespace apreqel
