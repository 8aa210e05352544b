// Medians of repeated measurements, with intervals that assume nothing about their distribution.
#pragma once

#include <apreqel/measurement.h>

#include <span>

namespace apreqel {

/// Median and its narrowest confidence interval from order statistics that covers at least 95 % (Conover 1999, 3.2);
/// with fewer than 6 samples that is not possible, and the interval is the range. No samples: all zero.
[[nodiscard]] Sampled summarize(std::vector<double> samples);

/// Samples of several models taken in turn, round after round, without the drift of the machine: each is divided by how slow
/// the samples taken just before and after it were, each against its own model's median. `samples`: for each model one a round.
/// A machine that is half as fast for some seconds then slows no model; what is noise from one sample to the next stays.
[[nodiscard]] std::vector<std::vector<double>> without_drift(std::vector<std::vector<double>> samples);

/// True if the paired samples show a difference: zero lies outside the interval of the median of a[i] − b[i], with
/// a coverage of at least 95 %. `a` and `b` were measured in the same rounds.
[[nodiscard]] bool tell_apart(std::span<const double> a, std::span<const double> b);

}  // namespace apreqel
