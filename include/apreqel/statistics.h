// Statistics of repeated measurements, with intervals that assume nothing about their distribution.
#pragma once

#include <apreqel/measurement.h>

#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace apreqel {

/// What an interval of n repetitions must cover, and the fewest with which one can: the range covers 1 − 2 / 2ⁿ.
inline constexpr double kCoverage = 0.95;
inline constexpr std::size_t kFewestSamples = 6;

/// The value that a share of `values` lies below, between two of them in proportion (Hyndman & Fan 1996, definition 7).
/// At least one value; 0 ≤ share ≤ 1.
[[nodiscard]] double quantile(std::vector<double> values, double share);

/// The middle one of `values`, or the mean of the two in the middle. At least one value.
[[nodiscard]] double median(std::vector<double> values);

/// Mean and standard error, summed up in the order of the values, so that the digits do not depend on the number of threads.
class Mean {
public:
    void add(double value);
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
    [[nodiscard]] double standard_error() const;  ///< 0 for fewer than two values

private:
    std::uint64_t count_ = 0;
    double sum_ = 0;
    double squares_ = 0;  ///< of the deviations from the mean (Welford 1962)
};

/// Median and its narrowest confidence interval from order statistics that covers at least 95 % (Conover 1999, 3.2);
/// with fewer than 6 samples that is not possible, and the interval is the range. `confidence` is what it does cover, for
/// any continuous distribution. No samples: all zero.
[[nodiscard]] Sampled summarize(std::vector<double> samples);

/// The same of a[i] − b[i]; `a` and `b` were measured in the same rounds. What one has more of is left out.
[[nodiscard]] Sampled paired_difference(std::span<const double> a, std::span<const double> b);

/// True if the paired samples show a difference: zero lies outside the interval of the median of a[i] − b[i], with
/// a coverage of at least 95 %.
[[nodiscard]] bool tell_apart(std::span<const double> a, std::span<const double> b);

/// True if the median of each of `models` is known to `share` of itself: half its interval, of at least 95 %, is no wider.
[[nodiscard]] bool known_to(std::span<const std::vector<double>> models, double share);

struct Interval {
    double low = 0;
    double high = 0;
};

/// For each kind of repetition (rounds, chunks of text) the indices drawn, as many as there are.
using Draw = std::vector<std::vector<std::size_t>>;

/// 95 % percentile interval of a statistic of repeated measurements by the bootstrap: all kinds of repetition are drawn with
/// replacement, `counts` says how many there are of each, and `statistic` is computed of what was drawn; draws for which it
/// is nothing are left out. The percentiles are moved out as Student's t asks for the least count, without which the interval
/// of few repetitions is too narrow (Hesterberg 2015, "expanded percentile"). The same every time. Nothing with fewer than 6
/// of a kind, or if the statistic is never defined.
[[nodiscard]] std::optional<Interval> bootstrap(std::span<const std::size_t> counts,
                                                const std::function<std::optional<double>(const Draw&)>& statistic);

/// Samples of several models taken in turn without the drift of the machine: each is divided by how slow the samples taken
/// just before and after it were, each against its own model's median. A machine that is half as fast for some seconds then
/// slows no model; what is noise from one sample to the next stays. `order`: the model of each sample in the order of time.
[[nodiscard]] std::vector<std::vector<double>> without_drift(std::vector<std::vector<double>> samples,
                                                             std::span<const std::size_t> order);

}  // namespace apreqel
