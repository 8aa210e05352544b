// TOPSIS: the technique for order of preference by similarity to ideal solution (Hwang & Yoon 1981), with vector
// normalisation.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

enum class Direction { minimise, maximise };

struct Criterion {
    double weight = 1;  ///< non-negative, used as given
    Direction direction = Direction::minimise;
};

/// d⁻ / (d⁻ + d*) from the two distances; 1 where both are 0, that is where all alternatives are equal.
[[nodiscard]] double closeness(double distance_ideal, double distance_anti_ideal);

/// Closeness of each alternative, in [0, 1], greater is better. `matrix`: alternatives × criteria, row by row. Each
/// column is divided by its Euclidean norm (a column of zeros stays) and multiplied by its weight; the ideal is the best
/// and the anti-ideal the worst value of each column.
[[nodiscard]] std::vector<double> topsis(std::span<const double> matrix, std::span<const Criterion> criteria);

}  // namespace apreqel
