// The proof of how near a front comes, by the corners of what it leaves open.
#pragma once

#include "decide/multipliers.h"
#include "decide/scaled_costs.h"

#include <apreqel/front.h>

#include <cstddef>
#include <vector>

namespace apreqel {

/// What a front is proved by.
struct Evidence {
    const ScaledCosts& costs;
    const Multipliers& multipliers;
    Axes most{};           ///< that any choice costs
    Axes range{};          ///< of the first two costs: what shares are of
    std::size_t work = 0;  ///< that finding the front took
};

/// Proves how near the front of the choices comes, as `Front::epsilon`, and adds what it lacks where it is farthest off. The
/// choices are sorted by cost, and none dominates another; those added are at the end and may.
[[nodiscard]] double prove(const Evidence& evidence, const FrontSettings& settings, std::vector<Choice>& choices);

}  // namespace apreqel
