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

}  // namespace

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
