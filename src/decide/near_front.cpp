// The choices that are best for some weighting of the costs, and those nearly so that fill the holes between them.
#include "decide/near_front.h"

#include "decide/corners.h"
#include "decide/multipliers.h"
#include "decide/partial.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace apreqel {
namespace {

constexpr auto kCost = [](const Choice& choice) { return choice.cost; };

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
        drop_dominated(choices_, kCost);
        const Evidence evidence{.costs = costs_, .multipliers = multipliers_, .most = most_, .range = range_, .work = work_};
        const double epsilon = prove(evidence, settings_, choices_);
        drop_dominated(choices_, kCost);
        return {.choices = std::move(choices_), .range = range_, .epsilon = epsilon};
    }

private:
    Multipliers make_multipliers()
    {
        double least = costs_.fixed[kThird];
        for (const auto& group : costs_.groups) {
            for (std::size_t j = 0; j < kAxes; ++j)
                most_[j] += std::ranges::max(group, {}, [j](const Axes& cost) { return cost[j]; })[j];
            least += std::ranges::min(group, {}, [](const Axes& cost) { return cost[kThird]; })[kThird];
        }
        return {costs_, least, most_[kThird]};
    }

    /// The choices that are best for some multipliers.
    void find_supported()
    {
        for (std::uint32_t i = 0; i < multipliers_.size(); ++i) {
            Axes weights = multipliers_.weights(i);
            for (double& weight : weights) weight = std::max(weight, 1e-9);  // of equals the one no other dominates
            choices_.push_back(best_choice(costs_, weights));
            choices_.back().multiplier = i;
            if (i < multipliers_.grid_size()) scale_.push_back(choices_.back().cost[kThird]);
        }
        drop_dominated(choices_, kCost);
        for (std::size_t j = 0; j < 2; ++j) {
            const auto cost = [j](const Choice& choice) { return choice.cost[j]; };
            const auto [least, most] = std::ranges::minmax(choices_, {}, cost);
            range_[j] = cost(most) - cost(least);
        }
        for (std::uint32_t i = 0; i < multipliers_.grid_size(); ++i) {
            const Axes& weights = multipliers_.weights(i);
            const double whole = weights[0] * range_[0] + weights[1] * range_[1] + scale_[i];
            scale_[i] = whole > 0 ? 1 / whole : 0;
        }
    }

    /// Where the choices that are best in some weighting leave holes, others are needed that are nearly so. Dynamic programming
    /// over groups, which keeps what is nearly best among the choices so far for some multipliers, and of those that lie
    /// together in a cell the nearest to best. A cell is as wide in each cost as a change there is worth `width` in the
    /// multipliers that suit it, so where a cost matters little it is wide.
    void find_unsupported()
    {
        const double width = kCell * std::max(settings_.epsilon, 1e-4);
        const double limit = std::max(settings_.epsilon, kLayerShare / static_cast<double>(costs_.groups.size()));
        for (std::size_t i = 0; i < multipliers_.grid_size(); ++i) {
            const Axes& weights = multipliers_.weights(i);
            places_.push_back({.first = weights[0], .second = weights[1], .scale = scale_[i], .least = costs_.fixed[kThird]});
            Cell& cell = cells_.emplace_back();
            for (std::size_t j = 0; j < 2; ++j) {
                const double share = std::max(weights[j] * range_[j] * scale_[i], 1.0 / 32);
                cell.level[j] = static_cast<std::uint8_t>(std::lround(-2 * std::log2(std::min(share, 1.0))));
                cell.per_unit[j] = range_[j] > 0 ? std::exp2(-cell.level[j] / 2.0) / range_[j] : 0;
            }
        }
        const auto gap = [&](std::uint32_t i, const Axes& cost) {
            const Place& place = places_[i];
            return (weighted_at(place, cost) - place.least) * place.scale;
        };
        std::vector<Partial> states{
            {.cost = costs_.fixed, .multiplier = static_cast<std::uint32_t>(multipliers_.grid_size() / 2)}};
        Trail trail;
        for (std::size_t l = 0; l < costs_.groups.size(); ++l) {
            const auto& group = costs_.groups[l];
            for (Place& place : places_) {
                double least = kInfinity;
                for (const Axes& cost : group) least = std::min(least, weighted_at(place, cost));
                place.least += least;
            }
            // What is far off for its parent's multipliers is seldom near for any others.
            work_ += states.size() * group.size();
            std::vector<bool> near;
            near.reserve(states.size() * group.size());
            for (const Partial& state : states) {
                const Place& place = places_[state.multiplier];
                const double most = place.least + 2 * limit / place.scale - weighted_at(place, state.cost);
                for (const Axes& cost : group) near.push_back(weighted_at(place, cost) <= most);
            }
            states = extend(states, group, [&](std::size_t s, std::size_t q) { return near[s * group.size() + q]; });
            std::erase_if(states, [&](Partial& state) {
                const auto gap_at = [&](std::uint32_t i) { return gap(i, state.cost); };
                const double least = multipliers_.descend(state.multiplier, 0, gap_at, 2);  // one group more moves it little
                state.gap = static_cast<float>(least);
                return least > limit;
            });
            const bool last = l + 1 == costs_.groups.size();
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

    /// What the search needs to know of one pair of multipliers.
    struct Place {
        double first;
        double second;
        double scale;  ///< 1 ÷ what a whole share of each cost is worth
        double least;  ///< weighted cost of the groups so far
    };

    static double weighted_at(const Place& place, const Axes& cost)
    {
        return place.first * cost[0] + place.second * cost[1] + cost[2];
    }

    /// How wide the cells of states are that one pair of multipliers suits best.
    struct Cell {
        std::array<double, 2> per_unit{};
        std::array<std::uint8_t, 2> level{};  ///< in half octaves
    };

    /// How wide a cell is, as a share of epsilon. This and the next were found by trying: less takes longer and hardly helps.
    static constexpr double kCell = 0.5;
    /// How far from best a choice may be, as a share of a group's part in all: holes are as wide as a group's change is.
    static constexpr double kLayerShare = 1;

    const ScaledCosts& costs_;
    const FrontSettings& settings_;
    Axes most_{};  ///< that any choice costs
    Multipliers multipliers_;
    std::vector<double> scale_;
    Axes range_{};
    std::vector<Place> places_;
    std::vector<Cell> cells_;
    std::vector<Choice> choices_;
    std::size_t work_ = 0;
};

}  // namespace

NearFront near_front(const ScaledCosts& costs, const FrontSettings& settings) { return Search(costs, settings).run(); }

}  // namespace apreqel
