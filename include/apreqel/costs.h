// Costs of something by several criteria, and what makes one better than another.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// One value for each criterion, in the caller's order and units, all to be minimised.
using Costs = std::vector<double>;

/// a is nowhere worse than b and somewhere better. As many criteria in both; what is not a number is neither.
[[nodiscard]] bool dominates(std::span<const double> a, std::span<const double> b);

/// For each point, whether no other point dominates it.
[[nodiscard]] std::vector<bool> non_dominated(std::span<const Costs> points);

/// The best value of each criterion; nothing of no points.
[[nodiscard]] Costs best_of(std::span<const Costs> points);

/// The worst value of each criterion; nothing of no points.
[[nodiscard]] Costs worst_of(std::span<const Costs> points);

/// How costs of different units become comparable for TOPSIS.
enum class Normalization {
    minmax,  ///< the best is 0, the worst 1
    vector,  ///< divided by the Euclidean norm, as in the paper
};

/// What TOPSIS compares by. A value is divided by its norm and multiplied by its weight.
struct Scale {
    Costs norm;        ///< of each criterion, positive
    Costs ideal;       ///< best weighted normalised value of each criterion
    Costs anti_ideal;  ///< worst weighted normalised value of each criterion
};

}  // namespace apreqel
