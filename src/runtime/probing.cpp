#include "runtime/probing.h"

#include "runtime/context.h"

#include <apreqel/statistics.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <execution>
#include <limits>
#include <ranges>

namespace apreqel {
namespace {

/// Tokens of either kind in what is kept of a position.
constexpr std::size_t kProbeKept = 256;

Result<std::shared_ptr<llama_context>> short_context(const LoadedModel& model, std::size_t tokens, const Monitor& monitor,
                                                     const CacheTypes& cache = {})
{
    auto params = context_params(model, cache);
    if (!params) return std::unexpected(params.error());
    params->n_ctx = params->n_batch = params->n_ubatch = static_cast<uint32_t>(tokens);
    auto context = make_context(model, *params, monitor);
    if (!context) return std::unexpected(context.error());
    return std::shared_ptr<llama_context>(std::move(*context));
}

}  // namespace

template <class Visit>
Result<> ProbeRun::run(std::size_t first, std::size_t count, Visit visit)
{
    const std::size_t vocabulary = model_->vocabulary_size();
    for (std::size_t s = first; s < first + count; ++s) {
        if (monitor_->stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "sense: interrupted"});
        const std::vector<Token>& tokens = sequences_[s];
        llama_memory_clear(llama_get_memory(context_.get()), true);
        Batch batch(tokens.size());
        for (std::size_t i = 0; i < tokens.size(); ++i) batch.add(tokens[i], i, 0, i >= kUncompared);
        if (auto decoded = batch.decode(*model_, context_.get()); !decoded) return decoded;
        const float* const logits = llama_get_logits(context_.get());
        const auto rows = std::views::iota(std::size_t{0}, tokens.size() - kUncompared);
        std::for_each(std::execution::par, rows.begin(), rows.end(),
                      [&](std::size_t row) { visit(s, row, std::span(logits + row * vocabulary, vocabulary)); });
    }
    return {};
}

Result<ProbeRun> ProbeRun::record(const LoadedModel& model, std::vector<std::vector<Token>> sequences, const Monitor& monitor)
{
    ProbeRun probes;
    probes.model_ = &model;
    probes.monitor_ = &monitor;
    probes.sequences_ = std::move(sequences);
    std::size_t longest = 0;
    for (std::vector<Token>& sequence : probes.sequences_) {
        if (sequence.size() <= kUncompared + 1)
            return usage_error("sense {}: a sequence of {} tokens is too short", model.path().string(), sequence.size());
        if (const auto opening = model.opening(); !opening.empty()) sequence.front() = opening.front();
        longest = std::max(longest, sequence.size());
        probes.expected_.emplace_back(sequence.size() - kUncompared);
    }
    auto context = short_context(model, longest, monitor);
    if (!context) return std::unexpected(context.error());
    probes.context_ = std::move(*context);
    const auto keep = [&](std::size_t s, std::size_t row, std::span<const float> logits) {
        probes.expected_[s][row] = Expectation(logits, kProbeKept, s * probes.expected_[s].size() + row);
    };
    if (auto run = probes.run(0, probes.sequences_.size(), keep); !run) return std::unexpected(run.error());
    return probes;
}

Result<Divergence> ProbeRun::compare(std::size_t first, std::size_t count, const CacheTypes& cache)
{
    if (cache != cache_) {
        auto context = short_context(*model_, llama_n_ctx(context_.get()), *monitor_, cache);
        if (!context) return std::unexpected(context.error());
        context_ = std::move(*context);
        cache_ = cache;
    }
    std::vector<std::vector<double>> divergences;
    for (const auto& expected : expected_) divergences.emplace_back(expected.size());
    const auto ran = run(first, count, [&](std::size_t s, std::size_t row, std::span<const float> logits) {
        divergences[s][row] = expected_[s][row].divergence(logits, LogSoftmax(logits));
    });
    if (!ran) return std::unexpected(ran.error());
    Mean mean;
    for (const auto& of_sequence : std::span(divergences).subspan(first, count))
        for (const double kld : of_sequence) mean.add(kld);
    if (!std::isfinite(mean.mean())) return fail("sense {}: its logits are not finite numbers", model_->path().string());
    return Divergence{.kld = mean.mean(), .kld_error = mean.standard_error(), .tokens = mean.count()};
}

Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings, std::size_t tokens,
                           const Monitor& monitor)
{
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::seconds kEnough{1};
    constexpr int kRuns = 3;
    const auto model = LoadedModel::load(path, settings, WeightAccess::writable);
    if (!model) return std::unexpected(model.error());
    const auto context = short_context(*model, tokens, monitor);
    if (!context) return std::unexpected(context.error());
    Batch batch(tokens);
    for (std::size_t i = 0; i < tokens; ++i) batch.add(static_cast<Token>(i % model->vocabulary_size()), i, 0, true);
    double least = std::numeric_limits<double>::infinity();
    const Clock::time_point begin = Clock::now();
    for (int run = 0; run < kRuns && (run == 0 || Clock::now() - begin < kEnough); ++run) {
        llama_memory_clear(llama_get_memory(context->get()), true);
        const Clock::time_point start = Clock::now();
        if (auto decoded = batch.decode(*model, context->get()); !decoded) return std::unexpected(decoded.error());
        static_cast<void>(llama_get_logits(context->get()));  // waits for an accelerator
        least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
    }
    return least;
}

}  // namespace apreqel
