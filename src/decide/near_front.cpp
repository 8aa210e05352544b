#include "decide/near_front.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace apreqel {
namespace {

double weighted(const Weights& weights, const Metrics& cost)
{
    return weights[0] * cost[0] + weights[1] * cost[1] + weights[2] * cost[2];
}

/// The least Σ weight·cost over all choices: layers decide for themselves.
double least_sum(const ScaledCosts& costs, const Weights& weights)
{
    double sum = weighted(weights, costs.fixed);
    for (const auto& layer : costs.layers) {
        double least = kInfinity;
        for (const Metrics& cost : layer) least = std::min(least, weighted(weights, cost));
        sum += least;
    }
    return sum;
}

/// A choice that is best in a weighting.
Choice best_choice(const ScaledCosts& costs, const Weights& weights)
{
    Choice choice{.cost = costs.fixed, .types = {}};
    for (const auto& layer : costs.layers) {
        const auto best = std::ranges::min_element(layer, {}, [&](const Metrics& cost) { return weighted(weights, cost); });
        choice.types.push_back(static_cast<std::uint8_t>(best - layer.begin()));
        for (std::size_t j = 0; j < kMetrics; ++j) choice.cost[j] += (*best)[j];
    }
    return choice;
}

/// Drops the choices that another one dominates or equals. Leaves them sorted by cost.
void drop_dominated(std::vector<Choice>& choices)
{
    std::ranges::stable_sort(choices, {}, &Choice::cost);
    const auto latency = [](const Choice& choice) { return choice.cost[kLatency]; };
    const auto [least, most] = std::ranges::minmax(choices, {}, latency);
    Staircase stairs(latency(least), latency(most), choices.size());
    std::erase_if(choices, [&](const Choice& choice) {
        if (stairs.covers(choice.cost[kLatency], choice.cost[kDivergence])) return true;
        stairs.add(choice.cost[kLatency], choice.cost[kDivergence]);
        return false;
    });
}

/// A corner of what the front leaves open: what costs less than it in every metric, no choice of the front dominates or equals,
/// and what none dominates or equals, costs less than some corner in every metric: a "local upper bound" (Klamroth, Lacour and
/// Vanderpooten 2015). Where a metric is not bounded, `at` is the most that any choice costs.
struct Corner {
    Metrics at{};
    std::array<bool, kMetrics> bounded{};
    Metrics step{};                ///< what one whole share is: `epsilon` is counted in these; 0 where not bounded
    std::uint32_t multiplier = 0;  ///< of a choice nearby
    Weights weights{};             ///< those that prove `epsilon`
    double epsilon = 0;            ///< no choice costs less than at − epsilon · step in every metric bounded
    bool refined = false;
};

/// Sweeps in order of memory and keeps the staircase of latency and divergence: a corner of the stairs ends where a choice
/// cuts it off. `choices` are sorted, and none dominates another. Nothing costs more than `most`.
std::vector<Corner> corners_of(const std::vector<Choice>& choices, const Metrics& most, const Metrics& range)
{
    struct Stair {
        double divergence;
        std::uint32_t multiplier;
    };
    std::vector<Corner> corners;
    const auto add = [&](const Metrics& at, std::uint32_t multiplier) {
        if (at[kDivergence] <= 0) return;  // none is less
        Corner corner{.at = at, .step = {range[kMemory], range[kLatency], at[kDivergence]}, .multiplier = multiplier};
        for (std::size_t j = 0; j < kMetrics; ++j) {
            corner.bounded[j] = at[j] < kInfinity;
            if (corner.bounded[j]) continue;
            corner.at[j] = most[j];
            corner.step[j] = 0;
        }
        corners.push_back(corner);
    };
    std::map<double, Stair> stairs{{-kInfinity, {kInfinity, 0}}, {kInfinity, {-kInfinity, 0}}};
    for (const Choice& choice : choices) {
        const double latency = choice.cost[kLatency];
        const double divergence = choice.cost[kDivergence];
        auto next = stairs.upper_bound(latency);
        auto stair = std::prev(next);
        const auto gone = stair->first == latency ? stair : next;
        for (;; stair = next++) {
            add({choice.cost[kMemory], next->first, stair->second.divergence}, choice.multiplier);
            if (next->second.divergence < divergence) break;
        }
        stairs.erase(gone, next);
        stairs.emplace(latency, Stair{divergence, choice.multiplier});
    }
    for (auto stair = stairs.begin(), next = std::next(stair); next != stairs.end(); stair = next++)
        add({kInfinity, next->first, stair->second.divergence}, std::max(stair->second.multiplier, next->second.multiplier));
    return corners;
}

/// Multipliers of memory and latency, that of divergence being 1, in equal ratios; at the end of each side stands 0. With
/// each, the least weighted cost of all choices. Besides, some for memory and latency alone.
class Multipliers {
public:
    Multipliers(const ScaledCosts& costs, double least_divergence, double most_divergence)
    {
        // From where a ten-thousandth of the greatest divergence is worth the whole range of memory to where a thousand times
        // the least is.
        const double least = std::max(least_divergence, most_divergence * 1e-6);
        const double first = std::log(1e-4 / most_divergence);
        const double last = std::log(1e3 / least);
        side_ = most_divergence > 0 ? static_cast<std::size_t>((last - first) / kStep) + 2 : 1;
        const auto value = [&](std::size_t i) {
            return i + 1 == side_ ? 0 : std::exp(-first - static_cast<double>(i) * kStep);
        };
        for (std::size_t i = 0; i < side_; ++i)
            for (std::size_t j = 0; j < side_; ++j) add(costs, {value(i), value(j), 1});
        for (std::size_t i = 0; i <= kEdge; ++i) {
            const double share = static_cast<double>(i) / kEdge;
            add(costs, {1 - share, share, 0});
        }
    }

