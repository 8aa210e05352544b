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
    /// Every choice there is has a point of the front that is no worse in KL divergence and worse in memory and latency by at
    /// most this share of their range. 0: the front is complete.
    double epsilon = 0;
};

struct FrontSettings {
    /// Where there are more than half as many partial choices to compare, those that lie together in a cell become one, until
    /// the next layer has no more than this.
    std::size_t most_states = 600000;
    /// Least width of a cell, as a share of the range of memory and of latency; it doubles until it is enough.
    double cell = 0.0003;
};

/// The front by dynamic programming over the layers: partial choices that another dominates are dropped. Deterministic.
/// Errors: no layers, a layer without types, more than 255 types, a cost that is negative or not finite.
[[nodiscard]] Result<Front> pareto_front(const AdditiveCosts& costs, const FrontSettings& settings = {});

/// The least Σ weight·cost over all choices, exactly: layers decide for themselves. A bound on every front.
[[nodiscard]] double least_weighted_cost(const AdditiveCosts& costs, const Weights& weights);

/// `count` indices into `points` that together dominate much volume below `reference`, best first: greedy, at least 63 % of
/// what the best choice of that many dominates. Fewer if no more add volume.
[[nodiscard]] Result<std::vector<std::size_t>> spread(std::span<const Metrics> points, const Metrics& reference,
                                                      std::size_t count);

}  // namespace apreqel
