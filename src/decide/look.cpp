#include <apreqel/look.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace apreqel {
namespace {

constexpr std::size_t kLeastLook = 4;

/// Of the first `count`.
double sum(const std::vector<double>& chunks, std::size_t count)
{
    return std::accumulate(chunks.begin(), chunks.begin() + static_cast<std::ptrdiff_t>(count), 0.0);
}

/// The mean of so many values, and its standard error.
struct Estimate {
    double mean = 0;
    double error = 0;
    double count = 0;

    /// Of the deviations from the mean.
    [[nodiscard]] double squares() const { return error * error * count * std::max(count - 1, 0.0); }
};

Estimate pooled(const Estimate& a, const Estimate& b)
{
    const double count = a.count + b.count;
    if (a.count == 0 || b.count == 0) return a.count == 0 ? b : a;
    const double apart = b.mean - a.mean;
    const double squares = a.squares() + b.squares() + apart * apart * a.count * b.count / count;
    return {.mean = (a.mean * a.count + b.mean * b.count) / count,
            .error = std::sqrt(squares / (count * (count - 1))),
            .count = count};
}

Estimate log_perplexity(const Quality& quality)
{
    return {std::log(quality.perplexity), quality.perplexity_error / quality.perplexity, static_cast<double>(quality.tokens)};
}

Estimate divergence(const Quality& quality)
{
    return {quality.kld, quality.kld_error, static_cast<double>(quality.kld_tokens)};
}

}  // namespace

Quality together(const Quality& first, const Quality& rest)
{
    const Estimate nll = pooled(log_perplexity(first), log_perplexity(rest));
    const Estimate kld = pooled(divergence(first), divergence(rest));
    Quality all{.perplexity = std::exp(nll.mean),
                .perplexity_error = std::exp(nll.mean) * nll.error,
                .kld = kld.mean,
                .kld_error = kld.error,
                .tokens = first.tokens + rest.tokens,
                .kld_tokens = first.kld_tokens + rest.kld_tokens,
                .chunk_nll = first.chunk_nll,
                .chunk_kld = first.chunk_kld};
    if (kld.count > 0)
        all.same_top = (first.same_top * divergence(first).count + rest.same_top * divergence(rest).count) / kld.count;
    all.chunk_nll.append_range(rest.chunk_nll);
    all.chunk_kld.append_range(rest.chunk_kld);
    return all;
}

std::size_t look_of(std::size_t chunks)
{
    const std::size_t look = std::max(kLeastLook, chunks / 4);
    return 2 * look <= chunks ? look : 0;
}

std::optional<Quality> extrapolated(Quality look, const Quality& known)
{
    const std::size_t scored = look.chunk_nll.size();
    const std::size_t compared = look.chunk_kld.size();
    if (compared == 0 || scored > known.chunk_nll.size() || compared > known.chunk_kld.size()) return std::nullopt;
    if (look.tokens * known.chunk_nll.size() != known.tokens * scored) return std::nullopt;  // chunks of another length
    const double divergence = sum(known.chunk_kld, compared);
    if (!(divergence > 0)) return std::nullopt;
    const double less = (sum(look.chunk_nll, scored) - sum(known.chunk_nll, scored)) / static_cast<double>(look.tokens);
    const double perplexity = known.perplexity * std::exp(less);
    const double kld = known.kld * sum(look.chunk_kld, compared) / divergence;
    look.perplexity_error *= perplexity / look.perplexity;
    look.kld_error *= look.kld > 0 ? kld / look.kld : 1;
    look.perplexity = perplexity;
    look.kld = kld;
    return look;
}

}  // namespace apreqel
