// Weighted sums of costs, and the bounds they give: no choice has less than the least sum (Lagrange multipliers; Everett 1963).
#pragma once

#include "decide/scaled_costs.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace apreqel {

[[nodiscard]] inline double weighted(const Axes& weights, const Axes& cost)
{
    return weights[0] * cost[0] + weights[1] * cost[1] + weights[2] * cost[2];
}

/// The least Σ weight·cost over all choices: groups decide for themselves.
[[nodiscard]] double least_sum(const ScaledCosts& costs, const Axes& weights);

/// A choice that is best in a weighting.
[[nodiscard]] Choice best_choice(const ScaledCosts& costs, const Axes& weights);

/// Multipliers of the first two costs, that of the third being 1, in equal ratios; at the end of each side stands 0. With
/// each, the least weighted cost of all choices. Besides, some for the first two costs alone.
class Multipliers {
public:
    /// `least_third`, `most_third`: bounds of the third cost of all choices.
    Multipliers(const ScaledCosts& costs, double least_third, double most_third);

    [[nodiscard]] std::size_t size() const { return weights_.size(); }
    [[nodiscard]] std::size_t grid_size() const { return side_ * side_; }
    [[nodiscard]] const Axes& weights(std::size_t i) const { return weights_[i]; }
    [[nodiscard]] double bound(std::size_t i) const { return bounds_[i]; }

    /// Walks over the grid from `i` to where `f(index)` is least among neighbours, or at most `enough`; at first `step` places at
    /// once. Returns that value.
    template <class F>
    double descend(std::uint32_t& i, double enough, F f, std::size_t step = 8) const
    {
        if (i >= grid_size()) i = static_cast<std::uint32_t>(grid_size() / 2);
        double least = f(i);
        while (step > 0 && least > enough) {
            const std::size_t row = i / side_;
            const std::size_t column = i % side_;
            const std::array rows{row - std::min(row, step), row, std::min(row + step, side_ - 1)};
            const std::array columns{column - std::min(column, step), column, std::min(column + step, side_ - 1)};
            bool moved = false;
            for (const std::size_t r : rows) {
                for (const std::size_t c : columns) {
                    const auto index = static_cast<std::uint32_t>(r * side_ + c);
                    const double there = f(index);
                    if (there >= least) continue;
                    least = there;
                    i = index;
                    moved = true;
                }
            }
            if (!moved) step /= 2;
        }
        return least;
    }

private:
    static constexpr double kStep = 0.1;
    static constexpr std::size_t kEdge = 64;

    void add(const ScaledCosts& costs, const Axes& weights);

    std::size_t side_ = 0;
    std::vector<Axes> weights_;
    std::vector<double> bounds_;
};

}  // namespace apreqel
