#include <apreqel/contest.h>

#include <apreqel/statistics.h>

#include <algorithm>
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

}  // namespace

double Contest::shortfall() const
{
    const double most = std::max({1.0, memory, latency.median});
    if (closer()) return most;
    // What is exactly as far from full precision is not closer.
    return std::max({most, divergence, std::exp(nll - 2 * nll_error), std::nextafter(1.0, 2.0)});
}

Contest contest(const Measurement& model, const Measurement& rival)
{
    Contest result{.memory = ratio(static_cast<double>(model.memory_bytes), static_cast<double>(rival.memory_bytes)),
                   .latency = ratios(model.speed.latency_ms, rival.speed.latency_ms),
                   .divergence = ratio(model.quality.kld, rival.quality.kld)};
    const auto& own = model.quality.chunk_nll;
    const auto& other = rival.quality.chunk_nll;
    result.has_chunks = own.size() == other.size() && own.size() > 1 && model.quality.tokens == rival.quality.tokens;
    if (!result.has_chunks) return result;
    Mean difference;
    const double tokens = static_cast<double>(model.quality.tokens) / static_cast<double>(own.size());
    for (std::size_t c = 0; c < own.size(); ++c) difference.add((own[c] - other[c]) / tokens);
    result.nll = difference.mean();
    result.nll_error = difference.standard_error();
    return result;
}

}  // namespace apreqel
