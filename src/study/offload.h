// Which part of a model is on accelerators: chosen together with the types, as a smaller type lets more of the model be there.
#pragma once

#include "study/study.h"

#include <apreqel/profile.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace apreqel {

/// As libllama counts them: the blocks, those that text never reaches too, and the output weights.
[[nodiscard]] inline std::size_t all_layers(const Inventory& inventory)
{
    return inventory.blocks + inventory.extra_blocks + 1;
}

/// As many `layers` as libllama counts: the last blocks of the model and, as the last of all, its output weights.
[[nodiscard]] Offload offload_of(const Inventory& inventory, std::size_t layers);

/// Where the bytes of all tensors are, in `types`, one for each.
[[nodiscard]] PlacedBytes placed_bytes(const Inventory& inventory, std::span<const QuantType> types, const Offload& offload);

/// The most layers with which the model in 16 bits takes at most `bytes` on accelerators, without any context.
[[nodiscard]] std::size_t layers_within(const Inventory& inventory, double bytes);

/// The outlook of the study with as many layers on accelerators as are best, as weighed by the request, when each number has the types
/// that are best for it: of 0 and of a few with which a type fills what accelerators may hold. Types are those that, by themselves, fit
/// there with so many. A KV cache whose types are chosen too is taken for the usual one. Interrupted, it makes do with the numbers that
/// were tried. → profile.json
/// Error: no number of layers can keep the limits.
[[nodiscard]] Result<Profile> choose_offload(const Study& study, const Sensitivity& sensitivity, const PlanRequest& request);

}  // namespace apreqel
