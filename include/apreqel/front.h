// The Pareto front of all ways to give a type to every layer, where costs add up over layers.
#pragma once

#include <apreqel/plan.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace apreqel {

/// Costs of each layer in each type, to be minimised, none negative: memory in bytes, latency in ms per token, KL divergence
/// in nats per token. What does not depend on the choice is `fixed`.
struct AdditiveCosts {
    Metrics fixed{};
    std::vector<std::vector<Metrics>> layers;  ///< one row of types for each layer
};

/// The costs of one choice.
[[nodiscard]] Metrics cost_of(const AdditiveCosts& costs, std::span<const std::uint8_t> types);

struct FrontPoint {
    Metrics cost{};
    std::vector<std::uint8_t> types;  ///< of each layer
};

struct Front {
    std::vector<FrontPoint> points;  ///< none dominates another; by memory, ascending
    /// Every choice there is has a point of the front that takes at most this share of the points' range more memory, at
    /// most this share of their range more latency, and whose KL divergence is greater by at most this share of itself: so
    /// 0.001 is a thousandth of a small divergence too. Proved, but for rounding. 0: the front is complete.
    double epsilon = 0;
};

struct FrontSettings {
    /// The front is complete where no more partial choices than this are needed to find it.
    std::size_t most_states = 150000;
    /// What is good enough for `Front::epsilon` where it is not.
    double epsilon = 0.001;
};

/// The front by dynamic programming over the layers: partial choices that another dominates are dropped. Where they are
/// too many, those near the best for some weighting of the costs; weighted sums and complete searches of what they leave open
/// prove how near the front comes. Deterministic.
/// Errors: no layers, a layer without types, more than 255 types, a cost that is negative or not finite.
[[nodiscard]] Result<Front> pareto_front(const AdditiveCosts& costs, const FrontSettings& settings = {});

/// The least Σ weight·cost over all choices, exactly: layers decide for themselves. A bound on every front.
[[nodiscard]] double least_weighted_cost(const AdditiveCosts& costs, const Weights& weights);

/// `count` indices into `points` that together dominate much volume below `reference`, best first: greedy, at least 63 % of
/// what the best choice of that many dominates. Fewer if no more add volume.
[[nodiscard]] Result<std::vector<std::size_t>> spread(std::span<const Metrics> points, const Metrics& reference,
                                                      std::size_t count);

}  // namespace apreqel
