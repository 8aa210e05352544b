#include "quantize/error_feedback.h"

#include "quantize/dequantize.h"

#include <ggml.h>

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace apreqel {
namespace {

/// Beyond, rounding one weight takes longer than it is worth: nearly nothing is lost in 8 bits.
constexpr std::size_t kMostLevels = 64;

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::byte mask_of(std::size_t bit) { return std::byte{1} << (bit % 8); }

void set_bit(std::span<std::byte> block, std::size_t bit, bool on)
{
    std::byte& byte = block[bit / 8];
    byte = on ? byte | mask_of(bit) : byte & ~mask_of(bit);
}

/// For every bit of a block of `type` the weights that it changes in one of some random blocks.
std::vector<std::vector<bool>> changes_of(QuantType type)
{
    constexpr int kBlocks = 8;          // some bits change nothing in some blocks
    constexpr float kPlausible = 1e4F;  // random bits of a scale may be no number
    const auto width = static_cast<std::size_t>(block_size(type));
    std::vector<std::byte> block(row_bytes(type, block_size(type)));
    std::vector<std::vector<bool>> changed(block.size() * 8, std::vector<bool>(width));
    std::vector<float> before(width);
    std::vector<float> after(width);
    std::mt19937 random(1);
    for (int found = 0; found < kBlocks;) {
        std::ranges::generate(block, [&] { return static_cast<std::byte>(random()); });
        dequantize(type, block, before);
        if (!std::ranges::all_of(before, [](float weight) { return std::abs(weight) < kPlausible; })) continue;
        ++found;
        for (std::size_t bit = 0; bit < changed.size(); ++bit) {
            block[bit / 8] ^= mask_of(bit);
            dequantize(type, block, after);
            block[bit / 8] ^= mask_of(bit);
            for (std::size_t i = 0; i < width; ++i)
                if (before[i] != after[i]) changed[bit][i] = true;
        }
    }
    return changed;
}

/// weights += errors × factors for `rows` rows of `columns`, each behind `stride` weights of the next; `errors` and `factors` have
/// `depth` in common. The sums of a row are in an order of its own: Eigen's product would choose one by the number of rows.
void add_product(float* weights, std::size_t stride, std::size_t rows, std::size_t columns, const float* errors,
                 std::size_t depth, const float* factors, std::size_t factor_stride)
{
    constexpr std::size_t kRows = 8;       // that read a strip of the factors while it is in the cache
    constexpr std::size_t kColumns = 256;  // of a strip
    for (std::size_t first = 0; first < rows; first += kRows) {
        const std::size_t end = std::min(rows, first + kRows);
        for (std::size_t begin = 0; begin < columns; begin += kColumns) {
            const std::size_t count = std::min(kColumns, columns - begin);
            for (std::size_t d = 0; d < depth; d += 4) {  // blocks are multiples of 4
                const float* const f0 = factors + d * factor_stride + begin;
                const float* const f1 = f0 + factor_stride;
                const float* const f2 = f1 + factor_stride;
                const float* const f3 = f2 + factor_stride;
                for (std::size_t row = first; row < end; ++row) {
                    const float* const e = errors + row * depth + d;
                    float* const w = weights + row * stride + begin;
                    for (std::size_t c = 0; c < count; ++c) w[c] += e[0] * f0[c] + e[1] * f1[c] + e[2] * f2[c] + e[3] * f3[c];
                }
            }
        }
    }
}

}  // namespace

BlockCodes::BlockCodes(QuantType type)
{
    const auto changed = changes_of(type);
    std::vector<std::vector<std::size_t>> bits(static_cast<std::size_t>(block_size(type)));
    for (std::size_t bit = 0; bit < changed.size(); ++bit) {
        if (std::ranges::count(changed[bit], true) != 1) continue;
        bits[static_cast<std::size_t>(std::ranges::find(changed[bit], true) - changed[bit].begin())].push_back(bit);
    }
    const std::size_t size = bits.front().size();
    const bool alike = std::ranges::all_of(bits, [&](const auto& code) { return code.size() == size; });
    if (size < 2 || (std::size_t{1} << size) > kMostLevels || !alike) return;  // one bit is a sign beside a codebook
    bits_ = std::move(bits);
    others_.assign(changed.size() / 8, std::byte{0xFF});
    for (const auto& code : bits_)
        for (const std::size_t bit : code) set_bit(others_, bit, false);
    patterns_.assign(std::size_t{1} << size, std::vector<std::byte>(others_.size()));
    for (std::size_t level = 0; level < patterns_.size(); ++level)
        for (std::size_t weight = 0; weight < bits_.size(); ++weight) set(patterns_[level], weight, level);
}

void BlockCodes::set_all(std::span<const std::byte> block, std::size_t level, std::span<std::byte> result) const
{
    for (std::size_t i = 0; i < others_.size(); ++i) result[i] = (block[i] & others_[i]) | patterns_[level][i];
}

void BlockCodes::set(std::span<std::byte> block, std::size_t weight, std::size_t level) const
{
    for (std::size_t b = 0; b < bits_[weight].size(); ++b) set_bit(block, bits_[weight][b], ((level >> b) & 1U) != 0);
}

Result<> FeedbackRounder::use(const std::shared_ptr<const HessianFactor>& hessian)
{
    if (hessian == hessian_) return {};
    auto factors = hessian->read();
    if (!factors) return std::unexpected(factors.error());
    factors_ = std::move(*factors);
    hessian_ = hessian;
    return {};
}

void FeedbackRounder::use(QuantType type)
{
    if (codes_ && type.id == type_.id) return;
    codes_ = std::make_unique<const BlockCodes>(type);
    type_ = type;
}

FeedbackRounder::BlockFactor FeedbackRounder::factor_of(const Span& span, const float* factors, std::size_t begin) const
{
    const auto width = static_cast<Eigen::Index>(block_size(type_));
    const auto at = static_cast<Eigen::Index>(begin);
    BlockFactor factor{.own = std::vector<float>(static_cast<std::size_t>(width * width)),
                       .importance = std::vector<float>(static_cast<std::size_t>(width))};
    Eigen::Map<Matrix> own(factor.own.data(), width, width);
    own = Eigen::Map<const Matrix>(factors, span.width, span.width).block(at, at, width, width);
    const Matrix inverse = own.triangularView<Eigen::Upper>().solve(Matrix::Identity(width, width));
    Eigen::Map<Eigen::VectorXf>(factor.importance.data(), width) = inverse.rowwise().squaredNorm();
    return factor;
}

Result<> FeedbackRounder::round(const std::shared_ptr<const HessianFactor>& hessian, QuantType type, std::span<float> weights,
                                std::size_t rows, std::span<std::byte> stored)
{
    if (auto used = use(hessian); !used) return used;
    use(type);
    const auto width = static_cast<std::size_t>(block_size(type));
    const std::size_t bytes = row_bytes(type, block_size(type));
    const auto columns = static_cast<std::size_t>(hessian->columns);
    const std::size_t row_size = columns / width * bytes;
    exact_.resize(rows * width);
    errors_.resize(rows * width);
    column_.resize(rows * bytes);
    const float* factors = factors_.data();
    for (const Span& span : spans_of(hessian->columns)) {
        const auto span_width = static_cast<std::size_t>(span.width);
        for (std::size_t begin = 0; begin < span_width; begin += width) {
            const std::size_t at = static_cast<std::size_t>(span.begin) + begin;
            const BlockFactor factor = factor_of(span, factors, begin);
            for (std::size_t row = 0; row < rows; ++row) std::copy_n(&weights[row * columns + at], width, &exact_[row * width]);
            // The library finds the scales; then every weight is rounded anew within them.
            ggml_quantize_chunk(static_cast<ggml_type>(type.id), exact_.data(), column_.data(), 0,
                                static_cast<std::int64_t>(rows), static_cast<std::int64_t>(width), factor.importance.data());
            for (std::size_t row = 0; row < rows; ++row) {
                const auto block = std::span(column_).subspan(row * bytes, bytes);
                round_block(factor, block, std::span(exact_).subspan(row * width, width),
                            std::span(errors_).subspan(row * width, width));
                std::ranges::copy(block, &stored[row * row_size + at / width * bytes]);
            }
            const std::size_t next = begin + width;
            if (next < span_width)
                add_product(&weights[static_cast<std::size_t>(span.begin) + next], columns, rows, span_width - next,
                            errors_.data(), width, factors + begin * span_width + next, span_width);
        }
        factors += span_width * span_width;
    }
    return {};
}

Result<double> FeedbackRounder::output_energy(const std::shared_ptr<const HessianFactor>& hessian, std::span<float> values,
                                              std::size_t rows)
{
    if (auto used = use(hessian); !used) return std::unexpected(used.error());
    Eigen::Map<Matrix> all(values.data(), static_cast<Eigen::Index>(rows), hessian->columns);
    const float* factors = factors_.data();
    double sum = 0;
    for (const Span& span : spans_of(hessian->columns)) {
        // H = U⁻¹U⁻ᵀ, so x·H·xᵀ = ‖x·U⁻¹‖².
        const Eigen::Map<const Matrix> factor(factors, span.width, span.width);
        auto part = all.middleCols(span.begin, span.width);
        factor.triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(part);
        sum += part.cast<double>().squaredNorm();
        factors += span.width * span.width;
    }
    return sum;
}

void FeedbackRounder::round_block(const BlockFactor& factor, std::span<std::byte> block, std::span<float> weights,
                                  std::span<float> errors)
{
    const std::size_t width = weights.size();
    const std::size_t levels = std::max<std::size_t>(1, codes_->levels());
    trial_.resize(block.size());
    values_.resize(levels * width);  // what each weight would be at every level
    for (std::size_t level = 0; level < levels; ++level) {
        if (codes_->empty())
            std::ranges::copy(block, trial_.begin());
        else
            codes_->set_all(block, level, trial_);
        dequantize(type_, trial_, std::span(values_).subspan(level * width, width));
    }
    for (std::size_t i = 0; i < width; ++i) {
        std::size_t nearest = 0;
        float least = std::numeric_limits<float>::infinity();
        for (std::size_t level = 0; level < levels; ++level) {
            const float distance = std::abs(values_[level * width + i] - weights[i]);
            if (distance < least) {
                least = distance;
                nearest = level;
            }
        }
        if (!codes_->empty()) codes_->set(block, i, nearest);
        const float* const own = factor.own.data() + i * width;
        errors[i] = (values_[nearest * width + i] - weights[i]) / own[i];
        for (std::size_t later = i + 1; later < width; ++later) weights[later] += errors[i] * own[later];
    }
}

}  // namespace apreqel
