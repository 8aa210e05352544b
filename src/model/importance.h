// Importance matrices: how much each input column of a weight matters, in the file format of llama-imatrix.
#pragma once

#include "base/monitor.h"

#include <apreqel/inventory.h>

#include <filesystem>
#include <string_view>

namespace apreqel {

/// Sums over everything a weight was multiplied with. A tensor of experts has several matrices, each with inputs of its own.
struct InputSums {
    std::string tensor;
    std::vector<double> squares;        ///< per column, one matrix after another
    std::vector<std::uint64_t> inputs;  ///< rows summed, per matrix; 0: the text never reached that expert
};

struct ImportanceMatrix {
    std::vector<InputSums> tensors;  ///< in the order of the inventory, without those that saw no input
    std::string text;                ///< where the text came from, for people
    std::size_t context = 0;         ///< tokens of one chunk
    std::size_t chunks = 0;
};

/// Writes the GGUF that llama-imatrix would: NAME.in_sum2 and NAME.counts of every tensor, in f32.
[[nodiscard]] Result<> write_importance(const std::filesystem::path& path, const ImportanceMatrix& matrix);

/// Gives the tensors of `inventory` the importance that `path` has for them: the mean square of every input column, as
/// llama-quantize --imatrix reads it; the columns of an expert that the text never reached count alike. The inventory calls it
/// `name`, or as the file if that is empty, with a digest and its coverage, and knows where it is from.
/// Errors, which leave the inventory as it was: not an importance matrix, of another model, damaged.
[[nodiscard]] Result<> read_importance(const std::filesystem::path& path, Inventory& inventory, std::string_view name = {});

/// How many of the weights in layers the inventory's importance matrix has something for. Embedding and output have nothing in
/// most, and do without.
struct ImportanceCoverage {
    std::size_t covered = 0;
    std::size_t weights = 0;
};

[[nodiscard]] ImportanceCoverage importance_coverage(const Inventory& inventory);

/// Says how much the inventory's importance matrix, if it has one, covers: a warning where that is not everything.
void report_coverage(const Inventory& inventory, Monitor& monitor);

}  // namespace apreqel
