// A model beside another that it is to be better than.
#pragma once

#include <apreqel/measurement.h>
#include <apreqel/statistics.h>

#include <cmath>
#include <optional>

namespace apreqel {

/// What a model measures against a rival, both in the same rounds and on the same text.
struct Contest {
    double memory = 1;      ///< bytes ÷ the rival's, those of the KV cache included where its types are chosen
    Sampled latency;        ///< milliseconds per token ÷ the rival's, round by round
    double divergence = 1;  ///< KL divergence ÷ the rival's
    /// Of that, 95 % over resampled chunks of the text; nothing where the two do not have the same chunks, or too few.
    std::optional<Interval> divergence_interval{};
    double nll = 0;        ///< mean −log p of the text's tokens, less full precision's, nats; above 0: the text is less likely
    double rival_nll = 0;  ///< the rival's, less full precision's
    double nll_error = 0;  ///< paired standard error over chunks of the text of `farther()`
    bool has_chunks = false;  ///< both and full precision have the same chunks: the last three are known

    [[nodiscard]] bool no_larger() const { return memory <= 1; }
    /// Beyond the noise: the interval of the ratio does not lie above 1.
    [[nodiscard]] bool no_slower() const { return latency.low <= 1; }
    /// By how many nats per token the likelihood of the text is farther from full precision's than the rival's is. A text that
    /// becomes likelier is a deviation like another: a model that is surer of itself finds some texts likelier, and is no closer.
    [[nodiscard]] double farther() const { return std::abs(nll) - std::abs(rival_nll); }
    /// To full precision: by KL divergence, and not farther beyond two standard errors by the likelihood of the text.
    [[nodiscard]] bool closer() const { return divergence < 1 && farther() <= 2 * nll_error; }
    [[nodiscard]] bool won() const { return no_larger() && no_slower() && closer(); }
    /// How far it is from being won in every figure, the noise left out: the factor that is missing where most is, or 1.
    [[nodiscard]] double shortfall() const;
};

/// `reference`: the full-precision model's quality on the same text.
[[nodiscard]] Contest contest(const Measurement& model, const Measurement& rival, const Quality& reference);

}  // namespace apreqel
