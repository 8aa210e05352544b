#include <apreqel/statistics.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

namespace apreqel {
namespace {

/// P(X = k) for X binomial with n trials of probability 1/2. From its logarithm: 2^−n underflows from n = 1075 on.
double binomial_half(std::size_t n, std::size_t k)
{
    const auto log_factorial = [](std::size_t i) { return std::lgamma(static_cast<double>(i) + 1); };
    return std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) - static_cast<double>(n) * std::numbers::ln2);
}

/// The share below the lower bound of a bootstrap interval of n repetitions: Φ(−t √(n / (n − 1))), for the 2.5 % that
/// Student's t leaves below −t with n − 1 degrees of freedom (its expansion: Abramowitz & Stegun 1964, 26.7.5).
double expanded_tail(std::size_t n)
{
    constexpr double z = 1.959963984540054;
    const auto freedom = static_cast<double>(n - 1);
    const double t = z + (std::pow(z, 3) + z) / (4 * freedom) +
                     (5 * std::pow(z, 5) + 16 * std::pow(z, 3) + 3 * z) / (96 * freedom * freedom) +
                     (3 * std::pow(z, 7) + 19 * std::pow(z, 5) + 17 * std::pow(z, 3) - 15 * z) / (384 * std::pow(freedom, 3));
    return std::erfc(t * std::sqrt(static_cast<double>(n) / freedom) / std::numbers::sqrt2) / 2;
}

}  // namespace

double quantile(std::vector<double> values, double share)
{
    const double place = share * static_cast<double>(values.size() - 1);
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(place);
    std::ranges::nth_element(values, at);
    const double between = place - std::floor(place);
    return between == 0 ? *at : std::lerp(*at, *std::min_element(at + 1, values.end()), between);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

void Mean::add(double value)
{
    const double before = value - mean();
    ++count_;
    sum_ += value;
    squares_ += before * (value - mean());
}

double Mean::standard_error() const
{
    if (count_ < 2) return 0;
    return std::sqrt(squares_ / static_cast<double>(count_) / static_cast<double>(count_ - 1));
}

Sampled summarize(std::vector<double> samples)
{
    if (samples.empty()) return {};
    std::vector<double> sorted = samples;
    std::ranges::sort(sorted);
    const std::size_t n = sorted.size();
    // [x_(r+1), x_(n−r)] covers the median with probability 1 − 2 P(X ≤ r).
    std::size_t r = 0;
    double outside = 2 * binomial_half(n, 0);
    while (r + 1 < n / 2) {
        const double wider = outside + 2 * binomial_half(n, r + 1);
        if (1 - wider < kCoverage) break;
        outside = wider;
        ++r;
    }
    return {.median = median(sorted),
            .low = sorted[r],
            .high = sorted[n - 1 - r],
            .confidence = 1 - outside,
            .samples = std::move(samples)};
}

Sampled paired_difference(std::span<const double> a, std::span<const double> b)
{
    std::vector<double> differences;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences.push_back(a[i] - b[i]);
    return summarize(std::move(differences));
}

bool tell_apart(std::span<const double> a, std::span<const double> b)
{
    const Sampled difference = paired_difference(a, b);
    return difference.confidence >= kCoverage && (difference.low > 0 || difference.high < 0);
}

bool known_to(std::span<const std::vector<double>> models, double share)
{
    return std::ranges::all_of(models, [&](const std::vector<double>& samples) {
        const Sampled sampled = summarize(samples);
        return sampled.confidence >= kCoverage && sampled.high - sampled.low <= 2 * share * sampled.median;
    });
}

std::optional<Interval> bootstrap(std::span<const std::size_t> counts,
                                  const std::function<std::optional<double>(const Draw&)>& statistic)
{
    constexpr std::size_t kDraws = 1000;
    if (counts.empty() || std::ranges::min(counts) < kFewestSamples) return std::nullopt;
    std::mt19937_64 random(1);  // the interval is part of the result: the same every time
    Draw draw;
    for (const std::size_t count : counts) draw.emplace_back(count);
    std::vector<double> values;
    for (std::size_t i = 0; i < kDraws; ++i) {
        for (std::vector<std::size_t>& kind : draw) std::ranges::generate(kind, [&] { return random() % kind.size(); });
        if (const auto value = statistic(draw)) values.push_back(*value);
    }
    if (values.empty()) return std::nullopt;
    const double tail = expanded_tail(std::ranges::min(counts));
    return Interval{.low = quantile(values, tail), .high = quantile(values, 1 - tail)};
}

std::vector<std::vector<double>> without_drift(std::vector<std::vector<double>> samples, std::span<const std::size_t> order)
{
    constexpr std::size_t kAround = 4;  // samples before, and as many after
    constexpr int kPasses = 5;          // a model's median depends on the pace, and the pace on the medians
    if (samples.empty() || samples.front().empty()) return samples;
    const std::size_t count = order.size();
    std::vector<std::size_t> round(count);  // of each sample, among those of its model
    std::vector<std::size_t> taken(samples.size());
    for (std::size_t k = 0; k < count; ++k) round[k] = taken[order[k]]++;
    std::vector<double> pace(count, 1);
    for (int pass = 0; pass < kPasses; ++pass) {
        std::vector<std::vector<double>> leveled = samples;
        for (std::size_t k = 0; k < count; ++k) leveled[order[k]][round[k]] /= pace[k];
        std::vector<double> levels;
        for (std::vector<double>& model : leveled) levels.push_back(median(std::move(model)));
        std::vector<double> ratios(count);
        for (std::size_t k = 0; k < count; ++k) ratios[k] = samples[order[k]][round[k]] / levels[order[k]];
        for (std::size_t k = 0; k < count; ++k) {
            std::vector<double> around;
            for (std::size_t i = k - std::min(k, kAround); i < std::min(count, k + kAround + 1); ++i)
                if (i != k) around.push_back(ratios[i]);
            pace[k] = around.empty() ? 1 : median(std::move(around));
        }
        const double usual = median(pace);
        for (double& value : pace) value /= usual;
    }
    for (std::size_t k = 0; k < count; ++k) samples[order[k]][round[k]] /= pace[k];
    return samples;
}

}  // namespace apreqel
