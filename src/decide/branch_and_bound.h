// The distributions of types over layers of greatest closeness.
#pragma once

#include "decide/leaders.h"

#include <cstdint>

namespace apreqel {

/// Fills `leaders` as if all candidates were considered, or gives up after `most_steps` branches (false). At most
/// `kMostCriteria` criteria.
[[nodiscard]] bool branch_and_bound(std::size_t layers, std::span<const Costs> costs, std::span<const double> weights,
                                    Leaders& leaders, std::uint64_t most_steps);

}  // namespace apreqel
