// What a model expects of the next token, kept small whatever the size of its vocabulary: enough to tell how far the expectation of
// another model is from it.
#pragma once

#include "runtime/settings.h"

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// log p of tokens from their logits, one for each token of the vocabulary: NaN everywhere if one of these is not finite.
class LogSoftmax {
public:
    explicit LogSoftmax(std::span<const float> logits);

    [[nodiscard]] double operator()(float logit) const { return double{logit} - max_ - log_sum_; }
    [[nodiscard]] bool is_finite() const;

private:
    float max_ = 0;
    double log_sum_ = 0;  ///< log Σ exp(l − max l)
};

/// Of the tokens of a vocabulary the likeliest, and some of the others that stand for all of them: as many, evenly spread over the
/// vocabulary (a systematic sample; Cochran 1977, chapter 8).
class Expectation {
public:
    Expectation() = default;

    /// `kept`: how many of either kind, at most. `turn`: the number of the position, which decides where the sample begins.
    Expectation(std::span<const float> logits, std::size_t kept, std::size_t turn);

    /// KL divergence of `logits` to this, nats: an estimate without bias of that over the whole vocabulary. What is summed is
    /// p·log(p/q) − p + q, which adds up to the same and is nowhere negative (Csiszár 1991), so that little is left to chance: with 1024
    /// kept of 49,152 the mean over 2040 positions was off by less than a thousandth of itself (docs/method.md). `softmax`: theirs.
    /// Not a number if a logit of either is not finite.
    [[nodiscard]] double divergence(std::span<const float> logits, const LogSoftmax& softmax) const;

    /// The likeliest token of all, of equals the first.
    [[nodiscard]] Token likeliest() const;

    /// Bytes of one in a file, of so many words and kept.
    [[nodiscard]] static std::size_t bytes(std::size_t vocabulary, std::size_t kept);
    void write(std::span<std::byte> out) const;
    /// False: it is damaged.
    [[nodiscard]] bool read(std::span<const std::byte> in, std::size_t vocabulary, std::size_t kept);

private:
    std::vector<Token> tokens_;  ///< the likeliest in their order, then the sample in its
    std::vector<float> log_p_;   ///< of each
    std::size_t likeliest_ = 0;  ///< how many of them
    double weight_ = 0;          ///< tokens that each of the others stands for
};

}  // namespace apreqel
