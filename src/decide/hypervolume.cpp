// Hypervolume; the volume itself is computed by pagmo2.
#include <apreqel/evaluation.h>
#include <apreqel/statistics.h>

#include <pagmo/utils/hypervolume.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

namespace apreqel {
namespace {

/// The models' paper objectives of what was drawn: rounds and, if any, chunks of text. The latency is the median over the rounds.
std::vector<Costs> resample(std::span<const Measurement> models, const Draw& draw)
{
    std::vector<Costs> points;
    for (const Measurement& model : models) {
        Metrics metrics = metrics_of(model);
        std::vector<double> latencies;
        for (const std::size_t round : draw[0]) latencies.push_back(model.speed.latency_ms.samples[round]);
        metrics[kLatency] = median(std::move(latencies));
        if (draw.size() > 1) {
            double nll = 0;
            for (const std::size_t chunk : draw[1]) nll += model.quality.chunk_nll[chunk];
            metrics[kPerplexity] = std::exp(nll / static_cast<double>(model.quality.tokens));
        }
        points.push_back(columns_of(metrics, paper_objectives()));
    }
    return points;
}

/// How many there are of each kind of repetition that all models share: rounds, and chunks where all have as many.
std::vector<std::size_t> repetitions(std::span<const Measurement> uniform, std::span<const Measurement> mixed)
{
    std::size_t rounds = uniform.front().speed.latency_ms.samples.size();
    const Quality& first = uniform.front().quality;
    bool same_text = !first.chunk_nll.empty();
    for (const auto& models : {uniform, mixed}) {
        for (const Measurement& model : models) {
            rounds = std::min(rounds, model.speed.latency_ms.samples.size());
            same_text =
                same_text && model.quality.chunk_nll.size() == first.chunk_nll.size() && model.quality.tokens == first.tokens;
        }
    }
    if (!same_text) return {rounds};
    return {rounds, first.chunk_nll.size()};
}

}  // namespace

Result<double> hypervolume(std::span<const Costs> points, const Costs& reference)
{
    const auto comparable = [&](const Costs& point) {
        return point.size() == reference.size() && std::ranges::all_of(point, [](double v) { return std::isfinite(v); });
    };
    if (!comparable(reference) || !std::ranges::all_of(points, comparable))
        return fail("hypervolume: a cost is missing or not a finite number");
    std::vector<Costs> inside(points.begin(), points.end());
    std::erase_if(inside, [&](const Costs& point) { return !std::ranges::equal(point, reference, std::less()); });
    std::ranges::sort(inside);
    const auto repeated = std::ranges::unique(inside);
    inside.erase(repeated.begin(), repeated.end());
    if (inside.empty()) return 0;
    if (reference.size() == 1) return reference[0] - inside.front()[0];  // pagmo2 takes two or more
    return pagmo::hypervolume(inside, false).compute(reference);
}

Result<HypervolumeGain> hypervolume_gain(std::span<const Costs> uniform, std::span<const Costs> mixed)
{
    if (uniform.empty()) return fail("hypervolume: there are no uniform models to compare with");
    const Costs reference = worst_of(uniform);
    const auto before = hypervolume(uniform, reference);
    if (!before) return std::unexpected(before.error());
    const auto after = hypervolume(mixed, reference);
    if (!after) return std::unexpected(after.error());
    if (*before == 0) return HypervolumeGain{.mixed = *after};
    const Costs ideal = best_of(uniform);
    double box = 1;
    for (std::size_t j = 0; j < reference.size(); ++j) box *= reference[j] - ideal[j];
    return HypervolumeGain{.uniform = *before / box, .mixed = *after / box, .gain = (*after - *before) / *before};
}

Result<HypervolumeGain> hypervolume_gain(std::span<const Measurement> uniform, std::span<const Measurement> mixed)
{
    auto result = hypervolume_gain(costs_of(uniform, paper_objectives()), costs_of(mixed, paper_objectives()));
    if (!result || !result->gain) return result;
    const auto interval = bootstrap(repetitions(uniform, mixed), [&](const Draw& draw) -> std::optional<double> {
        const auto drawn = hypervolume_gain(resample(uniform, draw), resample(mixed, draw));
        return drawn ? drawn->gain : std::nullopt;
    });
    if (!interval) return result;
    result->low = interval->low;
    result->high = interval->high;
    return result;
}

}  // namespace apreqel
