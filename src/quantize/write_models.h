// Writes GGUF files of given tensor types from one read of the source, taking tensors that already exist in that type
// from donors (splicing) and quantizing the rest.
#pragma once

#include "base/monitor.h"

#include <apreqel/inventory.h>
#include <apreqel/measurement.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace apreqel {

/// Type of every tensor of an inventory, and which could not have the type asked for.
struct TypeAssignment {
    std::vector<QuantType> types;  ///< one per Inventory::tensors
    std::vector<Fallback> fallbacks;
};

/// Layers get `layer_types` (one per Inventory::layers), embedding and output tensors `embedding_type`, the rest stays.
/// A tensor whose rows the type cannot hold falls back as llama.cpp does, and is listed.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, std::span<const QuantType> layer_types,
                                          QuantType embedding_type);

/// The same with one type for all layers.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, QuantType layer_type, QuantType embedding_type);

/// A GGUF file to write.
struct ModelSpec {
    std::filesystem::path path;
    std::vector<QuantType> types;                            ///< one per Inventory::tensors
    std::vector<std::pair<std::string, std::string>> notes;  ///< string metadata added, such as {"apreqel.plan", "…"}
};

/// Bytes of all tensors under `types`: the memory metric.
[[nodiscard]] std::uint64_t tensor_bytes(const Inventory& inventory, std::span<const QuantType> types);

/// Exact bytes of the file `write_models` would write.
[[nodiscard]] Result<std::uint64_t> file_bytes(const Inventory& inventory, const ModelSpec& spec);

/// Writes every spec, reading each source tensor once and quantizing it once per type, on `threads` threads, with
/// memory independent of the model's size. `donors` are GGUF files written by this function from the same source: a
/// tensor they hold in the type wanted is copied. All metadata of the source is kept, except split.*;
/// general.file_type and general.quantization_version are set as llama-quantize sets them.
/// Every file is audited against its spec and renamed into place only when whole; existing files are replaced.
[[nodiscard]] Result<> write_models(const Inventory& inventory, std::span<const ModelSpec> specs,
                                    std::span<const std::filesystem::path> donors, unsigned threads, Monitor& monitor);

}  // namespace apreqel
