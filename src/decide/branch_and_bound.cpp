// The distributions of types over layers of greatest closeness, by branch and bound: only those whose bound reaches the best so
// far are looked at. The place of a candidate is a point of as many axes as there are criteria.
#include "decide/branch_and_bound.h"

#include "decide/topsis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ranges>

namespace apreqel {
namespace {

template <std::size_t N>
double dot(const std::array<double, N>& a, const std::array<double, N>& b)
{
    double sum = 0;
    for (std::size_t j = 0; j < N; ++j) sum += a[j] * b[j];
    return sum;
}

/// a + factor · b
template <std::size_t N>
std::array<double, N> plus(const std::array<double, N>& a, double factor, const std::array<double, N>& b)
{
    std::array<double, N> sum;
    for (std::size_t j = 0; j < N; ++j) sum[j] = a[j] + factor * b[j];
    return sum;
}

template <std::size_t N>
double squared(const std::array<double, N>& a)
{
    return dot(a, a);
}

template <std::size_t N>
double length(const std::array<double, N>& a)
{
    return std::sqrt(squared(a));
}

/// The less on each axis.
template <std::size_t N>
std::array<double, N> least_of(std::array<double, N> a, const std::array<double, N>& b)
{
    for (std::size_t j = 0; j < N; ++j) a[j] = std::min(a[j], b[j]);
    return a;
}

/// Finds the candidates of greatest closeness by branch and bound. In units of the distance |b| between ideal and anti-ideal,
/// with v the place of a candidate as seen from the ideal, its closeness is c or more where
///   f(v) = (1−c)² |v − b|² − c² |v|² ≥ 0.
/// v = Σ_i z_i p_i / L lies in the convex hull of the places p_i of the uniform variants, and f falls with each criterion.
template <std::size_t N>
class Search {
public:
    Search(std::size_t layers, std::span<const Costs> costs, std::span<const double> weights, Leaders& leaders,
           std::uint64_t most_steps)
        : leaders_(leaders), layers_(layers), counts_(costs.size()), most_steps_(most_steps)
    {
        Point unit{};
        const Costs least = best_of(costs);
        const Costs most = worst_of(costs);
        for (std::size_t j = 0; j < weights.size(); ++j) {
            if (most[j] == 0) continue;
            unit[j] = weights[j] / column_norm(costs, j, static_cast<double>(layers), 1);  // K changes no closeness
            range_[j] = (most[j] - least[j]) * unit[j];
        }
        const double size = length(range_);
        for (std::size_t j = 0; j < N; ++j) {
            unit[j] = leaders.all_equal() ? 0 : unit[j] / size;
            range_[j] = leaders.all_equal() ? 0 : range_[j] / size;
        }
        for (const Costs& cost : costs) {
            places_.emplace_back();
            for (std::size_t j = 0; j < weights.size(); ++j) places_.back()[j] = (cost[j] - least[j]) * unit[j];
        }
        find_sites(costs);
    }

    /// Fills `leaders`, or gives up (false).
    [[nodiscard]] bool run()
    {
        if (sites_.size() == 1) {
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
    using Point = std::array<double, N>;

    /// Types at the same place, or nearly: which of them has the layers is decided last.
    struct Site {
        Point place{};  ///< the least of theirs in each criterion: where all candidates are no closer
        std::vector<std::size_t> types;
        Point least_after{};     ///< of the places of all sites behind this one
        double share = 0;        ///< of the point that bounds
        double bound = 0;        ///< a_i: Σ_i z_i a_i < 0 rules a candidate out
        std::size_t layers = 0;  ///< of the candidates that are looked at
    };

    void find_sites(std::span<const Costs> costs)
    {
        constexpr double kNear = 1e-4;
        for (std::size_t i = 0; i < places_.size(); ++i) {
            const auto same = std::ranges::find_if(sites_, [&](const Site& site) {
                const Point apart = plus(places_[site.types.front()], -1, places_[i]);
                return std::ranges::all_of(apart, [](double side) { return std::abs(side) <= kNear; });
            });
            if (same == sites_.end()) {
                sites_.push_back({.place = places_[i], .types = {i}});
            } else {
                same->place = least_of(same->place, places_[i]);
                same->types.push_back(i);
                shared_ = true;
            }
        }
        for (Site& site : sites_)  // the cheapest first, for good candidates early
            std::ranges::stable_sort(site.types, {}, [&](std::size_t i) { return costs[i]; });
    }

    [[nodiscard]] double closeness_at(const Point& place) const
    {
        return closeness(length(place), length(plus(place, -1, range_)));
    }

    /// f at closeness `bar_`, for place = size · v, times size².
    [[nodiscard]] double f(const Point& place, double size = 1) const
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
            for (const Site& site : sites_) point_ = plus(point_, site.share, site.place);
            slope_ = plus(plus({}, curvature, point_), (1 - c) * (1 - c), range_);
            Site* to = &sites_.front();
            Site* from = nullptr;
            for (Site& site : sites_) {
                const double along = dot(slope_, site.place);
                if (along < dot(slope_, to->place)) to = &site;
                if (site.share > 0 && (from == nullptr || along > dot(slope_, from->place))) from = &site;
            }
            const Point way = plus(from->place, -1, to->place);
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
        Site& start = *std::ranges::max_element(sites_, {}, [&](const Site& site) { return closeness_at(site.place); });
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
            for (Site& site : sites_) site.bound = slack - dot(slope_, plus(site.place, -1, point_)) / size;
        } else {
            for (Site& site : sites_) site.bound = f(site.place);
        }
        // Those that can have few layers first: few branches.
        std::ranges::stable_sort(sites_, {}, &Site::bound);
        Point least_after = sites_.back().place;
        for (Site& site : sites_ | std::views::reverse) {
            site.least_after = least_after;
            least_after = least_of(least_after, site.place);
        }
    }

