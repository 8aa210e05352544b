// llama.cpp's own mixtures of types, which people know by the names of its file types.
#pragma once

#include <apreqel/inventory.h>

#include <filesystem>
#include <string_view>

namespace apreqel {

/// Writes the model at `output` as llama-quantize would, by libllama's own recipe for the file type and with the importance
/// matrix of `source`, if it has one. It cannot be interrupted. Errors: those of libllama, such as a type that needs such a matrix.
[[nodiscard]] Result<> quantize_stock(const Inventory& source, std::string_view name, const std::filesystem::path& output,
                                      unsigned threads);

}  // namespace apreqel
