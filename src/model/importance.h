// Importance matrices: how much each input column of a weight matters, as llama-imatrix collects it.
#pragma once

#include <apreqel/inventory.h>

#include <filesystem>

namespace apreqel {

/// Gives the tensors of `inventory` the importance that `path`, a GGUF file of llama-imatrix, has for them: the mean square of
/// every input column, as llama-quantize --imatrix reads it. Errors: not an importance matrix, of another model, damaged.
[[nodiscard]] Result<> read_importance(const std::filesystem::path& path, Inventory& inventory);

}  // namespace apreqel
