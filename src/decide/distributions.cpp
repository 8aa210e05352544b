// All distributions of types over layers, ranked by TOPSIS (paper, section "Distribution of types"; Hwang & Yoon 1981).
// All metrics are minimised.
#include "decide/topsis.h"

#include <apreqel/plan.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace apreqel {
namespace {

__extension__ typedef unsigned __int128 Wide;

/// At about 5 ns each, the most that is worth waiting for.
constexpr std::uint64_t kMostCandidates = 10'000'000'000;

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

/// Equal up to rounding is equal: candidates that are so mathematically must not be ordered by their last bits.
std::int64_t rounded(double value, double scale) { return std::llround(value / scale * 1e12); }

class Ranker {
public:
    Ranker(std::size_t layers, std::span<const Metrics> costs, const Weights& weights, std::size_t keep, Ranking& ranking)
        : costs_(costs),
          weights_(weights),
          keep_(keep),
          ranking_(ranking),
          layers_(static_cast<double>(layers)),
          counts_(costs.size())
    {
        for (std::size_t j = 0; j < kMetrics; ++j) {
            ranking.norm[j] = column_norm(costs, j, layers_, static_cast<double>(ranking.candidates));
            const auto [least, most] = std::ranges::minmax(costs, {}, [j](const Metrics& cost) { return cost[j]; });
            // x is linear in z: its extremes over all candidates are the uniform variants.
            ranking.ideal[j] = weighted(least[j], j);
            ranking.anti_ideal[j] = weighted(most[j], j);
        }
    }

    /// Visits every way to give `left` layers to the types from `type` on; `value` is the weighted normalised sum so far.
    void visit(std::size_t type, std::size_t left, const Metrics& value)
    {
        if (type + 2 < costs_.size()) {
            for (std::size_t count = 0; count <= left; ++count) {
                counts_[type] = count;
                visit(type + 1, left - count, plus(value, type, count));
            }
        } else if (type + 2 == costs_.size()) {
            visit_last_two(type, left, value);
        } else {
            counts_[type] = left;
            consider();
        }
    }

private:
    [[nodiscard]] double weighted(double estimate, std::size_t metric) const
    {
        return estimate / ranking_.norm[metric] * weights_[metric];
    }

    [[nodiscard]] Metrics plus(Metrics value, std::size_t type, std::size_t count) const
    {
        for (std::size_t j = 0; j < kMetrics; ++j)
            value[j] += weighted(costs_[type][j], j) * static_cast<double>(count) / layers_;
        return value;
    }

    /// The hot loop: closeness grows with d⁻² / d*², so candidates are compared without root or division, and only those
    /// that may be among the best are looked at closely.
    void visit_last_two(std::size_t type, std::size_t left, const Metrics& value)
    {
        const Metrics start = plus(value, type + 1, left);
        Metrics from_ideal{};
        Metrics from_anti_ideal{};
        Metrics step{};
        for (std::size_t j = 0; j < kMetrics; ++j) {
            step[j] = (weighted(costs_[type][j], j) - weighted(costs_[type + 1][j], j)) / layers_;
            from_ideal[j] = start[j] - ranking_.ideal[j];
            from_anti_ideal[j] = start[j] - ranking_.anti_ideal[j];
        }
        for (std::size_t count = 0; count <= left; ++count) {
            double ideal = 0;
            double anti_ideal = 0;
            for (std::size_t j = 0; j < kMetrics; ++j) {
                const double moved = step[j] * static_cast<double>(count);
                ideal += (from_ideal[j] + moved) * (from_ideal[j] + moved);
                anti_ideal += (from_anti_ideal[j] + moved) * (from_anti_ideal[j] + moved);
            }
            if (anti_ideal + kRounding < bar_ * ideal) continue;
            counts_[type] = count;
            counts_[type + 1] = left - count;
            consider();
        }
    }

