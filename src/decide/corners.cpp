#include "decide/corners.h"

#include "decide/partial.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

namespace apreqel {
namespace {

/// A corner of what the front leaves open: what is below it on every axis, no choice of the front dominates or equals, and what
/// none dominates or equals, is below some corner on every axis: a "local upper bound" (Klamroth, Lacour and Vanderpooten
/// 2015). Where an axis is not bounded, `at` is the most that any choice costs.
struct Corner {
    Axes at{};
    std::array<bool, kAxes> bounded{};
    Axes step{};                   ///< what one whole share is: `epsilon` is counted in these; 0 where not bounded
    std::uint32_t multiplier = 0;  ///< of a choice nearby
    Axes weights{};                ///< those that prove `epsilon`
    double epsilon = 0;            ///< no choice costs less than at − epsilon · step on every axis bounded
    bool refined = false;
};

/// Sweeps in order of the first cost and keeps the staircase of the other two: a corner of the stairs ends where a choice
/// cuts it off. `choices` are sorted, and none dominates another. Nothing costs more than `most`.
std::vector<Corner> corners_of(const std::vector<Choice>& choices, const Axes& most, const Axes& range)
{
    struct Stair {
        double third;
        std::uint32_t multiplier;
    };
    std::vector<Corner> corners;
    const auto add = [&](const Axes& at, std::uint32_t multiplier) {
        if (at[kThird] <= 0) return;  // none is less
        Corner corner{.at = at, .step = {range[kFirst], range[kSecond], at[kThird]}, .multiplier = multiplier};
        for (std::size_t j = 0; j < kAxes; ++j) {
            corner.bounded[j] = at[j] < kInfinity;
            if (corner.bounded[j]) continue;
            corner.at[j] = most[j];
            corner.step[j] = 0;
        }
        corners.push_back(corner);
    };
    std::map<double, Stair> stairs{{-kInfinity, {kInfinity, 0}}, {kInfinity, {-kInfinity, 0}}};
    for (const Choice& choice : choices) {
        const double second = choice.cost[kSecond];
        const double third = choice.cost[kThird];
        auto next = stairs.upper_bound(second);
        auto stair = std::prev(next);
        const auto gone = stair->first == second ? stair : next;
        for (;; stair = next++) {
            add({choice.cost[kFirst], next->first, stair->second.third}, choice.multiplier);
            if (next->second.third < third) break;
        }
        stairs.erase(gone, next);
        stairs.emplace(second, Stair{third, choice.multiplier});
    }
    for (auto stair = stairs.begin(), next = std::next(stair); next != stairs.end(); stair = next++)
        add({kInfinity, next->first, stair->second.third}, std::max(stair->second.multiplier, next->second.multiplier));
    return corners;
}

/// The least share of `step` below the corner where the weights prove that there is no choice: there, all that costs less
/// has a weighted sum below the least there is, `bound`.
double share_at(const Corner& corner, const Axes& weights, double bound)
{
    bool says_something = false;
    for (std::size_t j = 0; j < kAxes; ++j) says_something = says_something || (corner.bounded[j] && weights[j] > 0);
    if (!says_something) return kInfinity;
    const double room = weighted(weights, corner.at) - bound;
    const double step = weighted(weights, corner.step);
    return room <= 0 ? 0 : step > 0 ? room / step : kInfinity;
}

class Proof {
public:
    Proof(const Evidence& evidence, const FrontSettings& settings, std::vector<Choice>& choices)
        : e_(evidence), settings_(settings), choices_(choices)
    {
    }

