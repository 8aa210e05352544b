// Perplexity and KL divergence by the algorithm of llama-perplexity.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <apreqel/measurement.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

namespace apreqel {

/// Scores the full-precision model and keeps what it expects (Expectation) in the file `expected`, for `evaluate_quality` to compare
/// with: at most 16 KiB on the disk for each scored token of the KLD chunks. `identity` says what it is of.
[[nodiscard]] Result<Quality> record_reference(const LoadedModel& model, std::span<const Token> tokens,
                                               const QualitySettings& settings, const std::filesystem::path& expected,
                                               std::string_view identity, Monitor& monitor);

/// Scores a model, and compares it with the reference where `expected` is given. The tokens of the text are replaced by
/// BOS at the start of each chunk, as llama-perplexity does, and the same batches are run, so that its digits agree; smaller ones
/// where the logits of a batch would take more than 256 MiB.
/// Error: the reference is damaged or has another `identity`, vocabulary or shape.
[[nodiscard]] Result<Quality> evaluate_quality(const LoadedModel& model, std::span<const Token> tokens,
                                               const QualitySettings& settings,
                                               const std::optional<std::filesystem::path>& expected, std::string_view identity,
                                               Monitor& monitor);

}  // namespace apreqel
