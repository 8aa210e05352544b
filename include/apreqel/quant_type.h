// A ggml quantization type, such as q4_K, without ggml's headers. Not to be confused with a file type such as Q4_K_M,
// which is a mix of quantization types.
#pragma once

#include <apreqel/error.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace apreqel {

/// A value of ggml's `ggml_type`. Every property is asked of libggml at run time.
struct QuantType {
    int id = 0;
    auto operator<=>(const QuantType&) const = default;
};

/// ggml's own spelling: "q4_K", "iq4_xs", "f16".
[[nodiscard]] std::string type_name(QuantType type);

/// The type of that name, in any letter case. Error: no such type (the message lists those that exist).
[[nodiscard]] Result<QuantType> parse_type(std::string_view name);

/// Bits per weight (bpw): 8 × bytes per block ÷ weights per block. q3_K: 3.4375.
[[nodiscard]] double bits_per_weight(QuantType type);

/// Weights per block. Rows of a tensor must be a multiple of it.
[[nodiscard]] std::int64_t block_size(QuantType type);

/// Bytes of one row of `columns` weights; `columns` must be a multiple of `block_size(type)`.
[[nodiscard]] std::uint64_t row_bytes(QuantType type, std::int64_t columns);

/// True for the block formats (q*, iq*, tq*, mxfp4 …), false for f32, f16, bf16 and integers.
[[nodiscard]] bool is_quantized(QuantType type);

/// True for the types a full-precision source may have: f32, f16, bf16.
[[nodiscard]] bool is_full_precision(QuantType type);

/// Nothing if full-precision weights can be quantized to `type`, with or without an importance matrix, and stock llama.cpp
/// runs the result; otherwise a usage error that says why not.
[[nodiscard]] Result<> check_target_type(QuantType type, bool has_importance = false);

}  // namespace apreqel
