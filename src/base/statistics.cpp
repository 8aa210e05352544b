#include "base/statistics.h"

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

constexpr double kCoverage = 0.95;

/// P(X ≤ k) for X binomial with n trials of probability 1/2.
double binomial_half(std::size_t n, std::size_t k)
{
    double term = std::exp2(-static_cast<double>(n));
    double sum = term;
    for (std::size_t i = 1; i <= k; ++i) {
        term *= static_cast<double>(n - i + 1) / static_cast<double>(i);
        sum += term;
    }
    return sum;
}

}  // namespace

Sampled summarize(std::vector<double> samples)
{
    if (samples.empty()) return {};
    std::vector<double> sorted = samples;
    std::ranges::sort(sorted);
    const std::size_t n = sorted.size();
    // [x_(r+1), x_(n−r)] covers the median with probability 1 − 2 P(X ≤ r).
    std::size_t r = 0;
    while (r + 1 < n / 2 && 1 - 2 * binomial_half(n, r + 1) >= kCoverage) ++r;
    return {.median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2,
            .low = sorted[r],
            .high = sorted[n - 1 - r],
            .confidence = 1 - 2 * binomial_half(n, r),
            .samples = std::move(samples)};
}

bool tell_apart(std::span<const double> a, std::span<const double> b)
{
    std::vector<double> differences;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences.push_back(a[i] - b[i]);
    const Sampled difference = summarize(std::move(differences));
    return difference.confidence >= kCoverage && (difference.low > 0 || difference.high < 0);
}

}  // namespace apreqel
