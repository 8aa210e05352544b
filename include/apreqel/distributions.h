// All distributions of types over layers, ranked by TOPSIS (paper, section "Distribution of types").
#pragma once

#include <apreqel/costs.h>
#include <apreqel/error.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace apreqel {

struct RankedDistribution {
    std::vector<std::size_t> counts;  ///< z_i: layers given to type i; sums to the number of layers
    Costs estimate{};                 ///< x_j = Σ_i (z_i / L) · c_ij
    double closeness = 0;             ///< d⁻ / (d⁻ + d*), in [0, 1]
    double distance_ideal = 0;        ///< d*
    double distance_anti_ideal = 0;   ///< d⁻
};

struct DistributionRanking {
    double candidates = 0;                 ///< C(L + M − 1, M − 1)
    Scale scale{};                         ///< over all of them
    std::vector<RankedDistribution> best;  ///< by closeness, descending
};

/// C(layers + types − 1, types − 1), exact while that fits a double's 53 bits; 0 for no layers or no types.
[[nodiscard]] double count_distributions(std::size_t layers, std::size_t types);

/// Most criteria that `rank_distributions` compares by.
inline constexpr std::size_t kMostCriteria = 16;

/// Ranks every distribution of M types over L layers by TOPSIS and keeps the `keep` best, as if by visiting all.
/// `costs`: M rows of the same criteria, finite and not negative. `weights`: one for each criterion, used as given; not
/// negative, not all zero. L ≥ 1, M ≥ 1.
/// Equal closeness: the smaller estimate of the first criterion, then of the second, and so on, then the greater count of the
/// earlier type wins. Where all candidates are equal the closeness is 1.
/// Errors: more than `most_steps` branches because so many candidates are nearly as close as the best (the default takes some
/// seconds); input outside the above, or too large or small to be squared.
[[nodiscard]] Result<DistributionRanking> rank_distributions(std::size_t layers, std::span<const Costs> costs,
                                                             const Costs& weights, std::size_t keep = 1,
                                                             std::uint64_t most_steps = 1'000'000'000);

}  // namespace apreqel