    [[nodiscard]] std::size_t size() const { return weights_.size(); }
    [[nodiscard]] std::size_t grid_size() const { return side_ * side_; }
    [[nodiscard]] const Weights& weights(std::size_t i) const { return weights_[i]; }
    [[nodiscard]] double bound(std::size_t i) const { return bounds_[i]; }

    /// Walks over the grid from `i` to where `f(index)` is least among neighbours, or at most `enough`. Returns that value.
    template <class F>
    double descend(std::uint32_t& i, double enough, F f) const
    {
        if (i >= grid_size()) i = static_cast<std::uint32_t>(grid_size() / 2);
        double least = f(i);
        for (std::size_t step = 4; step > 0 && least > enough;) {
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
    static constexpr double kStep = 0.2;
    static constexpr std::size_t kEdge = 64;

    void add(const ScaledCosts& costs, const Weights& weights)
    {
        weights_.push_back(weights);
        bounds_.push_back(least_sum(costs, weights));
    }

    std::size_t side_ = 0;
    std::vector<Weights> weights_;
    std::vector<double> bounds_;
};

/// The least share of `step` below the corner where the weights prove that there is no choice: there, all that costs less
/// has a weighted sum below the least there is, `bound`.
double share_at(const Corner& corner, const Weights& weights, double bound)
{
    bool says_something = false;
    for (std::size_t j = 0; j < kMetrics; ++j) says_something = says_something || (corner.bounded[j] && weights[j] > 0);
    if (!says_something) return kInfinity;
    const double room = weighted(weights, corner.at) - bound;
    const double step = weighted(weights, corner.step);
    return room <= 0 ? 0 : step > 0 ? room / step : kInfinity;
}

class Search {
public:
    Search(const ScaledCosts& costs, const FrontSettings& settings)
        : costs_(costs), settings_(settings), most_(costs.fixed), multipliers_(make_multipliers())
    {
        find_supported();
    }

    NearFront run()
    {
        find_unsupported();
        drop_dominated(choices_);
        const double epsilon = close(corners_of(choices_, most_, range_));
        drop_dominated(choices_);
        return {.choices = std::move(choices_), .range = range_, .epsilon = epsilon};
    }

private:
    Multipliers make_multipliers()
    {
        double least = costs_.fixed[kDivergence];
        for (const auto& layer : costs_.layers) {
            for (std::size_t j = 0; j < kMetrics; ++j)
                most_[j] += std::ranges::max(layer, {}, [j](const Metrics& cost) { return cost[j]; })[j];
            least += std::ranges::min(layer, {}, [](const Metrics& cost) { return cost[kDivergence]; })[kDivergence];
        }
        return {costs_, least, most_[kDivergence]};
    }

    /// The choices that are best for some multipliers.
    void find_supported()
    {
        for (std::uint32_t i = 0; i < multipliers_.size(); ++i) {
            Weights weights = multipliers_.weights(i);
            for (double& weight : weights) weight = std::max(weight, 1e-9);  // of equals the one no other dominates
            choices_.push_back(best_choice(costs_, weights));
            choices_.back().multiplier = i;
            if (i < multipliers_.grid_size()) scale_.push_back(choices_.back().cost[kDivergence]);
        }
        drop_dominated(choices_);
        for (std::size_t j = 0; j < 2; ++j) {
            const auto cost = [j](const Choice& choice) { return choice.cost[j]; };
            const auto [least, most] = std::ranges::minmax(choices_, {}, cost);
            range_[j] = cost(most) - cost(least);
        }
        for (std::uint32_t i = 0; i < multipliers_.grid_size(); ++i) {
            const Weights& weights = multipliers_.weights(i);
            const double whole = weights[0] * range_[0] + weights[1] * range_[1] + scale_[i];
            scale_[i] = whole > 0 ? 1 / whole : 0;
        }
    }

    /// Where the choices that are best in some weighting leave holes, others are needed that are nearly so. Dynamic programming
    /// over layers, which keeps what is nearly best among the choices so far for some multipliers, and of those that lie
    /// together in a cell the nearest to best. A cell is as wide in memory as a change there is worth `width` in the
    /// multipliers that suit it, so where memory matters little it is wide.
    void find_unsupported()
    {
        const double width = kCell * std::max(settings_.epsilon, 1e-4);
        const double limit = std::max(settings_.epsilon, kLayerShare / static_cast<double>(costs_.layers.size()));
        for (std::size_t i = 0; i < multipliers_.grid_size(); ++i) {
            const Weights& weights = multipliers_.weights(i);
            places_.push_back(
                {.memory = weights[0], .latency = weights[1], .scale = scale_[i], .least = costs_.fixed[kDivergence]});
            Cell& cell = cells_.emplace_back();
            for (std::size_t j = 0; j < 2; ++j) {
                const double share = std::max(weights[j] * range_[j] * scale_[i], 1.0 / 32);
                cell.level[j] = static_cast<std::uint8_t>(std::lround(-2 * std::log2(std::min(share, 1.0))));
                cell.per_unit[j] = range_[j] > 0 ? std::exp2(-cell.level[j] / 2.0) / range_[j] : 0;
            }
        }
        const auto gap = [&](std::uint32_t i, const Metrics& cost) {
            const Place& place = places_[i];
            return (weighted_at(place, cost) - place.least) * place.scale;
        };
        std::vector<Partial> states{
            {.cost = costs_.fixed, .multiplier = static_cast<std::uint32_t>(multipliers_.grid_size() / 2)}};
        Trail trail;
        for (std::size_t l = 0; l < costs_.layers.size(); ++l) {
            const auto& layer = costs_.layers[l];
            for (Place& place : places_) {
                double least = kInfinity;
                for (const Metrics& cost : layer) least = std::min(least, weighted_at(place, cost));
                place.least += least;
            }
            // What is far off for its parent's multipliers is seldom near for any others.
            work_ += states.size() * layer.size();
            std::vector<bool> near;
            near.reserve(states.size() * layer.size());
            for (const Partial& state : states) {
                const Place& place = places_[state.multiplier];
                const double most = place.least + 2 * limit / place.scale - weighted_at(place, state.cost);
                for (const Metrics& cost : layer) near.push_back(weighted_at(place, cost) <= most);
            }
            states = extend(states, layer, [&](std::size_t s, std::size_t q) { return near[s * layer.size() + q]; });
            std::erase_if(states, [&](Partial& state) {
                const double least =
                    multipliers_.descend(state.multiplier, 0, [&](std::uint32_t i) { return gap(i, state.cost); });
                state.gap = static_cast<float>(least);
                return least > limit;
            });
            const bool last = l + 1 == costs_.layers.size();
            if (!last) thin(states, width);
            for (double wider = 1.5 * width; !last && states.size() > settings_.most_states && wider < 4; wider *= 1.5)
                thin(states, wider);
            trail.record(states);
        }
        for (std::size_t s = 0; s < states.size(); ++s)
            choices_.push_back({.cost = states[s].cost, .types = trail.types(s), .multiplier = states[s].multiplier});
    }

    /// Of the states in one cell the one that is nearest to best stays.
    void thin(std::vector<Partial>& states, double width) const
    {
        std::unordered_map<std::uint64_t, std::uint32_t> nearest;
        nearest.reserve(states.size());
        std::vector<bool> stays(states.size());
        for (std::uint32_t s = 0; s < states.size(); ++s) {
            const Cell& cell = cells_[states[s].multiplier];
            std::uint64_t key = cell.level[0] * 16U + cell.level[1];
            for (std::size_t j = 0; j < 2; ++j)
                key = key << 26U | static_cast<std::uint64_t>(states[s].cost[j] * cell.per_unit[j] / width);
            const auto [entry, fresh] = nearest.try_emplace(key, s);
            if (!fresh && states[entry->second].gap <= states[s].gap) continue;
            if (!fresh) stays[entry->second] = false;
            stays[s] = true;
            entry->second = s;
        }
        std::size_t kept = 0;
        for (std::size_t s = 0; s < states.size(); ++s)
            if (stays[s]) states[kept++] = states[s];
        states.resize(kept);
    }

    /// Proves how near the front comes, and adds what it lacks where it is farthest off. Weighted sums prove how far below a
    /// corner there can be choices. What they leave open above a level is searched completely for choices below it; then
    /// for a smaller level, until it is what was asked for or the search has taken `kCloseWork` times the work of the front.
    double close(std::vector<Corner> corners)
    {
        for (Corner& corner : corners) bound(corner);
        const auto farthest = [&] { return std::ranges::max(corners, {}, &Corner::epsilon).epsilon; };
        std::size_t work = kCloseWork * std::max(work_, kLeastWork);
        double level = farthest();
        while (level > settings_.epsilon) {
            const double next = std::min(0.9 * level, 1.0);
            const double aim = std::max(settings_.epsilon, next > kLeastLevel ? next : 0);
            for (Corner& corner : corners) {
                if (corner.epsilon <= aim) continue;
                if (!corner.refined && !refine(corner, work)) return level;
                if (corner.epsilon <= aim) continue;
                if (!search_below(corner, aim, work)) return level;
                corner.epsilon = aim;
            }
            level = farthest();
        }
        return level;
    }

    void bound(Corner& corner) const
    {
        const auto share = [&](std::uint32_t i) { return share_at(corner, multipliers_.weights(i), multipliers_.bound(i)); };
        corner.epsilon = multipliers_.descend(corner.multiplier, settings_.epsilon, share);
        // Where any divergence will do, it should not weigh at all.
        if (!corner.bounded[kDivergence]) {
            for (auto i = static_cast<std::uint32_t>(multipliers_.grid_size()); i < multipliers_.size(); ++i) {
                if (share(i) >= corner.epsilon) continue;
                corner.epsilon = share(i);
                corner.multiplier = i;
            }
        }
        corner.weights = multipliers_.weights(corner.multiplier);
    }

    /// Between the multipliers of the grid. False: no work is left.
    bool refine(Corner& corner, std::size_t& work) const
    {
        corner.refined = true;
        for (double step = 0.1; step > 1e-3;) {
            bool moved = false;
            for (const auto& [a, b] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, -1}}) {
                if (work == 0) return false;
                work -= std::min(work, costs_.layers.size());
                const Weights weights{corner.weights[0] * std::exp(a * step), corner.weights[1] * std::exp(b * step),
                                      corner.weights[2]};
                const double share = share_at(corner, weights, least_sum(costs_, weights));
                if (share >= corner.epsilon) continue;
                corner.epsilon = share;
                corner.weights = weights;
                moved = true;
                break;
            }
            if (!moved) step /= 2;
        }
        return true;
    }

