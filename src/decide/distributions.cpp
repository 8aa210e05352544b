// All distributions of types over layers, ranked by TOPSIS (paper, section "Distribution of types"; Hwang & Yoon 1981),
// found by branch and bound. All metrics are minimised.
#include "decide/topsis.h"

#include <apreqel/plan.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>

namespace apreqel {
namespace {

/// Euclidean norm of a column over all K candidates, without visiting them: K E[x²] with x = Σ_i z_i c_i / L, where z is
/// uniform over the compositions of L into M counts, so that
///   E[z_i] = L/M,  E[z_i (z_i − 1)] = 2 L (L−1) / (M (M+1)),  E[z_i z_k] = L (L−1) / (M (M+1)) for i ≠ k.
double column_norm(std::span<const Metrics> costs, std::size_t metric, double layers, double candidates)
{
    const auto types = static_cast<double>(costs.size());
    const double mixed = layers * (layers - 1) / (types * (types + 1));
    const double squared = 2 * mixed + layers / types;
    double sum = 0;
    double squares = 0;
    for (const Metrics& cost : costs) {
        sum += cost[metric];
        squares += cost[metric] * cost[metric];
    }
    return std::sqrt(candidates * (mixed * sum * sum + (squared - mixed) * squares)) / layers;
}

double dot(const Metrics& a, const Metrics& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// a + factor · b
Metrics plus(const Metrics& a, double factor, const Metrics& b)
{
    return {a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]};
}

double squared(const Metrics& a) { return dot(a, a); }

double length(const Metrics& a) { return std::sqrt(squared(a)); }

/// The less in each metric.
Metrics least_of(const Metrics& a, const Metrics& b)
{
    return {std::min(a[0], b[0]), std::min(a[1], b[1]), std::min(a[2], b[2])};
}

/// Equal up to rounding is equal: candidates that are so mathematically must not be ordered by their last bits.
constexpr double kDigits = 1e12;
std::int64_t rounded(double value, double scale) { return std::llround(value / scale * kDigits); }

/// Layers that go to some of these types.
struct Rest {
    std::size_t layers;
    std::span<const std::size_t> types;
};

/// Evaluates candidates by the plain formulas and keeps the best.
class Leaders {
public:
    Leaders(std::size_t layers, std::span<const Metrics> costs, const Weights& weights, std::size_t keep, Ranking& ranking)
        : costs_(costs), weights_(weights), keep_(keep), ranking_(ranking), layers_(static_cast<double>(layers))
    {
        double range = 0;
        double top = 0;
        for (std::size_t j = 0; j < kMetrics; ++j) {
            ranking.norm[j] = column_norm(costs, j, layers_, ranking.candidates);
            const auto [least, most] = std::ranges::minmax(costs, {}, [j](const Metrics& cost) { return cost[j]; });
            // x is linear in z: its extremes over all candidates are the uniform variants.
            ranking.ideal[j] = weighted(least[j], j);
            ranking.anti_ideal[j] = weighted(most[j], j);
            const double unit = weights[j] / column_norm(costs, j, layers_, 1);
            range += std::pow((most[j] - least[j]) * unit, 2);
            top += std::pow(most[j] * unit, 2);
        }
        // Where all metrics that matter are equal, what is left of the distances is rounding.
        all_equal_ = range <= 1e-26 * top;
        // Each of the M + 4 roundings of a value moves both distances by at most 2^-53 of it; they sum to the range or more.
        noise_ = all_equal_ ? 0 : (static_cast<double>(costs.size()) + 8) * 4e-16 * std::sqrt(top / range);
    }

    [[nodiscard]] bool all_equal() const { return all_equal_; }

    /// How far a closeness can be off by rounding.
    [[nodiscard]] double noise() const { return noise_; }

    [[nodiscard]] bool full() const { return ranking_.best.size() >= keep_; }
    [[nodiscard]] double last_closeness() const { return ranking_.best.back().closeness; }
    void clear() { ranking_.best.clear(); }

