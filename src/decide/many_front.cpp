// Dynamic programming with exact dominance; where it keeps too much, a grid of cells as in grid-based multi-objective search
// (Laumanns, Thiele, Deb and Zitzler 2002), one state to a cell.
#include "decide/many_front.h"

#include "decide/dominance_tree.h"
#include "decide/partial.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace apreqel {
namespace {

/// A choice of types for the groups so far.
struct State {
    Costs cost;
    std::uint32_t parent = 0;  ///< the choice one group before
    std::uint8_t type = 0;     ///< of the last group
};

std::vector<State> extend_by(const std::vector<State>& states, const GroupCosts& group)
{
    std::vector<State> extended;
    extended.reserve(states.size() * group.size());
    for (std::size_t s = 0; s < states.size(); ++s) {
        for (std::size_t q = 0; q < group.size(); ++q) {
            State& state = extended.emplace_back(states[s].cost, static_cast<std::uint32_t>(s), static_cast<std::uint8_t>(q));
            for (std::size_t j = 0; j < state.cost.size(); ++j) state.cost[j] += group[q][j];
        }
    }
    drop_dominated_of_many(extended, &State::cost);
    return extended;
}

/// Where each state lies between the least and the most by each criterion, from 0 to 1. The last, which may span orders of
/// magnitude, by its logarithm.
std::vector<Costs> places_of(const std::vector<State>& states)
{
    constexpr double kFinest = 1e-3;  // of the last criterion: less does not count as a difference in magnitude
    std::vector<Costs> places;
    for (const State& state : states) places.push_back(state.cost);
    const Costs least = best_of(places);
    const Costs most = worst_of(places);
    for (Costs& place : places) {
        for (std::size_t j = 0; j < place.size(); ++j)
            place[j] = most[j] > least[j] ? (place[j] - least[j]) / (most[j] - least[j]) : 0;
        place.back() = std::log1p(place.back() / kFinest) / std::log1p(1 / kFinest);
    }
    return places;
}

/// Of the states in one cell the one of least sum of shares stays, and that of least cost by each criterion. Cells are as wide
/// as it takes.
void thin(std::vector<State>& states, std::size_t most)
{
    const std::vector<Costs> places = places_of(states);
    const std::size_t criteria = places.front().size();
    const auto sum = [&](std::size_t s) { return std::reduce(places[s].begin(), places[s].end()); };
    std::vector<std::size_t> kept(states.size());
    std::iota(kept.begin(), kept.end(), 0);
    std::vector<std::size_t> extremes;
    for (std::size_t j = 0; j < criteria; ++j)
        extremes.push_back(std::ranges::min(kept, {}, [&](std::size_t s) { return std::pair(states[s].cost[j], sum(s)); }));
    // A front is a surface, of one dimension less.
    double cells = 4 * std::pow(static_cast<double>(std::max<std::size_t>(most, 1)), 1 / static_cast<double>(criteria - 1));
    for (; kept.size() > most && cells >= 0.5; cells *= 0.8) {
        std::map<std::vector<int>, std::size_t> nearest;
        for (const std::size_t s : kept) {
            std::vector<int> cell;
            for (const double place : places[s]) cell.push_back(static_cast<int>(place * cells));
            const auto [entry, fresh] = nearest.try_emplace(std::move(cell), s);
            if (!fresh && sum(s) < sum(entry->second)) entry->second = s;
        }
        kept = extremes;
        for (const auto& [cell, s] : nearest) kept.push_back(s);
        std::ranges::sort(kept);
        kept.erase(std::ranges::unique(kept).begin(), kept.end());
    }
    std::vector<State> thinned;
    for (const std::size_t s : kept) thinned.push_back(std::move(states[s]));
    states = std::move(thinned);
}

}  // namespace

ManyFront many_front(const AdditiveCosts& costs, std::size_t most_states)
{
    ManyFront front;
    std::vector<State> states{{.cost = costs.fixed}};
    Trail trail;
    for (const GroupCosts& group : costs.groups) {
        if (states.size() > most_states) {
            thin(states, most_states);
            front.complete = false;
        }
        if (&group != &costs.groups.front()) trail.record(states);
        states = extend_by(states, group);
    }
    trail.record(states);
    for (std::size_t s = 0; s < states.size(); ++s) front.choices.push_back(trail.types(s));
    return front;
}

}  // namespace apreqel
