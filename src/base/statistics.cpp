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

double median(std::vector<double> values)
{
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

}  // namespace

std::vector<std::vector<double>> without_drift(std::vector<std::vector<double>> samples)
{
    constexpr std::size_t kAround = 4;  // samples before, and as many after
    constexpr int kPasses = 5;          // a model's median depends on the pace, and the pace on the medians
    if (samples.empty() || samples.front().empty()) return samples;
    const std::size_t models = samples.size();
    const std::size_t count = models * samples.front().size();
    std::vector<double> pace(count, 1);
    for (int pass = 0; pass < kPasses; ++pass) {
        std::vector<double> levels;
        for (std::size_t m = 0; m < models; ++m) {
            std::vector<double> leveled = samples[m];
            for (std::size_t r = 0; r < leveled.size(); ++r) leveled[r] /= pace[r * models + m];
            levels.push_back(median(std::move(leveled)));
        }
        std::vector<double> ratios(count);
        for (std::size_t k = 0; k < count; ++k) ratios[k] = samples[k % models][k / models] / levels[k % models];
        for (std::size_t k = 0; k < count; ++k) {
            std::vector<double> around;
            for (std::size_t i = k - std::min(k, kAround); i < std::min(count, k + kAround + 1); ++i)
                if (i != k) around.push_back(ratios[i]);
            pace[k] = around.empty() ? 1 : median(std::move(around));
        }
        const double usual = median(pace);
        for (double& value : pace) value /= usual;
    }
    for (std::size_t k = 0; k < count; ++k) samples[k % models][k / models] /= pace[k];
    return samples;
}

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
