// The full-precision form a model runs in while it is probed: 16 bits are not equally fast in all.
#pragma once

#include "study/study.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace apreqel {

/// Weights from which on it is worth the while to find out which form is fastest.
inline constexpr std::uint64_t kWorthTiming = 1 << 24;

/// The one of f16, bf16 and f32 that this machine computes a prompt in fastest, by shapes of the model; forms that take more
/// than half of the free memory are left out. That of the source, if it has fewer than `least` weights or no other is faster by a tenth.
/// → form.txt
[[nodiscard]] Result<QuantType> fastest_form(const Study& study, std::uint64_t least = kWorthTiming);

/// Seconds that a token of a prompt takes in `form`.
[[nodiscard]] Result<double> seconds_per_token(const Study& study, QuantType form);

/// `tensor` with weights that take a type in `form`.
[[nodiscard]] Tensor in_form(Tensor tensor, QuantType form);

/// The study's model, ready to be overwritten, with all weights that take a type in `form`. No file holds them in another form
/// than the source's: a shape of the model is loaded, and what it lacks is converted in memory. All tensors are found already.
[[nodiscard]] Result<std::unique_ptr<RunnableModel>> load_in_form(const Study& study, QuantType form);

/// Rows of one tensor.
struct RowRange {
    std::size_t tensor;  ///< index into Inventory::tensors
    std::int64_t first;
    std::int64_t count;
};

/// All rows of `tensors`, in pieces that one thread converts at a time.
[[nodiscard]] std::vector<RowRange> cut_rows(const Inventory& inventory, std::span<const std::size_t> tensors);

}  // namespace apreqel