    /// Keeps the candidate with these counts if it is among the best.
    void consider(const std::vector<std::size_t>& counts)
    {
        Candidate candidate{.counts = counts};
        double ideal = 0;
        double anti_ideal = 0;
        for (std::size_t j = 0; j < kMetrics; ++j) {
            for (std::size_t i = 0; i < costs_.size(); ++i)
                candidate.estimate[j] += static_cast<double>(counts[i]) / layers_ * costs_[i][j];
            const double value = weighted(candidate.estimate[j], j);
            ideal += (value - ranking_.ideal[j]) * (value - ranking_.ideal[j]);
            anti_ideal += (value - ranking_.anti_ideal[j]) * (value - ranking_.anti_ideal[j]);
        }
        if (all_equal_) ideal = anti_ideal = 0;
        candidate.distance_ideal = std::sqrt(ideal);
        candidate.distance_anti_ideal = std::sqrt(anti_ideal);
        candidate.closeness = closeness(candidate.distance_ideal, candidate.distance_anti_ideal);
        if (full() && !better(candidate, ranking_.best.back())) return;
        const auto place = std::ranges::upper_bound(ranking_.best, candidate,
                                                    [&](const Candidate& a, const Candidate& b) { return better(a, b); });
        ranking_.best.insert(place, std::move(candidate));
        if (ranking_.best.size() > keep_) ranking_.best.pop_back();
    }

    /// Whether any candidate of at most this closeness can enter that has `counts` and shares out the rest.
    [[nodiscard]] bool may_enter(double close, const std::vector<std::size_t>& counts, const std::vector<Rest>& rest) const
    {
        if (!full()) return true;
        const Candidate& last = ranking_.best.back();
        const auto at_most = rounded(close + noise_, 1);
        if (at_most != rounded(last.closeness, 1)) return at_most > rounded(last.closeness, 1);
        // Only types that are cheapest in every metric so far, or nearly, keep up with the last candidate in the next one.
        std::vector<bool> cheap(costs_.size(), true);
        for (std::size_t j = 0; j < kMetrics; ++j) {
            const double scale = costs_.front()[j];
            double least = 0;
            for (std::size_t i = 0; i < costs_.size(); ++i) least += static_cast<double>(counts[i]) / layers_ * costs_[i][j];
            for (const auto& [layers, types] : rest) {
                double cheapest = std::numeric_limits<double>::infinity();
                for (const std::size_t i : types)
                    if (cheap[i]) cheapest = std::min(cheapest, costs_[i][j]);
                for (const std::size_t i : types)
                    cheap[i] = cheap[i] && costs_[i][j] <= cheapest + 2 / kDigits * scale * layers_;
                least += static_cast<double>(layers) / layers_ * cheapest;
            }
            const auto cost = rounded(least * (1 - (static_cast<double>(costs_.size()) + 8) * 2e-16), scale);
            const auto cost_last = rounded(last.estimate[j], scale);
            if (cost != cost_last) return cost < cost_last;
        }
        std::vector<std::size_t> greatest = counts;
        for (const auto& [layers, types] : rest) {
            std::size_t first = costs_.size();
            for (const std::size_t i : types)
                if (cheap[i]) first = std::min(first, i);
            greatest[first] += layers;
        }
        return greatest > last.counts;
    }

private:
    [[nodiscard]] double weighted(double estimate, std::size_t metric) const
    {
        return estimate / ranking_.norm[metric] * weights_[metric];
    }

    /// The order of the ranking; see rank_distributions for the ties.
    [[nodiscard]] bool better(const Candidate& a, const Candidate& b) const
    {
        const auto closer_a = rounded(a.closeness, 1);
        const auto closer_b = rounded(b.closeness, 1);
        if (closer_a != closer_b) return closer_a > closer_b;
        for (std::size_t j = 0; j < kMetrics; ++j) {
            const auto cost_a = rounded(a.estimate[j], costs_.front()[j]);
            const auto cost_b = rounded(b.estimate[j], costs_.front()[j]);
            if (cost_a != cost_b) return cost_a < cost_b;
        }
        return a.counts > b.counts;
    }

    std::span<const Metrics> costs_;
    const Weights& weights_;
    std::size_t keep_;
    Ranking& ranking_;
    double layers_;
    bool all_equal_ = false;
    double noise_ = 0;
};

/// Finds the candidates of greatest closeness by branch and bound. In units of the distance |b| between ideal and anti-ideal,
/// with v the place of a candidate as seen from the ideal, its closeness is c or more where
///   f(v) = (1−c)² |v − b|² − c² |v|² ≥ 0.
/// v = Σ_i z_i p_i / L lies in the convex hull of the places p_i of the uniform variants, and f falls with each metric.
class Search {
public:
    Search(std::size_t layers, std::span<const Metrics> costs, const Weights& weights, Leaders& leaders,
           std::uint64_t most_steps)
        : leaders_(leaders), layers_(layers), counts_(costs.size()), most_steps_(most_steps)
    {
        Metrics least{};
        Metrics unit{};
        for (std::size_t j = 0; j < kMetrics; ++j) {
            const auto [low, high] = std::ranges::minmax(costs, {}, [j](const Metrics& cost) { return cost[j]; });
            least[j] = low[j];
            unit[j] = weights[j] / column_norm(costs, j, static_cast<double>(layers), 1);  // K changes no closeness
            range_[j] = (high[j] - low[j]) * unit[j];
        }
        const double size = length(range_);
        for (std::size_t j = 0; j < kMetrics; ++j) {
            unit[j] = leaders.all_equal() ? 0 : unit[j] / size;
            range_[j] = leaders.all_equal() ? 0 : range_[j] / size;
        }
        for (const Metrics& cost : costs) {
            places_.emplace_back();
            for (std::size_t j = 0; j < kMetrics; ++j) places_.back()[j] = (cost[j] - least[j]) * unit[j];
        }
        group(costs);
    }

