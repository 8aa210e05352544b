#include <apreqel/evaluation.h>
#include <apreqel/front.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <queue>
#include <ranges>

namespace apreqel {
namespace {

constexpr std::size_t kMemory = 0;
constexpr std::size_t kLatency = 1;
constexpr std::size_t kDivergence = 2;

/// A choice of types for the layers so far.
struct State {
    Metrics cost{};
    std::uint32_t parent = 0;  ///< the state one layer before
    std::uint8_t type = 0;     ///< of the last layer
    /// How much memory and latency, at most, what merged into this state had less.
    std::array<double, 2> slack{};
};

/// How a layer was decided: enough to walk back from a final state.
struct Step {
    std::uint32_t parent;
    std::uint8_t type;
};

bool before(const State& a, const State& b) { return a.cost < b.cost; }

/// Drops the states that another one dominates or equals. Leaves them sorted by cost.
/// Sweeps in order of memory and keeps the staircase of latency and divergence of what came before.
void drop_dominated(std::vector<State>& states)
{
    std::ranges::sort(states, before);
    std::map<double, double> stairs;  // latency → divergence, falling
    std::erase_if(states, [&](const State& state) {
        const double latency = state.cost[kLatency];
        const double divergence = state.cost[kDivergence];
        auto next = stairs.upper_bound(latency);
        if (next != stairs.begin() && std::prev(next)->second <= divergence) return true;
        while (next != stairs.end() && next->second >= divergence) next = stairs.erase(next);
        stairs.insert_or_assign(latency, divergence);
        return false;
    });
}

class FrontSearch {
public:
    FrontSearch(const AdditiveCosts& costs, const FrontSettings& settings) : costs_(costs), settings_(settings)
    {
        for (const auto& layer : costs.layers) {
            for (std::size_t j = 0; j < 2; ++j) {
                const auto [least, most] = std::ranges::minmax(layer, {}, [j](const Metrics& cost) { return cost[j]; });
                range_[j] += most[j] - least[j];
            }
        }
    }

    Front run()
    {
        std::vector<State> states{{.cost = costs_.fixed}};
        std::vector<std::vector<Step>> steps;
        Metrics least = costs_.fixed;
        for (const auto& layer : costs_.layers) {
            for (std::size_t j = 0; j < kMetrics; ++j)
                least[j] += std::ranges::min(layer, {}, [j](const Metrics& cost) { return cost[j]; })[j];
            states = extend(states, layer);
            if (states.size() > settings_.most_states / 2) {
                const std::size_t enough = settings_.most_states / layer.size();
                for (double cell = settings_.cell; states.size() > enough && cell < 1; cell *= 2)
                    merge_neighbours(states, least, cell);
            }
            drop_dominated(states);
            steps.emplace_back();
            steps.back().reserve(states.size());
            for (const State& state : states) steps.back().push_back({state.parent, state.type});
        }
        Front front = read_back(states, steps);
        if (front.epsilon > 0) add_supported(front);
        return front;
    }

private:
    /// Every state with every type of the next layer, but for types that another one of the layer dominates.
    static std::vector<State> extend(const std::vector<State>& states, const std::vector<Metrics>& layer)
    {
        std::vector<State> extended;
        extended.reserve(states.size() * layer.size());
        for (std::size_t q = 0; q < layer.size(); ++q) {
            const auto useless = [&](std::size_t other) {
                return dominates(layer[other], layer[q]) || (other < q && layer[other] == layer[q]);
            };
            bool skip = false;
            for (std::size_t other = 0; other < layer.size(); ++other) skip = skip || useless(other);
            if (skip) continue;
            for (std::size_t s = 0; s < states.size(); ++s) {
                State next = states[s];
                next.parent = static_cast<std::uint32_t>(s);
                next.type = static_cast<std::uint8_t>(q);
                for (std::size_t j = 0; j < kMetrics; ++j) next.cost[j] += layer[q][j];
                extended.push_back(next);
            }
        }
        return extended;
    }

