// What each type costs in each part of a model, from the latencies of whole models.
#pragma once

#include <span>
#include <vector>

namespace apreqel {

/// One model that was timed.
struct TimedParts {
    std::vector<double>
        parts;  ///< share of each part that the model has; a part is all attention, FFN or embedding in one type
    double latency_ms = 0;
    bool mixed = false;  ///< several types
};

struct LatencyFit {
    std::vector<double> parts;  ///< ms per token of each part, none negative; a model's latency is the sum of what it has
    /// Largest relative error for a mixed model that was left out of the fit; 0 if there are none.
    double error = 0;
};

/// Non-negative least squares (Lawson & Hanson 1974) in relative errors, drawn to `expected` where the models do not tell
/// parts apart: a model counts 30 times as much as an expectation of a part. All latencies and expectations are positive.
[[nodiscard]] LatencyFit fit_latency(std::span<const TimedParts> models, std::span<const double> expected);

}  // namespace apreqel
