#include "decide/multipliers.h"

#include <cmath>

namespace apreqel {

double least_sum(const ScaledCosts& costs, const Axes& weights)
{
    double sum = weighted(weights, costs.fixed);
    for (const auto& group : costs.groups) {
        double least = kInfinity;
        for (const Axes& cost : group) least = std::min(least, weighted(weights, cost));
        sum += least;
    }
    return sum;
}

Choice best_choice(const ScaledCosts& costs, const Axes& weights)
{
    Choice choice{.cost = costs.fixed, .types = {}};
    for (const auto& group : costs.groups) {
        const auto best = std::ranges::min_element(group, {}, [&](const Axes& cost) { return weighted(weights, cost); });
        choice.types.push_back(static_cast<std::uint8_t>(best - group.begin()));
        for (std::size_t j = 0; j < kAxes; ++j) choice.cost[j] += (*best)[j];
    }
    return choice;
}

Multipliers::Multipliers(const ScaledCosts& costs, double least_third, double most_third)
{
    // From where a ten-thousandth of the greatest third cost is worth the whole range of the first to where a thousand times
    // the least is.
    const double least = std::max(least_third, most_third * 1e-6);
    const double first = std::log(1e-4 / most_third);
    const double last = std::log(1e3 / least);
    constexpr double kLeast = 1e-300;  // below, as good as none
    side_ = most_third > kLeast ? static_cast<std::size_t>((last - first) / kStep) + 2 : 1;
    const auto value = [&](std::size_t i) { return i + 1 == side_ ? 0 : std::exp(-first - static_cast<double>(i) * kStep); };
    for (std::size_t i = 0; i < side_; ++i)
        for (std::size_t j = 0; j < side_; ++j) add(costs, {value(i), value(j), 1});
    for (std::size_t i = 0; i <= kEdge; ++i) {
        const double share = static_cast<double>(i) / kEdge;
        add(costs, {1 - share, share, 0});
    }
}

void Multipliers::add(const ScaledCosts& costs, const Axes& weights)
{
    weights_.push_back(weights);
    bounds_.push_back(least_sum(costs, weights));
}

}  // namespace apreqel
