#include "decide/leaders.h"

#include "decide/topsis.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace apreqel {
namespace {

std::int64_t rounded(double value, double scale) { return std::llround(value / scale * kDigits); }

}  // namespace

/// K E[x²] with x = Σ_i z_i c_i / L, where z is uniform over the compositions of L into M counts, so that
///   E[z_i] = L/M,  E[z_i (z_i − 1)] = 2 L (L−1) / (M (M+1)),  E[z_i z_k] = L (L−1) / (M (M+1)) for i ≠ k.
double column_norm(std::span<const Costs> costs, std::size_t criterion, double layers, double candidates)
{
    const auto types = static_cast<double>(costs.size());
    const double mixed = layers * (layers - 1) / (types * (types + 1));
    const double squared = 2 * mixed + layers / types;
    double sum = 0;
    double squares = 0;
    for (const Costs& cost : costs) {
        sum += cost[criterion];
        squares += cost[criterion] * cost[criterion];
    }
    return std::sqrt(candidates * (mixed * sum * sum + (squared - mixed) * squares)) / layers;
}

Leaders::Leaders(std::size_t layers, std::span<const Costs> costs, std::span<const double> weights, std::size_t keep,
                 DistributionRanking& ranking)
    : costs_(costs),
      weights_(weights),
      keep_(keep),
      ranking_(ranking),
      layers_(static_cast<double>(layers)),
      tie_scale_(costs.front()),
      candidate_{.counts = {}, .estimate = Costs(weights.size())}
{
    const Costs least = best_of(costs);
    const Costs most = worst_of(costs);
    Costs norm;
    double range = 0;
    double top = 0;
    for (std::size_t j = 0; j < weights.size(); ++j) {
        norm.push_back(most[j] > 0 ? column_norm(costs, j, layers_, ranking.candidates) : 1);
        if (most[j] == 0) continue;
        const double unit = weights[j] / column_norm(costs, j, layers_, 1);
        range += std::pow((most[j] - least[j]) * unit, 2);
        top += std::pow(most[j] * unit, 2);
    }
    // x is linear in z: its extremes over all candidates are the uniform variants.
    ranking.scale = scale_of(costs, weights, std::move(norm));
    // Where all criteria that matter are equal, what is left of the distances is rounding.
    all_equal_ = range <= 1e-26 * top;
    // Each of the M + 4 roundings of a value moves both distances by at most 2^-53 of it; they sum to the range or more.
    noise_ = all_equal_ ? 0 : (static_cast<double>(costs.size()) + 8) * 4e-16 * std::sqrt(top / range);
    // In units of the first type its own cost is a whole number, far from where a digit is rounded up or down. Far below the
    // greatest cost, rounding would be more than a digit.
    for (std::size_t j = 0; j < weights.size(); ++j) {
        if (tie_scale_[j] < 1e-6 * most[j]) tie_scale_[j] = most[j];
        if (tie_scale_[j] == 0) tie_scale_[j] = 1;
    }
}

void Leaders::consider(const std::vector<std::size_t>& counts)
{
    candidate_.counts = counts;
    for (std::size_t j = 0; j < weights_.size(); ++j) {
        candidate_.estimate[j] = 0;
        for (std::size_t i = 0; i < costs_.size(); ++i)
            candidate_.estimate[j] += static_cast<double>(counts[i]) / layers_ * costs_[i][j];
    }
    const Distances d = all_equal_ ? Distances{} : distances(candidate_.estimate, weights_, ranking_.scale);
    candidate_.distance_ideal = d.ideal;
    candidate_.distance_anti_ideal = d.anti_ideal;
    candidate_.closeness = closeness(d.ideal, d.anti_ideal);
    if (full() && !better(candidate_, ranking_.best.back())) return;
    const auto place = std::ranges::upper_bound(
        ranking_.best, candidate_, [&](const RankedDistribution& a, const RankedDistribution& b) { return better(a, b); });
    ranking_.best.insert(place, candidate_);
    if (ranking_.best.size() > keep_) ranking_.best.pop_back();
}

bool Leaders::may_enter(double close, const std::vector<std::size_t>& counts, const std::vector<Rest>& rest) const
{
    if (!full()) return true;
    const RankedDistribution& last = ranking_.best.back();
    const auto at_most = rounded(close + noise_, 1);
    if (at_most != rounded(last.closeness, 1)) return at_most > rounded(last.closeness, 1);
    // Only types that are cheapest in every criterion so far, or nearly, keep up with the last candidate in the next one.
    std::vector<bool> cheap(costs_.size(), true);
    for (std::size_t j = 0; j < weights_.size(); ++j) {
        double least = 0;
        for (std::size_t i = 0; i < costs_.size(); ++i) least += static_cast<double>(counts[i]) / layers_ * costs_[i][j];
        for (const auto& [layers, types] : rest) {
            double cheapest = std::numeric_limits<double>::infinity();
            for (const std::size_t i : types)
                if (cheap[i]) cheapest = std::min(cheapest, costs_[i][j]);
            for (const std::size_t i : types)
                cheap[i] = cheap[i] && costs_[i][j] <= cheapest + 2 / kDigits * tie_scale_[j] * layers_;
            least += static_cast<double>(layers) / layers_ * cheapest;
        }
        const auto cost = rounded(least * (1 - (static_cast<double>(costs_.size()) + 8) * 2e-16), tie_scale_[j]);
        const auto cost_last = rounded(last.estimate[j], tie_scale_[j]);
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

/// The order of the ranking; see rank_distributions for the ties.
bool Leaders::better(const RankedDistribution& a, const RankedDistribution& b) const
{
    const auto closer_a = rounded(a.closeness, 1);
    const auto closer_b = rounded(b.closeness, 1);
    if (closer_a != closer_b) return closer_a > closer_b;
    for (std::size_t j = 0; j < weights_.size(); ++j) {
        const auto cost_a = rounded(a.estimate[j], tie_scale_[j]);
        const auto cost_b = rounded(b.estimate[j], tie_scale_[j]);
        if (cost_a != cost_b) return cost_a < cost_b;
    }
    return a.counts > b.counts;
}

}  // namespace apreqel
