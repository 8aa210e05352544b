// A first look: what the beginning of a text tells of the whole.
#pragma once

#include <apreqel/measurement.h>

#include <cstddef>
#include <optional>

namespace apreqel {

/// How many of `chunks` leading chunks of text a first look takes; 0: so few are run as a whole.
[[nodiscard]] std::size_t look_of(std::size_t chunks);

/// What was measured of a model on two parts of a text, one behind the other, as if it had been at once: standard errors are those
/// of all tokens (Chan, Golub and LeVeque 1983).
[[nodiscard]] Quality together(const Quality& first, const Quality& rest);

/// What a model's `look`, measured on the leading chunks, says of the whole text: KL divergence and perplexity are to those of
/// `known`, a model measured on all of it, as they are on these chunks (the ratio estimator: Cochran 1977, chapter 6), because
/// what is hard for one model is hard for all. Standard errors grow alike; tokens and chunks stay those of the look. Nothing
/// where `known` has not the same chunks and more, or no KL divergence on them.
[[nodiscard]] std::optional<Quality> extrapolated(Quality look, const Quality& known);

}  // namespace apreqel
