// The Pareto front of all ways to give a type to every group, where costs add up over groups.
#pragma once

#include <apreqel/costs.h>
#include <apreqel/error.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace apreqel {

/// Of one group, in each type.
using GroupCosts = std::vector<Costs>;

/// Costs of each group in each type, none negative, by the same criteria everywhere; at least one. What does not depend on the
/// choice is `fixed`, of which only the last may not be negative. Where some criterion spans orders of magnitude, it comes last: see
/// `Front::epsilon`.
struct AdditiveCosts {
    Costs fixed;
    std::vector<GroupCosts> groups;
};

/// The costs of one choice.
[[nodiscard]] Costs cost_of(const AdditiveCosts& costs, std::span<const std::uint8_t> types);

struct FrontPoint {
    Costs cost;
    std::vector<std::uint8_t> types;  ///< of each group
};

struct Front {
    std::vector<FrontPoint> points;  ///< none dominates another; by cost, the first criterion first
    /// Every choice there is has a point of the front that takes at most this share of the points' range more of each criterion
    /// but the last, and whose last is greater by at most this share of itself: so 0.001 is a thousandth of a small divergence
    /// too. Proved, but for rounding. 0: the front is complete. Nothing: it is not, and how near it comes is not known.
    std::optional<double> epsilon = 0;
};

struct FrontSettings {
    /// The front is complete where no more partial choices than this are needed to find it.
    std::size_t most_states = 150000;
    /// The same with more than three criteria, where each partial choice takes longer to compare.
    std::size_t most_states_of_many = 5000;
    /// What is good enough for `Front::epsilon` where the front is not complete.
    double epsilon = 0.001;
};

/// The front by dynamic programming over the groups: partial choices that another dominates are dropped. Where they are
/// too many, with up to three criteria those near the best for some weighting of the costs stay; weighted sums and complete
/// searches of what they leave open prove how near the front comes. With more criteria one stays of those that lie together,
/// and nothing is proved. Deterministic.
/// Errors: no groups, a group without types, more than 255 types, other criteria in one place than in another, a cost that is
/// negative where it may not be, not a number or above 1e100 in size.
[[nodiscard]] Result<Front> pareto_front(const AdditiveCosts& costs, const FrontSettings& settings = {});

/// The least Σ weight·cost over all choices, exactly: groups decide for themselves. A bound on every front.
[[nodiscard]] double least_weighted_cost(const AdditiveCosts& costs, const Costs& weights);

/// `count` indices into `points` that together dominate much volume below `reference`, best first: greedy, at least 63 % of
/// what the best choice of that many dominates. Fewer if no more add volume. Error: a value that is not finite.
[[nodiscard]] Result<std::vector<std::size_t>> spread(std::span<const Costs> points, const Costs& reference, std::size_t count);

}  // namespace apreqel
