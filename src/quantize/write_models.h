// Writes GGUF files of given tensor types from one read of the source, taking tensors that already exist in that type
// from donors (splicing) and quantizing the rest.
#pragma once

#include "base/monitor.h"
#include "quantize/variant.h"

#include <apreqel/inventory.h>
#include <apreqel/measurement.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace apreqel {

/// Where the bytes of a tensor come from.
struct TensorOrigin {
    bool importance = true;                    ///< quantized with the tensor's importance, if it has one
    std::shared_ptr<const Inventory> foreign;  ///< not quantized but taken over from this model
};

/// Type and origin of every tensor of an inventory, and which could not have the type asked for.
struct TypeAssignment {
    std::vector<QuantType> types;       ///< one per Inventory::tensors
    std::vector<TensorOrigin> origins;  ///< the same
    std::vector<Fallback> fallbacks;
};

/// A group of tensors and how it is stored.
struct GroupVariant {
    TensorGroup group;
    Variant variant;
};

/// The groups' tensors as asked for, the rest stays as in the source.
/// A tensor whose rows a type cannot hold falls back as llama.cpp does, and is listed.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, std::span<const GroupVariant> groups);

/// The same with a variant for each of Inventory::layers, and one for embedding and output tensors.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, std::span<const Variant> layers,
                                          const Variant& embedding);

/// The same with one variant for all layers.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, const Variant& layers, const Variant& embedding);

/// A GGUF file to write.
struct ModelSpec {
    std::filesystem::path path;
    std::vector<QuantType> types;                            ///< one per Inventory::tensors
    std::vector<std::pair<std::string, std::string>> notes;  ///< string metadata added, such as {"apreqel.plan", "…"}
    std::vector<TensorOrigin> origins{};                     ///< one per Inventory::tensors; empty: all quantized here

    [[nodiscard]] TensorOrigin origin(std::size_t tensor) const { return origins.empty() ? TensorOrigin{} : origins[tensor]; }
};

/// Bytes of all tensors under `types`: the memory metric.
[[nodiscard]] std::uint64_t tensor_bytes(const Inventory& inventory, std::span<const QuantType> types);

/// Exact bytes of the file `write_models` would write.
[[nodiscard]] Result<std::uint64_t> file_bytes(const Inventory& inventory, const ModelSpec& spec);

/// Writes every spec, reading each source tensor once and quantizing it once per type, on `threads` threads, with
/// memory independent of the model's size. `donors` are GGUF files written by this function from the same source, each with
/// all its tensors quantized alike, with importance or without: a tensor they hold as wanted is copied. All metadata of the source is kept, except split.*;
/// general.file_type and general.quantization_version are set as llama-quantize sets them.
/// Every file is audited against its spec and renamed into place only when whole; existing files are replaced.
[[nodiscard]] Result<> write_models(const Inventory& inventory, std::span<const ModelSpec> specs,
                                    std::span<const std::filesystem::path> donors, unsigned threads, Monitor& monitor);

}  // namespace apreqel