    /// All choices at or below the corner less `level` steps, but for those that another dominates, join the front. What
    /// they can be off the best weighted sum is little, so most layers have one type or two to choose from.
    /// False: no work is left.
    bool search_below(const Corner& corner, double level, std::size_t& work)
    {
        Metrics below = corner.at;
        for (std::size_t j = 0; j < kMetrics; ++j) below[j] -= level * corner.step[j];
        const double room = weighted(corner.weights, below) - least_sum(costs_, corner.weights);
        const double rounding = 1e-9 * room;
        struct Open {
            std::size_t layer;
            std::vector<std::uint8_t> types;
            std::vector<Metrics> costs;
            double least;  ///< weighted
            double spread;
        };
        Choice base{.cost = costs_.fixed, .types = std::vector<std::uint8_t>(costs_.layers.size())};
        double least_so_far = weighted(corner.weights, costs_.fixed);
        std::vector<Open> open;
        for (std::size_t l = 0; l < costs_.layers.size(); ++l) {
            Open choices{.layer = l, .types = {}, .costs = {}, .least = kInfinity, .spread = 0};
            for (const Metrics& cost : costs_.layers[l])
                choices.least = std::min(choices.least, weighted(corner.weights, cost));
            for (std::size_t q = 0; q < costs_.layers[l].size(); ++q) {
                const double more = weighted(corner.weights, costs_.layers[l][q]) - choices.least;
                if (more > room + rounding) continue;
                choices.types.push_back(static_cast<std::uint8_t>(q));
                choices.costs.push_back(costs_.layers[l][q]);
                choices.spread = std::max(choices.spread, more);
            }
            if (choices.types.size() > 1) {
                open.push_back(std::move(choices));
                continue;
            }
            base.types[l] = choices.types.front();
            for (std::size_t j = 0; j < kMetrics; ++j) base.cost[j] += choices.costs.front()[j];
            least_so_far += choices.least;
        }
        // Great differences first: what is left is soon too little to matter.
        std::ranges::stable_sort(open, std::greater{}, &Open::spread);
        Metrics least_left{};
        for (const Open& choices : open)
            for (std::size_t j = 0; j < kMetrics; ++j)
                least_left[j] += std::ranges::min(choices.costs, {}, [j](const Metrics& cost) { return cost[j]; })[j];
        std::vector<Partial> states{{.cost = base.cost}};
        Trail trail;
        for (const Open& choices : open) {
            for (std::size_t j = 0; j < kMetrics; ++j)
                least_left[j] -= std::ranges::min(choices.costs, {}, [j](const Metrics& cost) { return cost[j]; })[j];
            least_so_far += choices.least;
            const std::size_t next = states.size() * choices.types.size() + kCornerWork;
            if (next >= work || states.size() > settings_.most_states) return false;
            work -= next;
            states = extend(states, choices.costs, [&](std::size_t s, std::size_t q) {
                Metrics cost = states[s].cost;
                for (std::size_t j = 0; j < kMetrics; ++j) {
                    cost[j] += choices.costs[q][j];
                    if (cost[j] + least_left[j] > below[j] + 1e-12 * most_[j]) return false;
                }
                return weighted(corner.weights, cost) - least_so_far <= room + rounding;
            });
            if (states.empty()) return true;
            trail.record(states);
        }
        for (std::size_t s = 0; s < states.size(); ++s) {
            Choice choice{.cost = states[s].cost, .types = base.types, .multiplier = corner.multiplier};
            const std::vector<std::uint8_t> types = trail.types(s);
            for (std::size_t o = 0; o < open.size(); ++o) choice.types[open[o].layer] = open[o].types[types[o]];
            choices_.push_back(std::move(choice));
        }
        return true;
    }

