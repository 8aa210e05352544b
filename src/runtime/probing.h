// Probes: how far the weights that are overwritten in a loaded model take its predictions, on a few short sequences.
#pragma once

#include "base/monitor.h"
#include "runtime/runtime.h"
#include "runtime/session.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace apreqel {

/// What a model expects at one position: its likeliest tokens apart, all others as one. It takes 12 bytes for each of the former
/// however large the vocabulary is.
class Expectation {
public:
    static constexpr std::size_t kApart = 256;

    Expectation() = default;

    /// Of one logit for each token of the vocabulary.
    explicit Expectation(std::span<const float> logits, std::size_t apart = kApart);

    /// KL divergence of `logits` to this, between the two distributions over those tokens and "any other", nats. Joining tokens
    /// loses information, so that it is never above the one between the distributions over the whole vocabulary (data processing
    /// inequality; Cover & Thomas 2006, 2.8). What it lacks is what happens among the tokens joined, at most their share times the
    /// divergence among them, and these are unlikely. Not a number if a logit is not finite.
    [[nodiscard]] double divergence(std::span<const float> logits) const;

private:
    std::vector<Token> tokens_;
    std::vector<double> log_p_;  ///< of each
    double rest_ = 0;            ///< probability of all others
};

/// A context in which sequences run again and again while weights change.
class ProbeRun {
public:
    /// Runs `sequences`, the first token of each replaced by BOS, and keeps what is expected after each but the first
    /// kUncompared. Both arguments by reference outlive it. Error: a sequence is not longer than that.
    [[nodiscard]] static Result<ProbeRun> record(const LoadedModel& model, std::vector<std::vector<Token>> sequences,
                                                 const Monitor& monitor);

    /// Runs `count` of the sequences from the `first` on. `cache`: with a KV cache of these types.
    [[nodiscard]] Result<Divergence> compare(std::size_t first, std::size_t count, const CacheTypes& cache = {});

private:
    template <class Visit>
    [[nodiscard]] Result<> run(std::size_t first, std::size_t count, Visit visit);

    const LoadedModel* model_ = nullptr;
    const Monitor* monitor_ = nullptr;
    std::vector<std::vector<Token>> sequences_;
    std::vector<std::vector<Expectation>> expected_;  ///< at each position of each sequence
    std::shared_ptr<llama_context> context_;
    CacheTypes cache_{};  ///< of the context
};

/// See Runtime::time_prompt.
[[nodiscard]] Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings, std::size_t tokens,
                                         const Monitor& monitor);

}  // namespace apreqel