    /// Fills `leaders`, or gives up (false).
    [[nodiscard]] bool run()
    {
        if (groups_.size() == 1) {
            split(0, 0, layers_);
            return steps_ <= most_steps_;
        }
        const double most = greatest_closeness();
        // All candidates above a floor, which sinks until they are enough.
        for (double depth = 1e-9;; depth *= 8) {
            floor_ = most - depth;
            leaders_.clear();
            raise_bar();
            set_bounds();
            visit(0, layers_, {}, 0);
            if (steps_ > most_steps_) return false;
            if (floor_ <= 0 || (leaders_.full() && leaders_.last_closeness() >= floor_)) return true;
        }
    }

private:
    /// Types at the same place, or nearly: which of them has the layers is decided last.
    struct Group {
        Metrics place{};  ///< the least of theirs in each metric: where all candidates are no closer
        std::vector<std::size_t> types;
        Metrics least_after{};   ///< of the places of all groups behind this one
        double share = 0;        ///< of the point that bounds
        double bound = 0;        ///< a_i: Σ_i z_i a_i < 0 rules a candidate out
        std::size_t layers = 0;  ///< of the candidates that are looked at
    };

    void group(std::span<const Metrics> costs)
    {
        constexpr double kNear = 1e-4;
        for (std::size_t i = 0; i < places_.size(); ++i) {
            const auto same = std::ranges::find_if(groups_, [&](const Group& group) {
                const Metrics apart = plus(places_[group.types.front()], -1, places_[i]);
                return std::ranges::all_of(apart, [](double side) { return std::abs(side) <= kNear; });
            });
            if (same == groups_.end()) {
                groups_.push_back({.place = places_[i], .types = {i}});
            } else {
                same->place = least_of(same->place, places_[i]);
                same->types.push_back(i);
                shared_ = true;
            }
        }
        for (Group& group : groups_)  // the cheapest first, for good candidates early
            std::ranges::stable_sort(group.types, {}, [&](std::size_t i) { return costs[i]; });
    }

    [[nodiscard]] double closeness_at(const Metrics& place) const
    {
        return closeness(length(place), length(plus(place, -1, range_)));
    }

    /// f at closeness `bar_`, for place = size · v, times size².
    [[nodiscard]] double f(const Metrics& place, double size = 1) const
    {
        return far_ * squared(plus(place, -size, range_)) - near_ * squared(place);
    }

    /// Takes the last candidate's closeness for c once there are enough. What rounds to the same closeness stays above.
    void raise_bar()
    {
        bar_ = leaders_.full() ? std::max(floor_, leaders_.last_closeness()) : floor_;
        bar_ = std::max(0.0, bar_ - 2 / kDigits - leaders_.noise());
        near_ = bar_ * bar_;
        far_ = (1 - bar_) * (1 - bar_);
    }

    /// Moves the point of the hull that bounds to where f is greatest, by pairwise Frank-Wolfe steps (Lacoste-Julien & Jaggi
    /// 2015). For c > 1/2, where f is concave.
    void climb(double c)
    {
        const double curvature = 2 * c - 1;
        for (int step = 0; step < 1000; ++step) {
            point_ = {};
            for (const Group& group : groups_) point_ = plus(point_, group.share, group.place);
            slope_ = plus(plus({}, curvature, point_), (1 - c) * (1 - c), range_);
            Group* to = &groups_.front();
            Group* from = nullptr;
            for (Group& group : groups_) {
                const double along = dot(slope_, group.place);
                if (along < dot(slope_, to->place)) to = &group;
                if (group.share > 0 && (from == nullptr || along > dot(slope_, from->place))) from = &group;
            }
            const Metrics way = plus(from->place, -1, to->place);
            const double gain = dot(slope_, way);
            if (gain <= 1e-16 * length(slope_)) return;
            const double best = gain / (curvature * squared(way));
            if (best < from->share) {
                from->share -= best;
                to->share += best;
            } else {
                to->share += from->share;
                from->share = 0;
            }
        }
    }

