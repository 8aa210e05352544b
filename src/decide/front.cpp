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

ScaledCosts scale(const AdditiveCosts& costs)
{
    constexpr double kUnits = 1LL << 44;
    ScaledCosts scaled{.fixed = {0, 0, costs.fixed[kDivergence]}, .layers = {}, .types = {}};
    std::vector<Metrics> least;
    for (const auto& layer : costs.layers) {
        scaled.layers.emplace_back();
        scaled.types.emplace_back();
        for (std::size_t q = 0; q < layer.size(); ++q) {
            const auto better = [&](const Metrics& other) { return dominates(other, layer[q]); };
            if (std::ranges::any_of(layer, better)) continue;
            if (std::ranges::contains(layer.begin(), layer.begin() + static_cast<std::ptrdiff_t>(q), layer[q])) continue;
            scaled.layers.back().push_back(layer[q]);
            scaled.types.back().push_back(static_cast<std::uint8_t>(q));
        }
        least.push_back(best_of(scaled.layers.back()));
        const Metrics most = worst_of(scaled.layers.back());
        for (std::size_t j = 0; j < 2; ++j) scaled.range[j] += most[j] - least.back()[j];
    }
    for (std::size_t l = 0; l < scaled.layers.size(); ++l) {
        for (Metrics& cost : scaled.layers[l]) {
            for (std::size_t j = 0; j < 2; ++j) {
                const double share = scaled.range[j] > 0 ? (cost[j] - least[l][j]) / scaled.range[j] : 0;
                cost[j] = std::round(share * kUnits) / kUnits;
            }
        }
    }
    return scaled;
}

/// The types of each choice of the complete front; nothing if there are too many.
std::optional<std::vector<std::vector<std::uint8_t>>> complete_front(const ScaledCosts& costs, std::size_t most_states)
{
    std::vector<Partial> states{{.cost = costs.fixed}};
    Trail trail;
    for (const auto& layer : costs.layers) {
        states = extend(states, layer, [](std::size_t, std::size_t) { return true; });
        if (states.size() > most_states) return std::nullopt;
        trail.record(states);
    }
    std::vector<std::vector<std::uint8_t>> choices;
    for (std::size_t s = 0; s < states.size(); ++s) choices.push_back(trail.types(s));
    return choices;
}

/// Points of the choices, none of which another dominates or equals, by cost.
std::vector<FrontPoint> points_of(const AdditiveCosts& costs, const ScaledCosts& scaled,
                                  std::vector<std::vector<std::uint8_t>> choices)
{
    std::vector<FrontPoint> points;
    for (std::vector<std::uint8_t>& types : choices) {
        for (std::size_t l = 0; l < types.size(); ++l) types[l] = scaled.types[l][types[l]];
        points.push_back({.cost = cost_of(costs, types), .types = std::move(types)});
    }
    std::ranges::stable_sort(points, {}, &FrontPoint::cost);
    const auto latency = [](const FrontPoint& point) { return point.cost[kLatency]; };
    const auto [least, most] = std::ranges::minmax(points | std::views::transform(latency));
    Staircase stairs(least, most, points.size());
    std::erase_if(points, [&](const FrontPoint& point) {
        if (stairs.covers(point.cost[kLatency], point.cost[kDivergence])) return true;
        stairs.add(point.cost[kLatency], point.cost[kDivergence]);
        return false;
    });
    return points;
}

}  // namespace

Metrics cost_of(const AdditiveCosts& costs, std::span<const std::uint8_t> types)
{
    Metrics sum = costs.fixed;
    for (std::size_t l = 0; l < types.size(); ++l)
        for (std::size_t j = 0; j < kMetrics; ++j) sum[j] += costs.layers[l][types[l]][j];
    return sum;
}

Result<Front> pareto_front(const AdditiveCosts& costs, const FrontSettings& settings)
{
    if (costs.layers.empty()) return fail("plan: there are no layers to choose types for");
    for (const auto& layer : costs.layers) {
        if (layer.empty() || layer.size() > 255) return fail("plan: a layer needs 1 to 255 types, it has {}", layer.size());
        for (const Metrics& cost : layer)
            for (const double value : cost)
                if (!std::isfinite(value) || value < 0) return fail("plan: a cost of {} cannot be planned with", value);
    }
    const ScaledCosts scaled = scale(costs);
    if (auto choices = complete_front(scaled, settings.most_states))
        return Front{.points = points_of(costs, scaled, std::move(*choices))};

    NearFront near = near_front(scaled, settings);
    std::vector<std::vector<std::uint8_t>> choices;
    for (Choice& choice : near.choices) choices.push_back(std::move(choice.types));
    Front front{.points = points_of(costs, scaled, std::move(choices)), .epsilon = near.epsilon};
    // The search does not know the front's range before there is one.
    for (std::size_t j = 0; j < 2; ++j) {
        const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
        const auto [least, most] = std::ranges::minmax(front.points | std::views::transform(cost));
        const double assumed = near.range[j] * scaled.range[j];
        if (assumed > 0) front.epsilon = std::max(front.epsilon, near.epsilon * assumed / (most - least));
    }
    return front;
}

double least_weighted_cost(const AdditiveCosts& costs, const Weights& weights)
{
    const auto weighted = [&](const Metrics& cost) {
        return std::inner_product(cost.begin(), cost.end(), weights.begin(), 0.0);
    };
    double sum = weighted(costs.fixed);
    for (const auto& layer : costs.layers) sum += weighted(std::ranges::min(layer, {}, weighted));
    return sum;
}

Result<std::vector<std::size_t>> spread(std::span<const Metrics> points, const Metrics& reference, std::size_t count)
{
    // What a point adds never grows as others join, so an old figure is an upper bound: most need not be looked at again.
    struct Gain {
        double volume;
        std::size_t point;
        std::size_t as_of;  ///< number of points chosen when it was computed
        bool operator<(const Gain& other) const { return volume != other.volume ? volume < other.volume : point > other.point; }
    };
    const auto finite = [](const Metrics& point) {
        return std::ranges::all_of(point, [](double v) { return std::isfinite(v); });
    };
    if (!finite(reference) || !std::ranges::all_of(points, finite)) return fail("hypervolume: a metric is not a finite number");
    std::vector<Metrics> chosen;
    double volume = 0;
    std::priority_queue<Gain> gains;
    for (std::size_t p = 0; p < points.size(); ++p) {
        double alone = 1;
        for (std::size_t j = 0; j < kMetrics; ++j) alone *= std::max(0.0, reference[j] - points[p][j]);
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
