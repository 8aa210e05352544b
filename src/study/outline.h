// What a sensitivity is of: groups of tensors, and how each would be stored.
#pragma once

#include "quantize/write_models.h"
#include "study/study.h"

#include <cstdint>
#include <span>
#include <vector>

namespace apreqel {

/// The model with all its groups in `variant` that can be.
[[nodiscard]] TypeAssignment assign_all(const Inventory& inventory, std::span<const Group> groups, const Variant& variant);

/// Bytes of the group's tensors in `types`, one for each tensor of the inventory.
[[nodiscard]] std::uint64_t bytes_of(const Inventory& inventory, const Group& group, std::span<const QuantType> types);

/// Everything but types and probes.
[[nodiscard]] Sensitivity outline(const Study& study, std::span<const Group> groups);

}  // namespace apreqel
