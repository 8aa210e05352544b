#include "decide/topsis.h"

#include <algorithm>
#include <cmath>

namespace apreqel {

double closeness(double distance_ideal, double distance_anti_ideal)
{
    const double sum = distance_ideal + distance_anti_ideal;
    return sum > 0 ? distance_anti_ideal / sum : 1;
}

std::vector<double> topsis(std::span<const double> matrix, std::span<const Criterion> criteria)
{
    const std::size_t columns = criteria.size();
    const std::size_t rows = columns == 0 ? 0 : matrix.size() / columns;
    std::vector<double> squared_ideal(rows);
    std::vector<double> squared_anti_ideal(rows);
    for (std::size_t j = 0; j < columns; ++j) {
        double squares = 0;
        for (std::size_t k = 0; k < rows; ++k) squares += matrix[k * columns + j] * matrix[k * columns + j];
        const double scale = squares > 0 ? criteria[j].weight / std::sqrt(squares) : 0;
        std::vector<double> values(rows);
        for (std::size_t k = 0; k < rows; ++k) values[k] = matrix[k * columns + j] * scale;
        if (values.empty()) continue;
        auto [best, worst] = std::ranges::minmax(values);
        if (criteria[j].direction == Direction::maximise) std::swap(best, worst);
        for (std::size_t k = 0; k < rows; ++k) {
            squared_ideal[k] += (values[k] - best) * (values[k] - best);
            squared_anti_ideal[k] += (values[k] - worst) * (values[k] - worst);
        }
    }
    std::vector<double> result(rows);
    for (std::size_t k = 0; k < rows; ++k) result[k] = closeness(std::sqrt(squared_ideal[k]), std::sqrt(squared_anti_ideal[k]));
    return result;
}

}  // namespace apreqel
