#include "decide/dominance_tree.h"
#include "decide/many_front.h"
#include "decide/near_front.h"
#include "decide/partial.h"

#include <apreqel/evaluation.h>
#include <apreqel/front.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <queue>
#include <ranges>

namespace apreqel {
namespace {

using Choices = std::vector<std::vector<std::uint8_t>>;

Result<> check(const AdditiveCosts& costs)
{
    constexpr double kMost = 1e100;  // sums and products of these are finite
    if (costs.groups.empty()) return fail("plan: there are no groups to choose types for");
    if (costs.fixed.empty()) return fail("plan: there are no criteria to choose types by");
    const auto check_row = [&](const Costs& row) -> Result<> {
        if (row.size() != costs.fixed.size())
            return fail("plan: costs by {} criteria cannot be added to costs by {}", row.size(), costs.fixed.size());
        for (const double value : row)
            if (!(value >= 0 && value <= kMost)) return fail("plan: a cost of {} cannot be planned with", value);
        return {};
    };
    for (std::size_t j = 0; j < costs.fixed.size(); ++j) {  // what is fixed is left out of all columns but the last
        const bool last = j + 1 == costs.fixed.size();
        if (const double value = costs.fixed[j]; !(std::abs(value) <= kMost && (value >= 0 || !last)))
            return fail("plan: a cost of {} cannot be planned with", value);
    }
    for (const GroupCosts& group : costs.groups) {
        if (group.empty() || group.size() > 255) return fail("plan: a group needs 1 to 255 types, it has {}", group.size());
        for (const Costs& row : group)
            if (auto good = check_row(row); !good) return good;
    }
    return {};
}

/// Costs as the search compares them: see `ScaledCosts`, but in the caller's order.
struct Scaled {
    AdditiveCosts costs;
    Choices types{};  ///< which ones of each group the rest are
    Costs range{};    ///< of all but the last criterion, in the units of the input
};

Scaled scale(const AdditiveCosts& costs)
{
    constexpr double kUnits = 1LL << 44;
    const std::size_t shares = costs.fixed.size() - 1;
    Scaled scaled{.costs = {.fixed = Costs(shares + 1), .groups = {}}, .types = {}, .range = Costs(shares)};
    scaled.costs.fixed.back() = costs.fixed.back();
    std::vector<Costs> least;
    for (const GroupCosts& group : costs.groups) {
        GroupCosts& rest = scaled.costs.groups.emplace_back();
        scaled.types.emplace_back();
        for (std::size_t q = 0; q < group.size(); ++q) {
            const auto better = [&](const Costs& other) { return dominates(other, group[q]); };
            if (std::ranges::any_of(group, better) || std::ranges::contains(rest, group[q])) continue;
            rest.push_back(group[q]);
            scaled.types.back().push_back(static_cast<std::uint8_t>(q));
        }
        least.push_back(best_of(rest));
        const Costs most = worst_of(rest);
        for (std::size_t j = 0; j < shares; ++j) scaled.range[j] += most[j] - least.back()[j];
    }
    for (std::size_t g = 0; g < costs.groups.size(); ++g) {
        for (Costs& cost : scaled.costs.groups[g]) {
            for (std::size_t j = 0; j < shares; ++j) {
                const double share = scaled.range[j] > 0 ? (cost[j] - least[g][j]) / scaled.range[j] : 0;
                cost[j] = std::round(share * kUnits) / kUnits;
            }
        }
    }
    return scaled;
}

/// Of up to three criteria.
Axes axes_of(const Costs& cost)
{
    Axes axes{};
    std::ranges::copy(cost | std::views::take(cost.size() - 1), axes.begin());
    axes[kThird] = cost.back();
    return axes;
}

ScaledCosts axes_of(const AdditiveCosts& costs)
{
    ScaledCosts result{.fixed = axes_of(costs.fixed), .groups = {}};
    for (const GroupCosts& group : costs.groups) {
        result.groups.emplace_back();
        for (const Costs& cost : group) result.groups.back().push_back(axes_of(cost));
    }
    return result;
}

/// The types of each choice of the complete front; nothing if there are too many.
std::optional<Choices> complete_front(const ScaledCosts& costs, std::size_t most_states)
{
    std::vector<Partial> states{{.cost = costs.fixed}};
    Trail trail;
    for (const auto& group : costs.groups) {
        states = extend(states, group, [](std::size_t, std::size_t) { return true; });
        if (states.size() > most_states) return std::nullopt;
        trail.record(states);
    }
    Choices choices;
    for (std::size_t s = 0; s < states.size(); ++s) choices.push_back(trail.types(s));
    return choices;
}

/// Points of the choices, none of which another dominates or equals, by cost.
std::vector<FrontPoint> points_of(const AdditiveCosts& costs, const Scaled& scaled, Choices choices)
{
    std::vector<FrontPoint> points;
    for (std::vector<std::uint8_t>& types : choices) {
        for (std::size_t g = 0; g < types.size(); ++g) types[g] = scaled.types[g][types[g]];
        points.push_back({.cost = cost_of(costs, types), .types = std::move(types)});
    }
    if (costs.fixed.size() > kAxes) {
        drop_dominated_of_many(points, &FrontPoint::cost);
    } else {
        drop_dominated(points, [](const FrontPoint& point) { return axes_of(point.cost); });
    }
    return points;
}

Front front_of_few(const AdditiveCosts& costs, const Scaled& scaled, const FrontSettings& settings)
{
    const ScaledCosts axes = axes_of(scaled.costs);
    if (auto choices = complete_front(axes, settings.most_states))
        return {.points = points_of(costs, scaled, std::move(*choices))};

    NearFront near = near_front(axes, settings);
    Choices choices;
    for (Choice& choice : near.choices) choices.push_back(std::move(choice.types));
    Front front{.points = points_of(costs, scaled, std::move(choices)), .epsilon = near.epsilon};
    // The search does not know the front's range before there is one.
    for (std::size_t j = 0; j < scaled.range.size(); ++j) {
        const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
        const auto [least, most] = std::ranges::minmax(front.points | std::views::transform(cost));
        const double assumed = near.range[j] * scaled.range[j];
        if (assumed > 0) front.epsilon = std::max(*front.epsilon, near.epsilon * assumed / (most - least));
    }
    return front;
}

}  // namespace

Costs cost_of(const AdditiveCosts& costs, std::span<const std::uint8_t> types)
{
    Costs sum = costs.fixed;
    for (std::size_t g = 0; g < types.size(); ++g)
        for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += costs.groups[g][types[g]][j];
    return sum;
}

Result<Front> pareto_front(const AdditiveCosts& costs, const FrontSettings& settings)
{
    if (auto good = check(costs); !good) return std::unexpected(good.error());
    const Scaled scaled = scale(costs);
    if (costs.fixed.size() <= kAxes) return front_of_few(costs, scaled, settings);
    ManyFront many = many_front(scaled.costs, settings.most_states_of_many);
    return Front{.points = points_of(costs, scaled, std::move(many.choices)),
                 .epsilon = many.complete ? std::optional(0.0) : std::nullopt};
}

double least_weighted_cost(const AdditiveCosts& costs, const Costs& weights)
{
    const auto weighted = [&](const Costs& cost) { return std::inner_product(cost.begin(), cost.end(), weights.begin(), 0.0); };
    double sum = weighted(costs.fixed);
    for (const GroupCosts& group : costs.groups) sum += weighted(std::ranges::min(group, {}, weighted));
    return sum;
}

Result<std::vector<std::size_t>> spread(std::span<const Costs> points, const Costs& reference, std::size_t count)
{
    // What a point adds never grows as others join, so an old figure is an upper bound: most need not be looked at again.
    struct Gain {
        double volume;
        std::size_t point;
        std::size_t as_of;  ///< number of points chosen when it was computed
        bool operator<(const Gain& other) const { return volume != other.volume ? volume < other.volume : point > other.point; }
    };
    const auto comparable = [&](const Costs& point) {
        return point.size() == reference.size() && std::ranges::all_of(point, [](double v) { return std::isfinite(v); });
    };
    if (!comparable(reference) || !std::ranges::all_of(points, comparable))
        return fail("hypervolume: a cost is missing or not a finite number");
    std::vector<Costs> chosen;
    double volume = 0;
    std::priority_queue<Gain> gains;
    for (std::size_t p = 0; p < points.size(); ++p) {
        double alone = 1;
        for (std::size_t j = 0; j < reference.size(); ++j) alone *= std::max(0.0, reference[j] - points[p][j]);
        if (alone > 0) gains.push({alone, p, 0});
    }
    std::vector<std::size_t> result;
    while (result.size() < count && !gains.empty()) {
        const Gain best = gains.top();
        gains.pop();
        if (best.as_of == result.size()) {
            if (best.volume <= volume * 1e-12) break;
            result.push_back(best.point);
            chosen.push_back(points[best.point]);
            volume += best.volume;
            continue;
        }
        chosen.push_back(points[best.point]);
        const auto together = hypervolume(chosen, reference);
        chosen.pop_back();
        if (!together) return std::unexpected(together.error());
        gains.push({*together - volume, best.point, result.size()});
    }
    return result;
}

}  // namespace apreqel
