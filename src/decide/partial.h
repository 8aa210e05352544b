// Choices of types for some layers, and the step of dynamic programming that makes longer ones of them.
#pragma once

#include <apreqel/plan.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace apreqel {

inline constexpr std::size_t kMemory = 0;
inline constexpr std::size_t kLatency = 1;
inline constexpr std::size_t kDivergence = 2;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A choice of types for the layers so far.
struct Partial {
    Metrics cost{};
    std::uint32_t parent = 0;      ///< the choice one layer before
    std::uint32_t multiplier = 0;  ///< those that suit it best: an index into `Multipliers`
    float gap = 0;                 ///< how far from the best choice it is in their weighting
    std::uint8_t type = 0;         ///< of the last layer
};

/// The least divergence at or below each latency, among the points added. Most questions are answered by the bucket of the
/// latency; only where points of the same bucket decide it, they are looked at.
class Staircase {
public:
    Staircase(double least_latency, double most_latency, std::size_t points)
        : least_(least_latency),
          below_(std::clamp<std::size_t>(points / 4, 1, kMostBuckets), kInfinity),
          first_(below_.size(), kNone)
    {
        if (most_latency > least_latency) scale_ = static_cast<double>(below_.size()) / (most_latency - least_latency);
    }

    /// Whether a point added is no worse in both.
    [[nodiscard]] bool covers(double latency, double divergence) const
    {
        const std::size_t b = bucket(latency);
        if (b > 0 && below_[b - 1] <= divergence) return true;
        if (below_[b] > divergence) return false;
        for (std::uint32_t s = first_[b]; s != kNone; s = stairs_[s].next)
            if (stairs_[s].latency <= latency && stairs_[s].divergence <= divergence) return true;
        return false;
    }

    /// Adds a point that is not covered.
    void add(double latency, double divergence)
    {
        const std::size_t b = bucket(latency);
        for (std::size_t i = b; i < below_.size() && below_[i] > divergence; ++i) below_[i] = divergence;
        std::uint32_t* link = &first_[b];
        while (*link != kNone) {
            const Stair& stair = stairs_[*link];
            if (stair.latency >= latency && stair.divergence >= divergence)
                *link = stair.next;
            else
                link = &stairs_[*link].next;
        }
        stairs_.push_back({latency, divergence, first_[b]});
        first_[b] = static_cast<std::uint32_t>(stairs_.size() - 1);
    }

private:
    struct Stair {
        double latency;
        double divergence;
        std::uint32_t next;  ///< of the same bucket
    };

    static constexpr std::size_t kMostBuckets = 4096;
    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    [[nodiscard]] std::size_t bucket(double latency) const
    {
        const double place = (latency - least_) * scale_;
        return place <= 0 ? 0 : std::min(static_cast<std::size_t>(place), below_.size() - 1);
    }

    double least_;
    double scale_ = 0;
    std::vector<double> below_;         ///< least divergence in this bucket and those before
    std::vector<std::uint32_t> first_;  ///< of the bucket's points that no other of it dominates
    std::vector<Stair> stairs_;
};

/// Every choice with every type of the next layer, but for those that another dominates or equals, and those that
/// `keep(state, type)` refuses. `states` are sorted by cost, and so is the result: choices with one type are sorted as they
/// come, so all of them are merged in order of memory, and what dominates a choice has been seen before it.
template <class Keep>
std::vector<Partial> extend(const std::vector<Partial>& states, const std::vector<Metrics>& layer, Keep&& keep)
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
        for (std::size_t j = 0; j < kMetrics; ++j) run.head.cost[j] += layer[type][j];
        return true;
    };
    double least = kInfinity;
    double most = -kInfinity;
    for (const Partial& state : states) {
        least = std::min(least, state.cost[kLatency]);
        most = std::max(most, state.cost[kLatency]);
    }
    double least_added = kInfinity;
    double most_added = 0;
    for (std::size_t q = 0; q < layer.size(); ++q) {
        least_added = std::min(least_added, layer[q][kLatency]);
        most_added = std::max(most_added, layer[q][kLatency]);
        if (Run run; advance(run, static_cast<std::uint8_t>(q))) runs.push_back(run);
    }
    Staircase stairs(least + least_added, most + most_added, states.size() * layer.size());
    std::vector<Partial> extended;
    while (!runs.empty()) {
        std::size_t first = 0;
        for (std::size_t r = 1; r < runs.size(); ++r) {
            const Metrics& cost = runs[r].head.cost;
            const Metrics& least_cost = runs[first].head.cost;
            if (cost[kMemory] < least_cost[kMemory] || (cost[kMemory] == least_cost[kMemory] && cost < least_cost)) first = r;
        }
        const Partial& head = runs[first].head;
        if (!stairs.covers(head.cost[kLatency], head.cost[kDivergence])) {
            stairs.add(head.cost[kLatency], head.cost[kDivergence]);
            extended.push_back(head);
        }
        if (!advance(runs[first], head.type)) runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(first));
    }
    return extended;
}

/// How each layer was decided: enough to walk back from a final state.
class Trail {
public:
    void record(const std::vector<Partial>& states)
    {
        steps_.emplace_back();
        steps_.back().reserve(states.size());
        for (const Partial& state : states) steps_.back().push_back({state.parent, state.type});
    }

    /// The type of each layer recorded, for the last layer's state of that index.
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
