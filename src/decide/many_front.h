// The front by more than three criteria.
#pragma once

#include <apreqel/front.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace apreqel {

struct ManyFront {
    std::vector<std::vector<std::uint8_t>> choices;  ///< types of each group; no choice dominates another
    bool complete = true;
};

/// By dynamic programming over the groups. Where there are more than `most_states` partial choices, only some stay.
[[nodiscard]] ManyFront many_front(const AdditiveCosts& costs, std::size_t most_states);

}  // namespace apreqel