    /// Proves how near the front comes, and adds what it lacks where it is farthest off. Weighted sums prove how far below a
    /// corner there can be choices. What they leave open above a level is searched completely for choices below it; then
    /// for a smaller level, until it is what was asked for or the search has taken `kCloseWork` times the work of the front.
    double close(std::vector<Corner> corners)
    {
        for (Corner& corner : corners) bound(corner);
        const auto farthest = [&] { return std::ranges::max(corners, {}, &Corner::epsilon).epsilon; };
        std::size_t work = kCloseWork * std::max(e_.work, kLeastWork);
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

private:
    void bound(Corner& corner) const
    {
        const auto share = [&](std::uint32_t i) {
            return share_at(corner, e_.multipliers.weights(i), e_.multipliers.bound(i));
        };
        corner.epsilon = e_.multipliers.descend(corner.multiplier, settings_.epsilon, share);
        // Where any third cost will do, it should not weigh at all.
        if (!corner.bounded[kThird]) {
            for (auto i = static_cast<std::uint32_t>(e_.multipliers.grid_size()); i < e_.multipliers.size(); ++i) {
                if (share(i) >= corner.epsilon) continue;
                corner.epsilon = share(i);
                corner.multiplier = i;
            }
        }
        corner.weights = e_.multipliers.weights(corner.multiplier);
    }

    /// Between the multipliers of the grid. False: no work is left.
    bool refine(Corner& corner, std::size_t& work) const
    {
        corner.refined = true;
        for (double step = 0.1; step > 1e-3;) {
            bool moved = false;
            for (const auto& [a, b] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, -1}}) {
                if (work == 0) return false;
                work -= std::min(work, e_.costs.groups.size());
                const Axes weights{corner.weights[0] * std::exp(a * step), corner.weights[1] * std::exp(b * step),
                                   corner.weights[2]};
                const double share = share_at(corner, weights, least_sum(e_.costs, weights));
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
    /// they can be off the best weighted sum is little, so most groups have one type or two to choose from.
    /// False: no work is left.
    bool search_below(const Corner& corner, double level, std::size_t& work)
    {
        Axes below = corner.at;
        for (std::size_t j = 0; j < kAxes; ++j) below[j] -= level * corner.step[j];
        const double room = weighted(corner.weights, below) - least_sum(e_.costs, corner.weights);
        const double rounding = 1e-9 * room;
        struct Open {
            std::size_t group;
            std::vector<std::uint8_t> types;
            std::vector<Axes> costs;
            double least;  ///< weighted
            double spread;
        };
        Choice base{.cost = e_.costs.fixed, .types = std::vector<std::uint8_t>(e_.costs.groups.size())};
        double least_so_far = weighted(corner.weights, e_.costs.fixed);
        std::vector<Open> open;
        for (std::size_t l = 0; l < e_.costs.groups.size(); ++l) {
            Open choices{.group = l, .types = {}, .costs = {}, .least = kInfinity, .spread = 0};
            for (const Axes& cost : e_.costs.groups[l]) choices.least = std::min(choices.least, weighted(corner.weights, cost));
            for (std::size_t q = 0; q < e_.costs.groups[l].size(); ++q) {
                const double more = weighted(corner.weights, e_.costs.groups[l][q]) - choices.least;
                if (more > room + rounding) continue;
                choices.types.push_back(static_cast<std::uint8_t>(q));
                choices.costs.push_back(e_.costs.groups[l][q]);
                choices.spread = std::max(choices.spread, more);
            }
            if (choices.types.size() > 1) {
                open.push_back(std::move(choices));
                continue;
            }
            base.types[l] = choices.types.front();
            for (std::size_t j = 0; j < kAxes; ++j) base.cost[j] += choices.costs.front()[j];
            least_so_far += choices.least;
        }
        // Great differences first: what is left is soon too little to matter.
        std::ranges::stable_sort(open, std::greater{}, &Open::spread);
        Axes least_left{};
        for (const Open& choices : open)
            for (std::size_t j = 0; j < kAxes; ++j)
                least_left[j] += std::ranges::min(choices.costs, {}, [j](const Axes& cost) { return cost[j]; })[j];
        std::vector<Partial> states{{.cost = base.cost}};
        Trail trail;
        for (const Open& choices : open) {
            for (std::size_t j = 0; j < kAxes; ++j)
                least_left[j] -= std::ranges::min(choices.costs, {}, [j](const Axes& cost) { return cost[j]; })[j];
            least_so_far += choices.least;
            const std::size_t next = states.size() * choices.types.size() + kCornerWork;
            if (next >= work || states.size() > settings_.most_states) return false;
            work -= next;
            states = extend(states, choices.costs, [&](std::size_t s, std::size_t q) {
                Axes cost = states[s].cost;
                for (std::size_t j = 0; j < kAxes; ++j) {
                    cost[j] += choices.costs[q][j];
                    if (cost[j] + least_left[j] > below[j] + 1e-12 * e_.most[j]) return false;
                }
                return weighted(corner.weights, cost) - least_so_far <= room + rounding;
            });
            if (states.empty()) return true;
            trail.record(states);
        }
        for (std::size_t s = 0; s < states.size(); ++s) {
            Choice choice{.cost = states[s].cost, .types = base.types, .multiplier = corner.multiplier};
            const std::vector<std::uint8_t> types = trail.types(s);
            for (std::size_t o = 0; o < open.size(); ++o) choice.types[open[o].group] = open[o].types[types[o]];
            choices_.push_back(std::move(choice));
        }
        return true;
    }

    static constexpr std::size_t kCloseWork = 2;
    static constexpr std::size_t kLeastWork = 1000000;
    static constexpr double kLeastLevel = 1e-6;
    static constexpr std::size_t kCornerWork = 1000;  ///< that one group's extension takes at least

    const Evidence& e_;
    const FrontSettings& settings_;
    std::vector<Choice>& choices_;
};

}  // namespace

double prove(const Evidence& evidence, const FrontSettings& settings, std::vector<Choice>& choices)
{
    return Proof(evidence, settings, choices).close(corners_of(choices, evidence.most, evidence.range));
}

}  // namespace apreqel
