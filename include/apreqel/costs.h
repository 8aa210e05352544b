// Alternatives as rows of costs.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// What an alternative costs, one value for each column of a comparison, all to be minimised.
using Costs = std::vector<double>;

[[nodiscard]] bool dominates(std::span<const double> a, std::span<const double> b);
[[nodiscard]] std::vector<bool> non_dominated(std::span<const Costs> points);
[[nodiscard]] Costs best_of(std::span<const Costs> points);
[[nodiscard]] Costs worst_of(std::span<const Costs> points);

enum class Normalization { minmax, vector };

struct Scale {
    Costs norm;
    Costs ideal;
    Costs anti_ideal;
};

}  // namespace apreqel
