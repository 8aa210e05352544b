// Writes GGUF files of given tensor types from one read of the source, taking tensors that already exist in that type
// from donors (splicing) and quantizing the rest.
#pragma once

#include "base/monitor.h"
#include "quantize/assign_types.h"

#include <apreqel/inventory.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace apreqel {

/// A GGUF file to write.
struct ModelSpec {
    std::filesystem::path path;
    std::vector<QuantType> types;                            ///< one per Inventory::tensors
    std::vector<std::pair<std::string, std::string>> notes;  ///< string metadata added, such as {"apreqel.plan", "…"}
    std::vector<TensorOrigin> origins{};                     ///< one per Inventory::tensors; empty: all quantized here

    [[nodiscard]] TensorOrigin origin(std::size_t tensor) const { return origins.empty() ? TensorOrigin{} : origins[tensor]; }
};

/// A GGUF file that write_models made from the same source, to splice from.
struct DonorFile {
    std::filesystem::path path;
    std::vector<TensorOrigin>
        origins{};  ///< one per Inventory::tensors; empty: all as the file says, and quantized from the source

    /// NOLINTNEXTLINE(google-explicit-constructor): most were made alike in all tensors
    DonorFile(std::filesystem::path made_alike) : path(std::move(made_alike)) {}
    DonorFile(std::filesystem::path mixed, std::vector<TensorOrigin> of_tensors)
        : path(std::move(mixed)), origins(std::move(of_tensors))
    {
    }
};

/// Exact bytes of the file `write_models` would write.
[[nodiscard]] Result<std::uint64_t> file_bytes(const Inventory& inventory, const ModelSpec& spec);

/// Writes every spec, reading each source tensor once and quantizing it once per type, on `threads` threads, with
/// memory independent of the model's size. A tensor that `donors` hold as wanted is copied, if its bytes are still those that
/// were written. A donor that is not, or is no such file, is named in a warning and left out.
/// All metadata of the source is kept, except split.*; general.file_type (of the type that most weights of the layers have),
/// general.quantization_version and, of an importance matrix that was used, quantize.imatrix.* are set as llama-quantize sets them.
/// Every file is read back whole and audited against its spec and the digests taken while it was written, and renamed into
/// place only then; existing files are replaced. Errors: also a disk with too little room, before anything is written.
[[nodiscard]] Result<> write_models(const Inventory& inventory, std::span<const ModelSpec> specs,
                                    std::span<const DonorFile> donors, unsigned threads, Monitor& monitor);

}  // namespace apreqel
