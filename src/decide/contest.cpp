#include <apreqel/contest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace apreqel {
namespace {

double ratio(double value, double of)
{
    if (of > 0) return value / of;
    return value > 0 ? std::numeric_limits<double>::infinity() : 1;
}

Sampled ratios(const Sampled& model, const Sampled& rival)
{
    std::vector<double> rounds;
    for (std::size_t r = 0; r < std::min(model.samples.size(), rival.samples.size()); ++r)
        rounds.push_back(ratio(model.samples[r], rival.samples[r]));
    if (!rounds.empty()) return summarize(std::move(rounds));
    const double whole = ratio(model.median, rival.median);
    return {.median = whole, .low = whole, .high = whole, .samples = {}};
}

/// Chunks are drawn alike for both: one that is hard is hard for both.
std::optional<Interval> divergence_ratios(const Quality& model, const Quality& rival)
{
    const auto& own = model.chunk_kld;
    const auto& other = rival.chunk_kld;
    if (own.size() != other.size() || model.kld_tokens != rival.kld_tokens) return std::nullopt;
    return bootstrap(std::array{own.size()}, [&](const Draw& draw) -> std::optional<double> {
        double sum = 0;
        double of = 0;
        for (const std::size_t chunk : draw.front()) {
            sum += own[chunk];
            of += other[chunk];
        }
        return of > 0 ? std::optional(sum / of) : std::nullopt;
    });
}

bool same_chunks(const Quality& model, const Quality& reference)
{
    return model.chunk_nll.size() == reference.chunk_nll.size() && model.chunk_nll.size() > 1 &&
           model.tokens == reference.tokens;
}

}  // namespace

double Contest::shortfall() const
{
    const double most = std::max({1.0, memory, latency.median});
    if (closer()) return most;
    // What is exactly as far from full precision is not closer.
    return std::max({most, divergence, std::exp(farther() - 2 * nll_error), std::nextafter(1.0, 2.0)});
}

Contest contest(const Measurement& model, const Measurement& rival, const Quality& reference)
{
    Contest result{.memory = ratio(static_cast<double>(model.bytes()), static_cast<double>(rival.bytes())),
                   .latency = ratios(model.speed.latency_ms, rival.speed.latency_ms),
                   .divergence = ratio(model.quality.kld, rival.quality.kld),
                   .divergence_interval = divergence_ratios(model.quality, rival.quality)};
    result.has_chunks = same_chunks(model.quality, reference) && same_chunks(rival.quality, reference);
    if (!result.has_chunks) return result;
    const std::size_t chunks = reference.chunk_nll.size();
    const double tokens = static_cast<double>(reference.tokens) / static_cast<double>(chunks);
    const auto over = [&](const Measurement& measured, std::size_t chunk) {  // nats per token
        return (measured.quality.chunk_nll[chunk] - reference.chunk_nll[chunk]) / tokens;
    };
    Mean own;
    Mean other;
    for (std::size_t c = 0; c < chunks; ++c) {
        own.add(over(model, c));
        other.add(over(rival, c));
    }
    result.nll = own.mean();
    result.rival_nll = other.mean();
    Mean farther;  // with the signs of the two means, the mean of this is `result.farther()`
    for (std::size_t c = 0; c < chunks; ++c)
        farther.add(std::copysign(1.0, result.nll) * over(model, c) - std::copysign(1.0, result.rival_nll) * over(rival, c));
    result.nll_error = farther.standard_error();
    return result;
}

}  // namespace apreqel
