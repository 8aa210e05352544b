// TOPSIS: the technique for order of preference by similarity to ideal solution (Hwang & Yoon 1981).
#pragma once

#include <apreqel/costs.h>

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

enum class Direction { minimise, maximise };

/// How a column of a matrix counts.
struct Column {
    double weight = 1;  ///< non-negative, used as given
    Direction direction = Direction::minimise;
};

/// d⁻ / (d⁻ + d*) from the two distances; 1 where both are 0, that is where all alternatives are equal.
[[nodiscard]] double closeness(double distance_ideal, double distance_anti_ideal);

/// Closeness of each alternative, in [0, 1], greater is better. `matrix`: alternatives × criteria, row by row, vector
/// normalisation. The ideal is the best and the anti-ideal the worst value of each column.
[[nodiscard]] std::vector<double> topsis(std::span<const double> matrix, std::span<const Column> columns);

/// What each criterion of `rows` is divided by. Always positive: where values are all equal but for rounding, it is the value,
/// and where they are all 0, it is 1.
[[nodiscard]] Costs norms_of(std::span<const Costs> rows, Normalization normalization);

/// A cost of criterion j as TOPSIS compares it.
[[nodiscard]] inline double weighted(double cost, const Costs& norm, std::span<const double> weights, std::size_t j)
{
    return cost / norm[j] * weights[j];
}

/// The scale with these norms whose ideal and anti-ideal are those of `rows`; at least one.
[[nodiscard]] Scale scale_of(std::span<const Costs> rows, std::span<const double> weights, Costs norm);

/// Euclidean.
struct Distances {
    double ideal = 0;       ///< d*
    double anti_ideal = 0;  ///< d⁻
};

[[nodiscard]] Distances distances(std::span<const double> costs, std::span<const double> weights, const Scale& scale);

/// The closeness of costs that may lie outside the box between ideal and anti-ideal, since they are not among those that the
/// scale was made of. Distances alone would punish what is better than the ideal for being far from it. It is the closeness of
/// the nearest point in the box, plus how far beyond the ideal the costs are, less how far beyond the anti-ideal, both as
/// shares of the distance between the two. In the box that is plain TOPSIS. It is continuous, and what dominates is closer:
/// each of the three is monotone in every criterion, and where one of positive weight differs, so does the sum. For if the
/// better value is below the ideal, the second grows; if the worse is above the anti-ideal, the third falls; else both are in
/// the box, the better nearer to the ideal and farther from the anti-ideal, so that the worse is not at the ideal nor the
/// better at the anti-ideal, where the closeness would stand still.
[[nodiscard]] double extended_closeness(std::span<const double> costs, std::span<const double> weights, const Scale& scale);

}  // namespace apreqel
