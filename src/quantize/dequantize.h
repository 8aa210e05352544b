// Stored weights as numbers.
#pragma once

#include <apreqel/quant_type.h>

#include <cstddef>
#include <span>

namespace apreqel {

/// As many weights as `weights` has room for, of a type that libggml can read back, or f32.
void dequantize(QuantType type, std::span<const std::byte> stored, std::span<float> weights);

}  // namespace apreqel
