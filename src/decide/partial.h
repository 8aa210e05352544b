// Choices of types for some groups, and the step of dynamic programming that makes longer ones of them.
#pragma once

#include "decide/scaled_costs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace apreqel {

/// A choice of types for the groups so far.
struct Partial {
    Axes cost{};
    std::uint32_t parent = 0;      ///< the choice one group before
    std::uint32_t multiplier = 0;  ///< those that suit it best: an index into `Multipliers`
    float gap = 0;                 ///< how far from the best choice it is in their weighting
    std::uint8_t type = 0;         ///< of the last group
};

/// The least third cost at or below each second one, among the points added. Most questions are answered by the bucket of the
/// second; only where points of the same bucket decide it, they are looked at.
class Staircase {
public:
    Staircase(double least_second, double most_second, std::size_t points)
        : least_(least_second),
          below_(std::clamp<std::size_t>(points / 4, 1, kMostBuckets), kInfinity),
          first_(below_.size(), kNone)
    {
        if (most_second > least_second) scale_ = static_cast<double>(below_.size()) / (most_second - least_second);
    }

    /// Whether a point added is no worse in both.
    [[nodiscard]] bool covers(double second, double third) const
    {
        const std::size_t b = bucket(second);
        if (b > 0 && below_[b - 1] <= third) return true;
        if (below_[b] > third) return false;
        for (std::uint32_t s = first_[b]; s != kNone; s = stairs_[s].next)
            if (stairs_[s].second <= second && stairs_[s].third <= third) return true;
        return false;
    }

    /// Adds a point that is not covered.
    void add(double second, double third)
    {
        const std::size_t b = bucket(second);
        for (std::size_t i = b; i < below_.size() && below_[i] > third; ++i) below_[i] = third;
        std::uint32_t* link = &first_[b];
        while (*link != kNone) {
            const Stair& stair = stairs_[*link];
            if (stair.second >= second && stair.third >= third)
                *link = stair.next;
            else
                link = &stairs_[*link].next;
        }
        stairs_.push_back({second, third, first_[b]});
        first_[b] = static_cast<std::uint32_t>(stairs_.size() - 1);
    }

private:
    struct Stair {
        double second;
        double third;
        std::uint32_t next;  ///< of the same bucket
    };

    static constexpr std::size_t kMostBuckets = 4096;
    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    [[nodiscard]] std::size_t bucket(double second) const
    {
        const double place = (second - least_) * scale_;
        return place <= 0 ? 0 : std::min(static_cast<std::size_t>(place), below_.size() - 1);
    }

    double least_;
    double scale_ = 0;
    std::vector<double> below_;         ///< least third cost in this bucket and those before
    std::vector<std::uint32_t> first_;  ///< of the bucket's points that no other of it dominates
    std::vector<Stair> stairs_;
};

/// Drops what another one dominates or equals, and sorts the rest by cost. `axes_of`: the costs of one.
template <class Point, class AxesOf>
void drop_dominated(std::vector<Point>& points, AxesOf&& axes_of)
{
    std::ranges::stable_sort(points, {}, axes_of);
    double least = kInfinity;
    double most = -kInfinity;
    for (const Point& point : points) {
        least = std::min(least, axes_of(point)[kSecond]);
        most = std::max(most, axes_of(point)[kSecond]);
    }
    Staircase stairs(least, most, points.size());
    std::erase_if(points, [&](const Point& point) {
        const Axes axes = axes_of(point);
        if (stairs.covers(axes[kSecond], axes[kThird])) return true;
        stairs.add(axes[kSecond], axes[kThird]);
        return false;
    });
}

/// Every choice with every type of the next group, but for those that another dominates or equals, and those that
/// `keep(state, type)` refuses. `states` are sorted by cost, and so is the result: choices with one type are sorted as they
/// come, so all of them are merged in order of the first axis, and what dominates a choice has been seen before it.
template <class Keep>
std::vector<Partial> extend(const std::vector<Partial>& states, const std::vector<Axes>& group, Keep&& keep)
{
    struct Run {
        std::size_t next = 0;  ///< state
        Partial head;
    };
    std::vector<Run> runs;
    const auto advance = [&](Run& run, std::uint8_t type) {
        while (run.next < states.size() && !keep(run.next, type)) ++run.next;
        if (run.next == states.size()) return false;
        run.head = states[run.next];
        run.head.parent = static_cast<std::uint32_t>(run.next++);
        run.head.type = type;
        for (std::size_t j = 0; j < kAxes; ++j) run.head.cost[j] += group[type][j];
        return true;
    };
    double least = kInfinity;
    double most = -kInfinity;
    for (const Partial& state : states) {
        least = std::min(least, state.cost[kSecond]);
        most = std::max(most, state.cost[kSecond]);
    }
    double least_added = kInfinity;
    double most_added = 0;
    for (std::size_t q = 0; q < group.size(); ++q) {
        least_added = std::min(least_added, group[q][kSecond]);
        most_added = std::max(most_added, group[q][kSecond]);
        if (Run run; advance(run, static_cast<std::uint8_t>(q))) runs.push_back(run);
    }
    Staircase stairs(least + least_added, most + most_added, states.size() * group.size());
    std::vector<Partial> extended;
    while (!runs.empty()) {
        std::size_t first = 0;
        for (std::size_t r = 1; r < runs.size(); ++r) {
            const Axes& cost = runs[r].head.cost;
            const Axes& least_cost = runs[first].head.cost;
            if (cost[kFirst] < least_cost[kFirst] || (cost[kFirst] == least_cost[kFirst] && cost < least_cost)) first = r;
        }
        const Partial& head = runs[first].head;
        if (!stairs.covers(head.cost[kSecond], head.cost[kThird])) {
            stairs.add(head.cost[kSecond], head.cost[kThird]);
            extended.push_back(head);
        }
        if (!advance(runs[first], head.type)) runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(first));
    }
    return extended;
}

/// How each group was decided: enough to walk back from a final state.
class Trail {
public:
    template <class State>
    void record(const std::vector<State>& states)
    {
        steps_.emplace_back();
        steps_.back().reserve(states.size());
        for (const State& state : states) steps_.back().push_back({state.parent, state.type});
    }

    /// The type of each group recorded, for the last group's state of that index.
    [[nodiscard]] std::vector<std::uint8_t> types(std::size_t state) const
    {
        std::vector<std::uint8_t> types(steps_.size());
        for (std::size_t l = steps_.size(); l-- > 0;) {
            const Step& step = steps_[l][state];
            types[l] = step.type;
            state = step.parent;
        }
        return types;
    }

private:
    struct Step {
        std::uint32_t parent;
        std::uint8_t type;
    };
    std::vector<std::vector<Step>> steps_;
};

}  // namespace apreqel
