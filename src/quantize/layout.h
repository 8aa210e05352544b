// What a model file to be written looks like, before any weight is there.
#pragma once

#include "gguf/header_writer.h"
#include "quantize/write_models.h"

namespace apreqel {

/// Metadata naming the fingerprint of the model a file was made from.
inline constexpr std::string_view kSourceKey = "apreqel.source";
/// Metadata naming the model and its types where it was quantized already: quality is relative to that file.
inline constexpr std::string_view kQuantizedSourceKey = "apreqel.quantized_source";
/// Metadata naming the importance matrix, where one was used.
inline constexpr std::string_view kImportanceKey = "apreqel.importance";
/// Metadata naming the Hessians, where weights were rounded with error feedback.
inline constexpr std::string_view kHessianKey = "apreqel.hessian";

/// The header of `spec`, with the metadata of `source`, the first file of the inventory. `digests`: see kDigestsKey; zeros, in
/// the same place, if there are none yet.
[[nodiscard]] HeaderLayout lay_out(const Inventory& inventory, const Container& source, const ModelSpec& spec,
                                   std::vector<std::uint64_t> digests = {});

/// Error: the spec asks for something its tensors cannot be turned into.
[[nodiscard]] Result<> check_spec(const Inventory& inventory, const ModelSpec& spec);

}  // namespace apreqel