    /// Where states were merged, adds the choices that are best in some weighting of the costs: layers decide for
    /// themselves, so each is exact and takes no time.
    void add_supported(Front& front) const
    {
        constexpr int kSteps = 60;
        Metrics scale{};
        for (std::size_t j = 0; j < kMetrics; ++j) {
            const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
            const auto [least, most] = std::ranges::minmax(front.points | std::views::transform(cost));
            scale[j] = most > least ? 1 / (most - least) : 0;
        }
        for (int a = 0; a <= kSteps; ++a) {
            for (int b = 0; a + b <= kSteps; ++b) {
                const Weights weights{a * scale[0], b * scale[1], (kSteps - a - b) * scale[2]};
                FrontPoint point{.cost = {}, .types = {}};
                for (const auto& layer : costs_.layers) {
                    const auto best = std::ranges::min_element(layer, {}, [&](const Metrics& cost) {
                        return std::inner_product(cost.begin(), cost.end(), weights.begin(), 0.0);
                    });
                    point.types.push_back(static_cast<std::uint8_t>(best - layer.begin()));
                }
                point.cost = cost_of(costs_, point.types);
                front.points.push_back(std::move(point));
            }
        }
        std::vector<State> states;
        for (std::size_t p = 0; p < front.points.size(); ++p)
            states.push_back({.cost = front.points[p].cost, .parent = static_cast<std::uint32_t>(p)});
        drop_dominated(states);
        std::vector<FrontPoint> kept;
        for (const State& state : states) kept.push_back(std::move(front.points[state.parent]));
        front.points = std::move(kept);
    }

    /// Of the states in one cell the one of least divergence stays, and remembers how much worse it is than the others.
    void merge_neighbours(std::vector<State>& states, const Metrics& least, double width)
    {
        const std::size_t cells = static_cast<std::size_t>(std::ceil(1 / width)) + 1;
        const auto index = [&](const State& state, std::size_t j) {
            if (range_[j] <= 0) return std::size_t{0};
            const double place = (state.cost[j] - least[j]) / (range_[j] * width);
            return std::min(static_cast<std::size_t>(std::max(place, 0.0)), cells - 1);
        };
        keeper_.assign(cells * cells, kNone);
        std::vector<State> kept;
        for (const State& state : states) {
            std::uint32_t& place = keeper_[index(state, kMemory) * cells + index(state, kLatency)];
            if (place == kNone) {
                place = static_cast<std::uint32_t>(kept.size());
                kept.push_back(state);
                continue;
            }
            State& keeper = kept[place];
            const bool better = state.cost[kDivergence] < keeper.cost[kDivergence];
            State winner = better ? state : keeper;
            const State& loser = better ? keeper : state;
            for (std::size_t j = 0; j < 2; ++j)
                winner.slack[j] = std::max(winner.slack[j], loser.slack[j] + std::max(0.0, winner.cost[j] - loser.cost[j]));
            keeper = winner;
        }
        states = std::move(kept);
    }

    [[nodiscard]] Front read_back(const std::vector<State>& states, const std::vector<std::vector<Step>>& steps) const
    {
        Front front;
        for (const State& state : states) {
            FrontPoint point{.cost = {}, .types = std::vector<std::uint8_t>(steps.size())};
            Step step{state.parent, state.type};
            for (std::size_t l = steps.size(); l-- > 0;) {
                point.types[l] = step.type;
                if (l > 0) step = steps[l - 1][step.parent];
            }
            point.cost = cost_of(costs_, point.types);
            front.points.push_back(std::move(point));
            for (std::size_t j = 0; j < 2; ++j)
                if (range_[j] > 0) front.epsilon = std::max(front.epsilon, state.slack[j] / range_[j]);
        }
        return front;
    }

    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    const AdditiveCosts& costs_;
    const FrontSettings& settings_;
    std::array<double, 2> range_{};
    std::vector<std::uint32_t> keeper_;  ///< per cell: index of the state that stays
};

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
    return FrontSearch(costs, settings).run();
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
    std::vector<Metrics> chosen;
    double volume = 0;
    std::priority_queue<Gain> gains;
    for (std::size_t p = 0; p < points.size(); ++p) {
        const auto alone = hypervolume({&points[p], 1}, reference);
        if (!alone) return std::unexpected(alone.error());
        if (*alone > 0) gains.push({*alone, p, 0});
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
