// A front where there are too many choices for a complete one, and the proof of how near it comes.
#pragma once

#include "decide/partial.h"

#include <apreqel/front.h>

#include <cstdint>
#include <vector>

namespace apreqel {

/// Costs in units that compare. Memory and latency: what a type takes beyond the least of its layer, as a share of the
/// range over all choices, in whole multiples of 2⁻⁴⁴, so that sums are exact in any order and ties are seen.
struct ScaledCosts {
    Metrics fixed{};
    std::vector<std::vector<Metrics>> layers;      ///< without types that another one of the layer dominates or equals
    std::vector<std::vector<std::uint8_t>> types;  ///< which ones the rest are
    Metrics range{};                               ///< of memory and latency, in the units of the input
};

struct Choice {
    Metrics cost{};                   ///< scaled
    std::vector<std::uint8_t> types;  ///< of each layer: an index into its scaled types
    std::uint32_t multiplier = 0;
};

struct NearFront {
    std::vector<Choice> choices;  ///< none dominates another; by cost
    Metrics range{};              ///< the memory and latency that `epsilon` is a share of, scaled
    double epsilon = 0;           ///< of the choices, as `Front::epsilon`
};

[[nodiscard]] NearFront near_front(const ScaledCosts& costs, const FrontSettings& settings);

}  // namespace apreqel
