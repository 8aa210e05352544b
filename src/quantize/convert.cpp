#include "quantize/convert.h"

#include "quantize/dequantize.h"

#include <ggml.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace apreqel {
namespace {

/// The largest f16. Block scales are f16, and the search for them squares weights in F32: beyond this, the result would be
/// infinite, or finite and wrong.
constexpr float kLargest = 65504;

/// Largest magnitude; infinite or not a number if any weight is. On the bit patterns, as they order like magnitudes.
float largest_magnitude(std::span<const float> weights)
{
    std::uint32_t largest = 0;
    for (const float weight : weights) largest = std::max(largest, std::bit_cast<std::uint32_t>(weight) & 0x7fffffffU);
    return std::bit_cast<float>(largest);
}

bool is_finite(float magnitude) { return magnitude <= std::numeric_limits<float>::max(); }

}  // namespace

Result<> RowConverter::load(const Tensor& tensor, std::span<const std::byte> stored, std::int64_t first_row, std::int64_t rows)
{
    tensor_ = &tensor;
    first_row_ = first_row;
    rows_ = rows;
    weights_.resize(static_cast<std::size_t>(rows * tensor.columns()));
    dequantize(tensor.type, stored, weights_);
    largest_ = largest_magnitude(weights_);
    if (!is_finite(largest_)) return fail("quantize {}: it holds weights that are infinite or not a number", tensor.name);
    return {};
}

Result<> RowConverter::check_range(QuantType type) const
{
    if (largest_ > kLargest && type.id != GGML_TYPE_F32 && type.id != GGML_TYPE_BF16)
        return fail("quantize {}: weights as large as {:g} do not fit {}", tensor_->name, largest_, type_name(type));
    return {};
}

Result<std::span<const std::byte>> RowConverter::convert(QuantType type, bool importance)
{
    if (auto fits = check_range(type); !fits) return std::unexpected(fits.error());
    const std::size_t bytes = static_cast<std::size_t>(rows_) * row_bytes(type, tensor_->columns());
    converted_.resize(bytes);
    const auto id = static_cast<ggml_type>(type.id);
    std::size_t written = 0;
    // Each matrix of a tensor of experts has an importance of its own.
    const std::int64_t of_matrix = tensor_->shape[1];
    const bool weighted = importance && tensor_->importance;
    for (std::int64_t row = 0; row < rows_;) {
        const std::int64_t matrix = (first_row_ + row) / of_matrix;
        const std::int64_t end = weighted ? std::min(rows_, (matrix + 1) * of_matrix - first_row_) : rows_;
        const float* columns = weighted ? tensor_->importance->data() + matrix * tensor_->columns() : nullptr;
        written += ggml_quantize_chunk(id, weights_.data() + row * tensor_->columns(), converted_.data() + written, 0,
                                       end - row, tensor_->columns(), columns);
        row = end;
    }
    if (written != bytes) return fail("quantize {}: libggml cannot make {}", tensor_->name, type_name(type));
    return converted_;
}

Result<std::span<const std::byte>> RowConverter::round(QuantType type)
{
    if (auto fits = check_range(type); !fits) return std::unexpected(fits.error());
    converted_.resize(static_cast<std::size_t>(rows_) * row_bytes(type, tensor_->columns()));
    rounded_ = weights_;
    if (auto done = rounder_.round(tensor_->hessian, type, rounded_, static_cast<std::size_t>(rows_), converted_); !done)
        return std::unexpected(done.error());
    return converted_;
}

RowConverter::Distortion& RowConverter::Distortion::operator+=(const Distortion& other)
{
    error += other.error;
    energy += other.energy;
    weighted_error += other.weighted_error;
    weighted_energy += other.weighted_energy;
    return *this;
}

Result<std::span<const std::byte>> RowConverter::image(QuantType type, bool importance, QuantType form, Distortion& distortion)
{
    const auto quantized = convert(type, importance);
    if (!quantized) return quantized;
    return image_of(type, *quantized, form, distortion);
}

Result<std::span<const std::byte>> RowConverter::image_with_feedback(QuantType type, QuantType form, Distortion& distortion)
{
    const auto quantized = round(type);
    if (!quantized) return quantized;
    return image_of(type, *quantized, form, distortion);
}

Result<> RowConverter::weigh_by_output(Distortion& distortion)
{
    const auto rows = static_cast<std::size_t>(rows_);
    rounded_ = weights_;
    const auto energy = rounder_.output_energy(tensor_->hessian, rounded_, rows);
    if (!energy) return std::unexpected(energy.error());
    for (std::size_t i = 0; i < weights_.size(); ++i) rounded_[i] = image_[i] - weights_[i];
    const auto error = rounder_.output_energy(tensor_->hessian, rounded_, rows);
    if (!error) return std::unexpected(error.error());
    if (*energy > 0) distortion.weighted_error = distortion.weighted_energy * *error / *energy;
    return {};
}

std::span<const std::byte> RowConverter::image_of(QuantType type, std::span<const std::byte> quantized, QuantType form,
                                                  Distortion& distortion)
{
    const auto count = static_cast<std::int64_t>(weights_.size());
    image_.resize(weights_.size());
    dequantize(type, quantized, image_);
    distortion = {};
    const auto columns = static_cast<std::size_t>(tensor_->columns());
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows_); ++row) {
        const std::size_t matrix = (static_cast<std::size_t>(first_row_) + row) / static_cast<std::size_t>(tensor_->shape[1]);
        const float* const weights = weights_.data() + row * columns;
        const float* const images = image_.data() + row * columns;
        const float* const importance = tensor_->importance ? tensor_->importance->data() + matrix * columns : nullptr;
        Distortion of_row;
        for (std::size_t c = 0; c < columns; ++c) {
            const double difference = double{weights[c]} - images[c];
            const double error = difference * difference;
            const double energy = double{weights[c]} * weights[c];
            const double worth = importance == nullptr ? 1.0 : double{importance[c]};
            of_row += {error, energy, worth * error, worth * energy};
        }
        distortion += of_row;
    }
    stored_.resize(static_cast<std::size_t>(rows_) * row_bytes(form, tensor_->columns()));
    if (form.id == GGML_TYPE_F32) {
        std::memcpy(stored_.data(), image_.data(), stored_.size());
    } else {
        ggml_get_type_traits(static_cast<ggml_type>(form.id))->from_float_ref(image_.data(), stored_.data(), count);
    }
    return stored_;
}

}  // namespace apreqel
