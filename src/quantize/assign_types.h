// What every tensor is stored as under the variants chosen, and what cannot be.
#pragma once

#include "quantize/variant.h"

#include <apreqel/inventory.h>
#include <apreqel/measurement.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// Where the bytes of a tensor come from.
struct TensorOrigin {
    bool importance = true;                    ///< quantized with the tensor's importance, if it has one
    bool feedback = false;                     ///< rounded with error feedback, if the tensor has a Hessian
    std::shared_ptr<const Inventory> foreign;  ///< taken over from this model, unless it is rounded with error feedback
};

/// True if the weights of `tensor` are rounded with error feedback to be of `type`.
[[nodiscard]] bool is_rounded_with_feedback(const Tensor& tensor, QuantType type, const TensorOrigin& origin);

/// How a tensor is stored.
struct Storage {
    QuantType type;
    TensorOrigin origin;
    bool fallback = false;  ///< the type is llama.cpp's in place of one whose blocks do not fit the rows
    std::string obstacle;   ///< why this cannot be done, as in "attn_q: OBSTACLE"; empty: it can
};

/// How `variant` stores `tensor`. Everything that plans, measures or writes asks this, before any weight is read. One that is
/// quantized already stays as it is where a type would take more bytes: it would be no better.
[[nodiscard]] Storage storage_of(const Tensor& tensor, const Variant& variant);

/// Why `tensor` cannot be stored as `type` from `origin`; empty: it can.
[[nodiscard]] std::string obstacle_to(const Tensor& tensor, QuantType type, const TensorOrigin& origin);

/// A group of tensors and how it is stored.
struct GroupVariant {
    Group group;
    Variant variant;
};

/// Bits per weight of the layers, which orders variants by precision: the type's, or what the tensors come to where they are not
/// all of one.
[[nodiscard]] double bits_per_weight(const Inventory& inventory, const Variant& variant);

/// True if `variant` can store every tensor of the group, and is not but another name for the group as it is.
[[nodiscard]] bool can_store(const Inventory& inventory, const Group& group, const Variant& variant);

/// A usage error unless every group can be stored as asked. It names the tensors by role and count, and what to do.
[[nodiscard]] Result<> check_storage(const Inventory& inventory, std::span<const GroupVariant> groups);

/// The same for every one of `variants` in all layers, and for embedding and output tensors in `embedding`.
[[nodiscard]] Result<> check_storage(const Inventory& inventory, std::span<const Variant> variants, const Variant& embedding);

/// Type and origin of every tensor of an inventory, and which could not have the type asked for.
struct TypeAssignment {
    std::vector<QuantType> types;       ///< one per Inventory::tensors
    std::vector<TensorOrigin> origins;  ///< the same
    std::vector<Fallback> fallbacks;
};

/// The groups' tensors as asked for, the rest stays as in the source.
/// A tensor whose rows a type cannot hold falls back as llama.cpp does, and is listed.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, std::span<const GroupVariant> groups);

/// The same with a variant for each of Inventory::layers, and one for embedding and output tensors.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, std::span<const Variant> layers,
                                          const Variant& embedding);

/// The same with one variant for all layers.
[[nodiscard]] TypeAssignment assign_types(const Inventory& inventory, const Variant& layers, const Variant& embedding);

/// Bytes of all tensors under `types`: the memory metric.
[[nodiscard]] std::uint64_t tensor_bytes(const Inventory& inventory, std::span<const QuantType> types);

}  // namespace apreqel
