// A front by up to three criteria where there are too many choices for a complete one.
#pragma once

#include "decide/scaled_costs.h"

#include <apreqel/front.h>

#include <vector>

namespace apreqel {

struct NearFront {
    std::vector<Choice> choices;  ///< none dominates another; by cost
    Axes range{};                 ///< the first two costs that `epsilon` is a share of, scaled
    double epsilon = 0;           ///< of the choices, as `Front::epsilon`
};

[[nodiscard]] NearFront near_front(const ScaledCosts& costs, const FrontSettings& settings);

}  // namespace apreqel
