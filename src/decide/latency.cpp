#include "decide/latency.h"

#include <unsupported/Eigen/NNLS>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace apreqel {
namespace {

/// Relative errors of one size: of a measured latency, about 1 %; of a part expected from its share of the weights, 30 %.
constexpr double kMeasured = 0.01;
constexpr double kExpected = 0.3;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::vector<double> solve(std::span<const TimedParts> models, std::span<const double> expected, std::size_t left_out)
{
    const auto parts = static_cast<Eigen::Index>(expected.size());
    Eigen::MatrixXd equations = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(models.size()) + parts, parts);
    Eigen::VectorXd targets = Eigen::VectorXd::Zero(equations.rows());
    for (std::size_t m = 0; m < models.size(); ++m) {
        if (m == left_out) continue;
        const auto row = static_cast<Eigen::Index>(m);
        const double scale = 1 / (kMeasured * models[m].latency_ms);
        for (Eigen::Index p = 0; p < parts; ++p) equations(row, p) = models[m].parts[static_cast<std::size_t>(p)] * scale;
        targets(row) = models[m].latency_ms * scale;
    }
    for (Eigen::Index p = 0; p < parts; ++p) {
        const auto row = static_cast<Eigen::Index>(models.size()) + p;
        equations(row, p) = 1 / (kExpected * expected[static_cast<std::size_t>(p)]);
        targets(row) = 1 / kExpected;
    }
    Eigen::NNLS<Eigen::MatrixXd> nnls(equations);
    const Eigen::VectorXd solution = nnls.solve(targets);
    // It is possible, if rare, that the method goes in circles: what was expected stands then.
    if (nnls.info() != Eigen::Success) return {expected.begin(), expected.end()};
    std::vector<double> found(expected.size());
    for (std::size_t p = 0; p < found.size(); ++p) found[p] = std::max(0.0, solution(static_cast<Eigen::Index>(p)));
    return found;
}

}  // namespace

LatencyFit fit_latency(std::span<const TimedParts> models, std::span<const double> expected)
{
    LatencyFit fit{.parts = solve(models, expected, kNone)};
    for (std::size_t m = 0; m < models.size(); ++m) {
        if (!models[m].mixed) continue;
        const std::vector<double> others = solve(models, expected, m);
        const double predicted = std::inner_product(others.begin(), others.end(), models[m].parts.begin(), 0.0);
        fit.error = std::max(fit.error, std::abs(predicted / models[m].latency_ms - 1));
    }
    return fit;
}

}  // namespace apreqel
