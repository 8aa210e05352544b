// The ranked among the points of a Pareto front.
#pragma once

#include "decide/prediction.h"
#include "decide/topsis.h"

#include <apreqel/front.h>
#include <apreqel/plan.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace apreqel {

/// The points of a front that keep the limits, ranked by TOPSIS.
struct RankedFront {
    struct Rank {
        std::size_t point;  ///< index into `front.points`
        Distances apart;
        double closeness;
    };

    Front front;
    Scale scale;
    std::vector<Rank> ranks;  ///< closest first; at least one
};

/// Ranks the front of `costs`, which are those of the prediction or what they might be instead.
/// Error: no point keeps the limits; it tells of the one that comes nearest.
[[nodiscard]] Result<RankedFront> rank_front(const Prediction& prediction, const AdditiveCosts& costs,
                                             const PlanRequest& request);

/// The plan of a point, without a ranking.
[[nodiscard]] Plan plan_of(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                           const Prediction& prediction, const FrontPoint& point);

}  // namespace apreqel
