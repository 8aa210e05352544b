// What GPUs make of quantized weights.
#pragma once

#include "runtime/settings.h"

#include <apreqel/quant_type.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// Rows of weights as a model has them.
struct RowFormat {
    QuantType type;
    std::int64_t columns;  ///< a multiple of the type's block
};

/// A type that a GPU cannot be trusted with.
struct WrongType {
    QuantType type;
    std::string fault;  ///< "Vulkan0 has no product of it", "CUDA0 multiplies it 12 % off"
};

/// Share of its norm that a product may be off by, for inputs rounded to 8 bits and sums in half precision. As much as libggml's
/// own tests of its backends allow (test-backend-ops: normalized mean squared error 5e-4).
inline constexpr double kProductError = 0.0223;

/// How far a product is off, as a share of its norm: products of `inputs`, vectors of `columns` values one after the other, with each
/// row of `weights`, those of one vector together. Infinite where one is no number.
[[nodiscard]] double product_error(std::span<const float> products, std::span<const float> weights,
                                   std::span<const float> inputs, std::size_t columns);

/// Has every GPU that `settings` allow, those of RPC servers among them, multiply random matrices of these formats by one vector
/// and by many, which are different programs there, and compares with the product of the dequantized weights: milliseconds a
/// type. Each type is named once. Nothing where there is no GPU, or no block is to go to it.
/// Error: a GPU cannot be used at all.
[[nodiscard]] Result<std::vector<WrongType>> find_wrong_types(const RunSettings& settings, std::span<const RowFormat> formats);

}  // namespace apreqel
