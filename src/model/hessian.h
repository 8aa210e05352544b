// What an error in a weight does to the output of its layer: the second moments of the layer's inputs, as error feedback needs
// them (GPTQ, Frantar et al. 2023).
#pragma once

#include "base/file.h"

#include <apreqel/inventory.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace apreqel {

/// Columns of a weight that feel each other's errors.
struct Span {
    std::int64_t begin = 0;
    std::int64_t width = 0;
};

/// The columns of a row in pieces of at most 1024 that are about equally wide and that the blocks of all types fit: what is
/// beyond a piece adds little and costs much. Empty: rows that no quantized type fits.
[[nodiscard]] std::vector<Span> spans_of(std::int64_t columns);

/// Numbers that the matrices of all spans have together.
[[nodiscard]] std::size_t span_elements(std::int64_t columns);

/// H = Σ x·xᵀ over inputs x: of each span its columns² sums, row by row, of which only the lower triangle counts.
using InputMoments = std::vector<float>;

/// What correlations between inputs count for, the rest of H being its diagonal (a shrinkage estimate: Ledoit and Wolf 2004): those of
/// a short text hold for other texts in part only. Best of 1, 0.9, 0.7, 0.5 and 0.25 on text of two other kinds (docs/method.md).
inline constexpr double kCorrelations = 0.7;

/// H⁻¹ = UᵀU for every span, in place: U row by row, its lower triangle 0. Of H correlations count as said, and to its diagonal 1 % of
/// its mean is added, as in the paper. Where all inputs were 0, U is the identity: errors stay where they are. False: a sum is not finite.
[[nodiscard]] bool factor_inverse(InputMoments& moments, std::int64_t columns);

/// Where the U of a tensor are: in the file their upper triangles alone, row by row, as bf16. Tensors with one input share them.
struct HessianFactor {
    std::shared_ptr<const InputFile> file;
    std::uint64_t offset = 0;
    std::int64_t columns = 0;

    /// As `factor_inverse` leaves them.
    [[nodiscard]] Result<std::vector<float>> read() const;
};

/// Tensors that are multiplied with one input, as indices into Inventory::tensors, ascending.
using SharedInput = std::vector<std::size_t>;

/// Writes a file of factors, one of `inputs` after the other.
class HessianWriter {
public:
    [[nodiscard]] static Result<HessianWriter> create(const std::filesystem::path& path, const Inventory& inventory,
                                                      std::span<const SharedInput> inputs);
    /// `factors`: as `factor_inverse` leaves them.
    [[nodiscard]] Result<> write(std::size_t input, std::span<const float> factors);
    [[nodiscard]] Result<> commit() { return file_.commit(); }

private:
    HessianWriter(OutputFile file, std::vector<std::uint64_t> offsets, std::vector<std::int64_t> columns)
        : file_(std::move(file)), offsets_(std::move(offsets)), columns_(std::move(columns))
    {
    }

    OutputFile file_;
    std::vector<std::uint64_t> offsets_;
    std::vector<std::int64_t> columns_;  ///< of each input
};

/// Gives the tensors of `inventory` the factors that `path` has for them; the inventory knows it by its digest and its coverage.
/// Errors, which leave the inventory as it was: no such file, of another model, damaged.
[[nodiscard]] Result<> read_hessian(const std::filesystem::path& path, Inventory& inventory);

}  // namespace apreqel