    /// Evaluates the current counts by the plain formulas and keeps them if they are among the best.
    void consider()
    {
        Candidate candidate{.counts = counts_};
        double ideal = 0;
        double anti_ideal = 0;
        for (std::size_t j = 0; j < kMetrics; ++j) {
            for (std::size_t i = 0; i < costs_.size(); ++i)
                candidate.estimate[j] += static_cast<double>(counts_[i]) / layers_ * costs_[i][j];
            const double value = weighted(candidate.estimate[j], j);
            ideal += (value - ranking_.ideal[j]) * (value - ranking_.ideal[j]);
            anti_ideal += (value - ranking_.anti_ideal[j]) * (value - ranking_.anti_ideal[j]);
        }
        // Where all metrics that matter are equal, what is left of the distances is rounding.
        if (ideal < kRounding && anti_ideal < kRounding) ideal = anti_ideal = 0;
        candidate.distance_ideal = std::sqrt(ideal);
        candidate.distance_anti_ideal = std::sqrt(anti_ideal);
        candidate.closeness = closeness(candidate.distance_ideal, candidate.distance_anti_ideal);

        auto& best = ranking_.best;
        const auto place = std::ranges::find_if(best, [&](const Candidate& other) { return better(candidate, other); });
        if (place == best.end() && best.size() == keep_) return;
        best.insert(place, std::move(candidate));
        if (best.size() > keep_) best.pop_back();
        if (best.size() < keep_) return;
        const Candidate& last = best.back();
        const double ratio = last.distance_anti_ideal / last.distance_ideal;
        bar_ = std::isnan(ratio) ? 0 : std::min(ratio * ratio * (1 - 1e-9), 1e300);
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

    /// Squared distances below this are zero: values are at most about 1, so their rounding errors are near 1e-16.
    static constexpr double kRounding = 1e-30;

    std::span<const Metrics> costs_;
    const Weights& weights_;
    std::size_t keep_;
    Ranking& ranking_;
    double layers_;
    std::vector<std::size_t> counts_;
    double bar_ = 0;  ///< d⁻² / d*² of the last candidate kept, a little lower
};

}  // namespace

Result<std::uint64_t> count_distributions(std::size_t layers, std::size_t types)
{
    if (layers == 0 || types == 0) return usage_error("plan: at least one layer and one type are needed");
    // C(L + n, n) for n = 1 … M−1; each step stays whole.
    std::uint64_t count = 1;
    for (std::size_t n = 1; n < types; ++n) {
        const Wide next = static_cast<Wide>(count) * (layers + n) / n;
        if (next > std::numeric_limits<std::uint64_t>::max()) {
            return usage_error("plan: {} types over {} layers give more than 2^64 candidates", types, layers);
        }
        count = static_cast<std::uint64_t>(next);
    }
    return count;
}

Result<Ranking> rank_distributions(std::size_t layers, std::span<const Metrics> costs, const Weights& weights, std::size_t keep)
{
    const auto candidates = count_distributions(layers, costs.size());
    if (!candidates) return std::unexpected(candidates.error());
    if (*candidates > kMostCandidates) {
        return usage_error("plan: {} types over {} layers give {} candidates, more than {} can be ranked: use fewer types",
                           costs.size(), layers, *candidates, kMostCandidates);
    }
    for (std::size_t j = 0; j < kMetrics; ++j) {
        if (!std::isfinite(weights[j]) || weights[j] < 0)
            return usage_error("plan: the weight of {} is {}, it must be 0 or more", kMetricNames[j], weights[j]);
        for (const Metrics& cost : costs) {
            if (!std::isfinite(cost[j]) || cost[j] <= 0)
                return fail("plan: a {} of {} cannot be ranked, it must be positive", kMetricNames[j], cost[j]);
        }
    }
    if (std::ranges::all_of(weights, [](double weight) { return weight == 0; })) return usage_error("plan: all weights are 0");

    Ranking ranking{.candidates = *candidates};
    Ranker(layers, costs, weights, std::max<std::size_t>(keep, 1), ranking).visit(0, layers, {});
    return ranking;
}

}  // namespace apreqel
