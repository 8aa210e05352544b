#include "decide/topsis.h"

#include <algorithm>
#include <cmath>

namespace apreqel {

double closeness(double distance_ideal, double distance_anti_ideal)
{
    const double sum = distance_ideal + distance_anti_ideal;
    return sum > 0 ? distance_anti_ideal / sum : 1;
}

std::vector<double> topsis(std::span<const double> matrix, std::span<const Column> columns)
{
    std::vector<Costs> rows(columns.empty() ? 0 : matrix.size() / columns.size(), Costs(columns.size()));
    Costs weights;
    for (std::size_t j = 0; j < columns.size(); ++j) {
        const double sign = columns[j].direction == Direction::maximise ? -1 : 1;
        for (std::size_t k = 0; k < rows.size(); ++k) rows[k][j] = sign * matrix[k * columns.size() + j];
        weights.push_back(columns[j].weight);
    }
    if (rows.empty()) return {};
    const Scale scale = scale_of(rows, weights, norms_of(rows, Normalization::vector));
    std::vector<double> result;
    for (const Costs& row : rows) {
        const Distances d = distances(row, weights, scale);
        result.push_back(closeness(d.ideal, d.anti_ideal));
    }
    return result;
}

Costs norms_of(std::span<const Costs> rows, Normalization normalization)
{
    constexpr double kRounding = 1e-12;
    const Costs least = best_of(rows);
    const Costs most = worst_of(rows);
    Costs norm(least.size());
    for (std::size_t j = 0; j < norm.size(); ++j) {
        const double size = std::max(std::abs(least[j]), std::abs(most[j]));
        double squares = 0;
        for (const Costs& row : rows) squares += row[j] * row[j];
        norm[j] = normalization == Normalization::minmax ? most[j] - least[j] : std::sqrt(squares);
        if (norm[j] <= kRounding * size) norm[j] = size;
        if (norm[j] == 0) norm[j] = 1;
    }
    return norm;
}

Scale scale_of(std::span<const Costs> rows, std::span<const double> weights, Costs norm)
{
    Scale scale{.norm = std::move(norm), .ideal = best_of(rows), .anti_ideal = worst_of(rows)};
    for (std::size_t j = 0; j < scale.norm.size(); ++j) {
        scale.ideal[j] = weighted(scale.ideal[j], scale.norm, weights, j);
        scale.anti_ideal[j] = weighted(scale.anti_ideal[j], scale.norm, weights, j);
    }
    return scale;
}

Distances distances(std::span<const double> costs, std::span<const double> weights, const Scale& scale)
{
    double ideal = 0;
    double anti_ideal = 0;
    for (std::size_t j = 0; j < costs.size(); ++j) {
        const double value = weighted(costs[j], scale.norm, weights, j);
        ideal += (value - scale.ideal[j]) * (value - scale.ideal[j]);
        anti_ideal += (value - scale.anti_ideal[j]) * (value - scale.anti_ideal[j]);
    }
    return {.ideal = std::sqrt(ideal), .anti_ideal = std::sqrt(anti_ideal)};
}

double extended_closeness(std::span<const double> costs, std::span<const double> weights, const Scale& scale)
{
    double ideal = 0;
    double anti_ideal = 0;
    double beyond_ideal = 0;
    double beyond_anti_ideal = 0;
    double diagonal = 0;
    const auto square = [](double value) { return value * value; };
    for (std::size_t j = 0; j < costs.size(); ++j) {
        const double value = weighted(costs[j], scale.norm, weights, j);
        const double inside = std::clamp(value, scale.ideal[j], scale.anti_ideal[j]);
        ideal += square(inside - scale.ideal[j]);
        anti_ideal += square(inside - scale.anti_ideal[j]);
        beyond_ideal += square(std::min(value - scale.ideal[j], 0.0));
        beyond_anti_ideal += square(std::max(value - scale.anti_ideal[j], 0.0));
        diagonal += square(scale.anti_ideal[j] - scale.ideal[j]);
    }
    const double unit = diagonal > 0 ? std::sqrt(diagonal) : 1;
    return closeness(std::sqrt(ideal), std::sqrt(anti_ideal)) + (std::sqrt(beyond_ideal) - std::sqrt(beyond_anti_ideal)) / unit;
}

}  // namespace apreqel