    /// What the search needs to know of one pair of multipliers.
    struct Place {
        double memory;
        double latency;
        double scale;  ///< 1 ÷ what a whole share of each cost is worth
        double least;  ///< weighted cost of the layers so far
    };

    static double weighted_at(const Place& place, const Metrics& cost)
    {
        return place.memory * cost[0] + place.latency * cost[1] + cost[2];
    }

    /// How wide the cells of states are that one pair of multipliers suits best.
    struct Cell {
        std::array<double, 2> per_unit{};
        std::array<std::uint8_t, 2> level{};  ///< in half octaves
    };

    /// How wide a cell is, as a share of epsilon. This and the next were found by trying: less takes longer and hardly helps.
    static constexpr double kCell = 0.5;
    /// How far from best a choice may be, as a share of a layer's part in all: holes are as wide as a layer's change is.
    static constexpr double kLayerShare = 1;
    static constexpr std::size_t kCloseWork = 2;
    static constexpr std::size_t kLeastWork = 1000000;
    static constexpr double kLeastLevel = 1e-6;
    static constexpr std::size_t kCornerWork = 1000;  ///< that one layer's extension takes at least

    const ScaledCosts& costs_;
    const FrontSettings& settings_;
    Metrics most_{};  ///< that any choice costs
    Multipliers multipliers_;
    std::vector<double> scale_;
    Metrics range_{};
    std::vector<Place> places_;
    std::vector<Cell> cells_;
    std::vector<Choice> choices_;
    std::size_t work_ = 0;
};

}  // namespace

NearFront near_front(const ScaledCosts& costs, const FrontSettings& settings) { return Search(costs, settings).run(); }

}  // namespace apreqel
