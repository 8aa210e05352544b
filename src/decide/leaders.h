// The best distributions of types over layers, by the plain formulas of TOPSIS (paper, section "Distribution of types").
#pragma once

#include <apreqel/distributions.h>

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// Euclidean norm of the costs' criterion over `candidates` candidates, without visiting them.
[[nodiscard]] double column_norm(std::span<const Costs> costs, std::size_t criterion, double layers, double candidates);

/// Equal up to rounding is equal: candidates that are so mathematically must not be ordered by their last bits.
inline constexpr double kDigits = 1e12;

/// Layers that go to some of these types.
struct Rest {
    std::size_t layers;
    std::span<const std::size_t> types;
};

/// Evaluates candidates and keeps the best.
class Leaders {
public:
    /// Sets the ranking's scale. `costs`, `weights` and `ranking` are those of `rank_distributions` and outlive it.
    Leaders(std::size_t layers, std::span<const Costs> costs, std::span<const double> weights, std::size_t keep,
            DistributionRanking& ranking);

    [[nodiscard]] bool all_equal() const { return all_equal_; }

    /// How far a closeness can be off by rounding.
    [[nodiscard]] double noise() const { return noise_; }

    [[nodiscard]] bool full() const { return ranking_.best.size() >= keep_; }
    [[nodiscard]] double last_closeness() const { return ranking_.best.back().closeness; }
    void clear() { ranking_.best.clear(); }

    /// Keeps the candidate with these counts if it is among the best.
    void consider(const std::vector<std::size_t>& counts);

    /// Whether any candidate of at most this closeness can enter that has `counts` and shares out the rest.
    [[nodiscard]] bool may_enter(double close, const std::vector<std::size_t>& counts, const std::vector<Rest>& rest) const;

private:
    [[nodiscard]] bool better(const RankedDistribution& a, const RankedDistribution& b) const;

    std::span<const Costs> costs_;
    std::span<const double> weights_;
    std::size_t keep_;
    DistributionRanking& ranking_;
    double layers_;
    Costs tie_scale_;               ///< of each criterion: one of its costs, in units of which ties are told
    RankedDistribution candidate_;  ///< that is considered
    bool all_equal_ = false;
    double noise_ = 0;
};

}  // namespace apreqel