    /// The greatest closeness in the hull, or nearly: c grows to the closeness of where f is greatest (Dinkelbach 1967).
    [[nodiscard]] double greatest_closeness()
    {
        Group& start = *std::ranges::max_element(groups_, {}, [&](const Group& group) { return closeness_at(group.place); });
        start.share = 1;
        double most = closeness_at(start.place);
        // Up to 1/2 f is convex, and a uniform variant the closest.
        for (int round = 0; round < 50 && most > 0.5; ++round) {
            climb(most);
            const double closer = closeness_at(point_);
            if (closer <= most + 1e-13) break;
            most = closer;
        }
        return most;
    }

    /// A linear bound: Σ_i z_i a_i ≥ 0 for every candidate of closeness c. For c > 1/2, f ≥ 0 is a ball around
    /// o = −b (1−c)² / (2c−1) of radius R = c (1−c) / (2c−1), in which u · (v − o) ≤ R for every unit vector u. Here u points from o
    /// to the point q of `climb`, which is nearest to o, and a_i = R − u · (p_i − o); R − |q − o| is (R² − |q − o|²) / (R + |q − o|)
    /// lest it cancel. For c ≤ 1/2 f is convex, no greater than the mean of its values at the uniform variants: a_i = f(p_i).
    void set_bounds()
    {
        if (bar_ > 0.5) {
            climb(bar_);
            const double size = length(slope_);  // (2c−1) |q − o|
            const double slack = f(point_) / (bar_ * (1 - bar_) + size);
            for (Group& group : groups_) group.bound = slack - dot(slope_, plus(group.place, -1, point_)) / size;
        } else {
            for (Group& group : groups_) group.bound = f(group.place);
        }
        // Those that can have few layers first: few branches.
        std::ranges::stable_sort(groups_, {}, &Group::bound);
        Metrics least_after = groups_.back().place;
        for (Group& group : groups_ | std::views::reverse) {
            group.least_after = least_after;
            least_after = least_of(least_after, group.place);
        }
    }

    /// Visits the ways to give `left` layers to the groups from g on; `place` and `bound` are sums over the layers so far.
    void visit(std::size_t g, std::size_t left, const Metrics& place, double bound)
    {
        if (g + 2 == groups_.size()) return visit_last_two(left, place);
        const auto all = static_cast<double>(layers_);
        for (std::size_t layers = 0; layers <= left; ++layers) {
            if (++steps_ > most_steps_) return;
            const auto given = static_cast<double>(layers);
            const auto rest = static_cast<double>(left - layers);
            const double next_bound = bound + given * groups_[g].bound;
            if (next_bound + rest * groups_.back().bound < -1e-14 * all) break;  // 1e-14: rounding
            const Metrics next = plus(place, given, groups_[g].place);
            if (f(plus(next, rest, groups_[g].least_after), all) < 0) continue;
            groups_[g].layers = layers;
            visit(g + 1, left - layers, next, next_bound);
        }
    }

    /// Along a line f is a parabola: what is close enough lies around its peak, or from both ends where f is convex.
    void visit_last_two(std::size_t left, const Metrics& place)
    {
        const Group& last = groups_.back();
        const Group& other = groups_[groups_.size() - 2];
        const auto all = static_cast<double>(layers_);
        const auto most = static_cast<double>(left);
        const Metrics start = plus(place, most, last.place);
        const Metrics step = plus(other.place, -1, last.place);
        const double near = near_;  // the bar rises meanwhile; the parabola must stay
        const double far = far_;
        const auto close_enough = [&](std::size_t layers) {
            const Metrics at = plus(start, static_cast<double>(layers), step);
            return far * squared(plus(at, -all, range_)) >= near * squared(at);
        };
        const double curvature = (far - near) * squared(step);
        const double slope = far * dot(step, plus(start, -all, range_)) - near * dot(step, start);
        const bool peaked = curvature < 0;
        const auto first = peaked ? static_cast<std::size_t>(std::lround(std::clamp(-slope / curvature, 0.0, most))) : 0;
        std::size_t up = first;
        for (; up <= left && close_enough(up); ++up) look_at(up, left);
        const std::size_t end = peaked ? 0 : up;
        if (peaked && up == first) return;
        for (std::size_t down = peaked ? first : left + 1; down > end && close_enough(down - 1); --down)
            look_at(down - 1, left);
    }

    /// The candidates with `layers` of `left` in the last group but one.
    void look_at(std::size_t layers, std::size_t left)
    {
        if (++steps_ > most_steps_) return;
        groups_[groups_.size() - 2].layers = layers;
        groups_.back().layers = left - layers;
        if (shared_) {
            split(0, 0, groups_.front().layers);
        } else {
            for (const Group& group : groups_) counts_[group.types.front()] = group.layers;
            leaders_.consider(counts_);
        }
        raise_bar();
    }

