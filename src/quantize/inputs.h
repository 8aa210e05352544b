// The files that a model to be written takes its bytes from.
#pragma once

#include "gguf/container.h"
#include "quantize/write_models.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace apreqel {

/// A file that write_models made from the same source, to splice from.
struct Donor {
    InputFile file;
    std::unordered_map<std::string, StoredTensor> tensors;
    std::unordered_map<std::string, std::uint64_t> digests;  ///< what the bytes of each tensor were when they were written
    std::vector<TensorOrigin> origins;                       ///< one per Inventory::tensors
};

/// The open files of the models made elsewhere.
using Foreign = std::map<const Inventory*, std::vector<InputFile>>;

struct Sources {
    std::vector<InputFile> files;  ///< one per Inventory::files
    Container first;               ///< of the first
};

/// Error: a file is not there or has changed since the inventory was read.
[[nodiscard]] Result<Sources> open_sources(const Inventory& inventory);

/// Those of `files` that can be spliced from; the others are named in warnings, but for those made with another importance
/// matrix or other Hessians.
[[nodiscard]] std::vector<Donor> open_donors(const Inventory& inventory, std::span<const DonorFile> files, Monitor& monitor);

/// Where the donors have `tensor`, one of the inventory's, as wanted; nullptr: none has.
[[nodiscard]] const Donor* find_donor(const std::vector<Donor>& donors, const Inventory& inventory, std::size_t tensor,
                                      QuantType wanted, const TensorOrigin& origin);

[[nodiscard]] Result<Foreign> open_foreign(std::span<const ModelSpec> specs);

}  // namespace apreqel