    /// Visits the ways to give `left` layers to the sites from g on; `place` and `bound` are sums over the layers so far.
    void visit(std::size_t g, std::size_t left, const Point& place, double bound)
    {
        if (g + 2 == sites_.size()) return visit_last_two(left, place);
        const auto all = static_cast<double>(layers_);
        for (std::size_t layers = 0; layers <= left; ++layers) {
            if (++steps_ > most_steps_) return;
            const auto given = static_cast<double>(layers);
            const auto rest = static_cast<double>(left - layers);
            const double next_bound = bound + given * sites_[g].bound;
            if (next_bound + rest * sites_.back().bound < -1e-14 * all) break;  // 1e-14: rounding
            const Point next = plus(place, given, sites_[g].place);
            if (f(plus(next, rest, sites_[g].least_after), all) < 0) continue;
            sites_[g].layers = layers;
            visit(g + 1, left - layers, next, next_bound);
        }
    }

    /// Along a line f is a parabola: what is close enough lies around its peak, or from both ends where f is convex.
    void visit_last_two(std::size_t left, const Point& place)
    {
        const Site& last = sites_.back();
        const Site& other = sites_[sites_.size() - 2];
        const auto all = static_cast<double>(layers_);
        const auto most = static_cast<double>(left);
        const Point start = plus(place, most, last.place);
        const Point step = plus(other.place, -1, last.place);
        const double near = near_;  // the bar rises meanwhile; the parabola must stay
        const double far = far_;
        const auto close_enough = [&](std::size_t layers) {
            const Point at = plus(start, static_cast<double>(layers), step);
            return far * squared(plus(at, -all, range_)) >= near * squared(at);
        };
        const double curvature = (far - near) * squared(step);
        const double slope = far * dot(step, plus(start, -all, range_)) - near * dot(step, start);
        const bool peaked = curvature < 0;
        const auto first = peaked ? static_cast<std::size_t>(std::lround(std::clamp(-slope / curvature, 0.0, most))) : 0;
        std::size_t up = first;
        for (; up <= left && steps_ <= most_steps_ && close_enough(up); ++up) look_at(up, left);
        const std::size_t end = peaked ? 0 : up;
        if (peaked && up == first) return;
        for (std::size_t down = peaked ? first : left + 1; down > end && steps_ <= most_steps_ && close_enough(down - 1);
             --down)
            look_at(down - 1, left);
    }

    /// The candidates with `layers` of `left` in the last site but one.
    void look_at(std::size_t layers, std::size_t left)
    {
        if (++steps_ > most_steps_) return;
        sites_[sites_.size() - 2].layers = layers;
        sites_.back().layers = left - layers;
        if (shared_) {
            split(0, 0, sites_.front().layers);
        } else {
            for (const Site& site : sites_) counts_[site.types.front()] = site.layers;
            leaders_.consider(counts_);
        }
        raise_bar();
    }

    /// Shares out the layers of the sites from g on among their types; of site g `left` layers, to the types from t on.
    void split(std::size_t g, std::size_t t, std::size_t left)
    {
        constexpr std::uint64_t kSplitSteps = 16;  // it takes as long as so many visits
        const Site& site = sites_[g];
        std::size_t& count = counts_[site.types[t]];
        if (t + 1 == site.types.size()) {
            count = left;
            if (g + 1 < sites_.size()) {
                split(g + 1, 0, sites_[g + 1].layers);
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

    /// Whether `counts_` with the rest of the layers, `left` of them for the types of site g from t on, can be among the best.
    [[nodiscard]] bool may_enter(std::size_t g, std::size_t t, std::size_t left) const
    {
        std::vector<Rest> rest{{left, std::span(sites_[g].types).subspan(t)}};
        for (const Site& site : sites_ | std::views::drop(g + 1)) rest.push_back({site.layers, site.types});
        const auto all = static_cast<double>(layers_);
        Point place{};
        for (std::size_t i = 0; i < counts_.size(); ++i) place = plus(place, static_cast<double>(counts_[i]) / all, places_[i]);
        for (const auto& [layers, types] : rest) {
            Point least_place = places_[types.front()];
            for (const std::size_t i : types) least_place = least_of(least_place, places_[i]);
            place = plus(place, static_cast<double>(layers) / all, least_place);
        }
        const double close = closeness_at(place);
        return close >= bar_ && leaders_.may_enter(close, counts_, rest);
    }

    Leaders& leaders_;
    std::size_t layers_;
    Point range_{};  ///< b, of length 1; 0 where all candidates are equal
    std::vector<Point> places_;
    std::vector<Site> sites_;
    bool shared_ = false;  ///< a site has several types
    double floor_ = 0;
    double bar_ = 0;   ///< c
    double near_ = 0;  ///< c²
    double far_ = 1;   ///< (1−c)²
    Point point_{};    ///< q
    Point slope_{};    ///< −∇f(q) / 2
    std::vector<std::size_t> counts_;
    std::uint64_t most_steps_;
    std::uint64_t steps_ = 0;
};

}  // namespace

bool branch_and_bound(std::size_t layers, std::span<const Costs> costs, std::span<const double> weights, Leaders& leaders,
                      std::uint64_t most_steps)
{
    // Axes without a criterion are 0 and change nothing.
    if (weights.size() <= 3) return Search<3>(layers, costs, weights, leaders, most_steps).run();
    return Search<kMostCriteria>(layers, costs, weights, leaders, most_steps).run();
}

}  // namespace apreqel