    /// Shares out the layers of the groups from g on among their types; of group g `left` layers, to the types from t on.
    void split(std::size_t g, std::size_t t, std::size_t left)
    {
        constexpr std::uint64_t kSplitSteps = 16;  // it takes as long as so many visits
        const Group& group = groups_[g];
        std::size_t& count = counts_[group.types[t]];
        if (t + 1 == group.types.size()) {
            count = left;
            if (g + 1 < groups_.size()) {
                split(g + 1, 0, groups_[g + 1].layers);
            } else {
                leaders_.consider(counts_);
            }
        } else {
            for (std::size_t after = 0; after <= left; ++after) {
                steps_ += kSplitSteps;
                if (steps_ > most_steps_) break;
                count = left - after;
                if (may_enter(g, t + 1, after)) split(g, t + 1, after);
            }
        }
        count = 0;
    }

    /// Whether `counts_` with the rest of the layers, `left` of them for the types of group g from t on, can be among the best.
    [[nodiscard]] bool may_enter(std::size_t g, std::size_t t, std::size_t left) const
    {
        std::vector<Rest> rest{{left, std::span(groups_[g].types).subspan(t)}};
        for (const Group& group : groups_ | std::views::drop(g + 1)) rest.push_back({group.layers, group.types});
        const auto all = static_cast<double>(layers_);
        Metrics place{};
        for (std::size_t i = 0; i < counts_.size(); ++i) place = plus(place, static_cast<double>(counts_[i]) / all, places_[i]);
        for (const auto& [layers, types] : rest) {
            Metrics least_place = places_[types.front()];
            for (const std::size_t i : types) least_place = least_of(least_place, places_[i]);
            place = plus(place, static_cast<double>(layers) / all, least_place);
        }
        const double close = closeness_at(place);
        return close >= bar_ && leaders_.may_enter(close, counts_, rest);
    }

    Leaders& leaders_;
    std::size_t layers_;
    Metrics range_{};  ///< b, of length 1; 0 where all candidates are equal
    std::vector<Metrics> places_;
    std::vector<Group> groups_;
    bool shared_ = false;  ///< a group has several types
    double floor_ = 0;
    double bar_ = 0;   ///< c
    double near_ = 0;  ///< c²
    double far_ = 1;   ///< (1−c)²
    Metrics point_{};  ///< q
    Metrics slope_{};  ///< −∇f(q) / 2
    std::vector<std::size_t> counts_;
    std::uint64_t most_steps_;
    std::uint64_t steps_ = 0;
};

}  // namespace

double count_distributions(std::size_t layers, std::size_t types)
{
    if (layers == 0 || types == 0) return 0;
    // C(L + n, n) for n = 1 … M−1; each step stays whole while a double holds it.
    double count = 1;
    for (std::size_t n = 1; n < types; ++n) count = count * static_cast<double>(layers + n) / static_cast<double>(n);
    return std::round(count);
}

Result<Ranking> rank_distributions(std::size_t layers, std::span<const Metrics> costs, const Weights& weights, std::size_t keep,
                                   std::uint64_t most_steps)
{
    const double candidates = count_distributions(layers, costs.size());
    if (candidates == 0) return usage_error("plan: at least one layer and one type are needed");
    if (!std::isfinite(candidates)) return usage_error("plan: {} types over {} layers are too many", costs.size(), layers);
    for (std::size_t j = 0; j < kMetrics; ++j) {
        if (!std::isfinite(weights[j]) || weights[j] < 0)
            return usage_error("plan: the weight of {} is {}, it must be 0 or more", kMetricNames[j], weights[j]);
        for (const Metrics& cost : costs) {
            if (!std::isfinite(cost[j]) || cost[j] <= 0)
                return fail("plan: a {} of {} cannot be ranked, it must be positive", kMetricNames[j], cost[j]);
        }
    }
    if (std::ranges::all_of(weights, [](double weight) { return weight == 0; })) return usage_error("plan: all weights are 0");

    Ranking ranking{.candidates = candidates};
    Leaders leaders(layers, costs, weights, std::max<std::size_t>(keep, 1), ranking);
    if (!Search(layers, costs, weights, leaders, most_steps).run()) {
        return usage_error(
            "plan: too many of the {:.3g} distributions of {} types over {} layers are nearly equal to rank the best "
            "{}: use fewer types",
            candidates, costs.size(), layers, keep);
    }
    return ranking;
}

}  // namespace apreqel
