// All distributions of types over layers, ranked by TOPSIS (paper, section "Distribution of types"; Hwang & Yoon 1981).
#include "decide/branch_and_bound.h"
#include "decide/leaders.h"

#include <apreqel/distributions.h>

#include <algorithm>
#include <cmath>
#include <ranges>

namespace apreqel {
namespace {

Result<> check(std::span<const Costs> costs, const Costs& weights, double layers, double candidates)
{
    if (weights.size() > kMostCriteria)
        return usage_error("plan: {} criteria are too many, {} can be ranked by", weights.size(), kMostCriteria);
    for (const double weight : weights)
        if (!std::isfinite(weight) || weight < 0) return usage_error("plan: a weight is {}, it must be 0 or more", weight);
    const double heaviest = weights.empty() ? 0 : std::ranges::max(weights);
    if (heaviest == 0) return usage_error("plan: all weights are 0");
    if (heaviest < 1e-100 || heaviest > 1e100)
        return usage_error("plan: the greatest weight is {}, it must be from 1e-100 to 1e100", heaviest);
    for (const Costs& cost : costs) {
        if (cost.size() != weights.size())
            return usage_error("plan: a type has {} costs, there are {} weights", cost.size(), weights.size());
        for (const double value : cost)
            if (!std::isfinite(value) || value < 0)
                return fail("plan: a cost of {} cannot be ranked, it must be 0 or more", value);
    }
    for (std::size_t j = 0; j < weights.size(); ++j) {
        const double most = worst_of(costs)[j];
        for (const double count : {1.0, candidates})
            if (most > 0 && !std::isnormal(column_norm(costs, j, layers, count)))
                return fail("plan: costs of up to {} cannot be ranked, they are beyond what can be squared", most);
    }
    return {};
}

}  // namespace

double count_distributions(std::size_t layers, std::size_t types)
{
    if (layers == 0 || types == 0) return 0;
    // C(L + n, n) for n = 1 … M−1; each step stays whole while a double holds it.
    double count = 1;
    for (std::size_t n = 1; n < types; ++n) count = count * static_cast<double>(layers + n) / static_cast<double>(n);
    return std::round(count);
}

Result<DistributionRanking> rank_distributions(std::size_t layers, std::span<const Costs> costs, const Costs& weights,
                                               std::size_t keep, std::uint64_t most_steps)
{
    const double candidates = count_distributions(layers, costs.size());
    if (candidates == 0) return usage_error("plan: at least one layer and one type are needed");
    if (!std::isfinite(candidates)) return usage_error("plan: {} types over {} layers are too many", costs.size(), layers);
    if (auto fit = check(costs, weights, static_cast<double>(layers), candidates); !fit) return std::unexpected(fit.error());

    DistributionRanking ranking{.candidates = candidates, .scale = {}, .best = {}};
    Leaders leaders(layers, costs, weights, std::max<std::size_t>(keep, 1), ranking);
    if (!branch_and_bound(layers, costs, weights, leaders, most_steps)) {
        return usage_error(
            "plan: too many of the {:.3g} distributions of {} types over {} layers are nearly equal to rank the best "
            "{}: use fewer types",
            candidates, costs.size(), layers, keep);
    }
    return ranking;
}

}  // namespace apreqel
