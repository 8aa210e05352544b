// The types worth choosing from, which follow from the model.
#pragma once

#include "quantize/variant.h"

#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// At most 12 types, by bits per weight, that every layer can have without a fallback, so that a name is what is stored; with
/// error feedback or the importance matrix, if the model has what they need. Of a model that is quantized already: those that make a layer smaller, and as it
/// is. Where the blocks of K types fit all rows: these and the others that are smaller, faster or more accurate than any of them
/// somewhere. Else: those in blocks of 32. No two give the same bytes.
/// Tensors that no quantized type fits are f16 in all of them. Empty: nothing can be quantized.
[[nodiscard]] std::vector<Variant> fitting_types(const Inventory& inventory);

/// What `type` comes to in embedding and output tensors, where it falls back to one type in all of them; else `type`.
[[nodiscard]] QuantType embedding_type_of(const Inventory& inventory, QuantType type);

/// What becomes of those of `types` that do not fit all layers, and which types would, in one line; empty: all fit.
[[nodiscard]] std::string describe_misfits(const Inventory& inventory, std::span<const Variant> types);

}  // namespace apreqel
