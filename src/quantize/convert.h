// Rows of a tensor from one type to another.
#pragma once

#include "quantize/error_feedback.h"

#include <apreqel/inventory.h>

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// Rows in full precision, read once and then written in as many types as wanted. One per thread.
class RowConverter {
public:
    /// Takes `rows` rows from `first_row` on, stored as in `tensor`. Error: a weight is not a finite number.
    [[nodiscard]] Result<> load(const Tensor& tensor, std::span<const std::byte> stored, std::int64_t first_row,
                                std::int64_t rows);

    /// The rows in `type`, valid until the next call: the bytes llama-quantize writes, however the rows are cut into pieces.
    /// `importance`: with the tensor's, if it has one. Error: the type cannot represent weights that large.
    [[nodiscard]] Result<std::span<const std::byte>> convert(QuantType type, bool importance = true);

    /// The same with error feedback: the tensor has a Hessian, and the type is quantized and fits it.
    [[nodiscard]] Result<std::span<const std::byte>> round(QuantType type);

    /// What quantization costs: Σ‖w − ŵ‖² and Σ‖w‖² over the rows; and both with every column weighted by the tensor's
    /// importance, if it has one.
    struct Distortion {
        double error = 0;
        double energy = 0;
        double weighted_error = 0;
        double weighted_energy = 0;

        Distortion& operator+=(const Distortion& other);
    };

    /// The rows as they are after quantization to `type`, stored as `form`, a full-precision type; valid until the next call.
    [[nodiscard]] Result<std::span<const std::byte>> image(QuantType type, bool importance, QuantType form,
                                                           Distortion& distortion);

    /// The same for rows that are rounded with error feedback.
    [[nodiscard]] Result<std::span<const std::byte>> image_with_feedback(QuantType type, QuantType form,
                                                                         Distortion& distortion);

    /// The same for rows that were quantized elsewhere: `quantized` are their bytes in `type`.
    [[nodiscard]] std::span<const std::byte> image_of(QuantType type, std::span<const std::byte> quantized, QuantType form,
                                                      Distortion& distortion);

    /// Sets the weighted error of the last image to the share of its weighted energy that it changes of what the rows put out:
    /// Σ(ŵ − w)H(ŵ − w)ᵀ ÷ Σ wHwᵀ, where columns feel each other's errors. The tensor has a Hessian. Error: it cannot be read.
    [[nodiscard]] Result<> weigh_by_output(Distortion& distortion);

private:
    [[nodiscard]] Result<> check_range(QuantType type) const;

    const Tensor* tensor_ = nullptr;
    std::int64_t first_row_ = 0;
    std::int64_t rows_ = 0;
    float largest_ = 0;
    std::vector<float> weights_;
    std::vector<std::byte> converted_;
    FeedbackRounder rounder_;
    std::vector<float> rounded_;  ///< the weights, as error feedback changes them
    std::vector<float> image_;
    std::vector<std::byte> stored_;
};

}  // namespace apreqel
