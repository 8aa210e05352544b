// Rounding with error feedback: what rounding a weight does to the layer's output is made good by the weights after it in its
// row. GPTQ (Frantar et al. 2023, algorithm 1), in the blocks of libggml.
#pragma once

#include "model/hessian.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace apreqel {

/// The bits of a type's blocks that are the codes of single weights.
class BlockCodes {
public:
    /// Found by changing every bit of some blocks and looking at what becomes of the weights, so that no layout of libggml is
    /// repeated here. Types whose weights have no codes of their own (codebooks), or more than 64, have none.
    explicit BlockCodes(QuantType type);

    [[nodiscard]] bool empty() const { return patterns_.empty(); }
    [[nodiscard]] std::size_t levels() const { return patterns_.size(); }

    /// `block` with all its weights at one level.
    void set_all(std::span<const std::byte> block, std::size_t level, std::span<std::byte> result) const;
    void set(std::span<std::byte> block, std::size_t weight, std::size_t level) const;

private:
    std::vector<std::vector<std::size_t>> bits_;    ///< by weight, from the least to the most of the level's number
    std::vector<std::byte> others_;                 ///< the bits of a block that are of no code
    std::vector<std::vector<std::byte>> patterns_;  ///< by level
};

/// Quantizes rows of tensors that have a Hessian. One per thread.
class FeedbackRounder {
public:
    /// `rows` rows of `hessian.columns` weights, which are overwritten, as bytes of a quantized type that fits them. A row's bytes
    /// are the same whichever rows are rounded with it. Error: the Hessian cannot be read.
    [[nodiscard]] Result<> round(const std::shared_ptr<const HessianFactor>& hessian, QuantType type, std::span<float> weights,
                                 std::size_t rows, std::span<std::byte> stored);

    /// Σ x·H·xᵀ over `rows` rows x of `hessian.columns` numbers, which are overwritten; with the 1 % that is added to H. Error: the
    /// Hessian cannot be read.
    [[nodiscard]] Result<double> output_energy(const std::shared_ptr<const HessianFactor>& hessian, std::span<float> values,
                                               std::size_t rows);

private:
    /// What the columns of a block need of U.
    struct BlockFactor {
        std::vector<float> own;         ///< rows and columns of the block
        std::vector<float> importance;  ///< what an error costs that no later column can make good
    };

    [[nodiscard]] Result<> use(const std::shared_ptr<const HessianFactor>& hessian);
    void use(QuantType type);
    [[nodiscard]] BlockFactor factor_of(const Span& span, const float* factors, std::size_t begin) const;
    void round_block(const BlockFactor& factor, std::span<std::byte> block, std::span<float> weights, std::span<float> errors);

    std::shared_ptr<const HessianFactor> hessian_;
    std::vector<float> factors_;
    QuantType type_{};
    std::unique_ptr<const BlockCodes> codes_;
    std::vector<std::byte> trial_;
    std::vector<float> values_;
    std::vector<float> exact_;
    std::vector<float> errors_;
    std::vector<std::byte> column_;
};

}  // namespace apreqel
