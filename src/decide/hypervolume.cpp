// Dominance and hypervolume; the volume itself is computed by pagmo2.
#include <apreqel/evaluation.h>
#include <apreqel/statistics.h>

#include <pagmo/utils/hypervolume.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

namespace apreqel {
namespace {

/// The models' metrics of what was drawn: rounds and, if any, chunks of text. The latency is the median over the rounds.
std::vector<Metrics> resample(std::span<const Measurement> models, const Draw& draw)
{
    std::vector<Metrics> points;
    for (const Measurement& model : models) {
        Metrics point = metrics_of(model);
        std::vector<double> latencies;
        for (const std::size_t round : draw[0]) latencies.push_back(model.speed.latency_ms.samples[round]);
        point[1] = median(std::move(latencies));
        if (draw.size() > 1) {
            double nll = 0;
            for (const std::size_t chunk : draw[1]) nll += model.quality.chunk_nll[chunk];
            point[2] = std::exp(nll / static_cast<double>(model.quality.tokens));
        }
        points.push_back(point);
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

std::vector<Metrics> metrics_of_all(std::span<const Measurement> models)
{
    std::vector<Metrics> points;
    for (const Measurement& model : models) points.push_back(metrics_of(model));
    return points;
}

bool dominates(const Metrics& a, const Metrics& b)
{
    bool better = false;
    for (std::size_t j = 0; j < kMetrics; ++j) {
        if (a[j] > b[j]) return false;
        better = better || a[j] < b[j];
    }
    return better;
}

std::vector<bool> non_dominated(std::span<const Metrics> points)
{
    std::vector<bool> front;
    for (const Metrics& point : points) {
        front.push_back(std::ranges::none_of(points, [&](const Metrics& other) { return dominates(other, point); }));
    }
    return front;
}

Metrics best_of(std::span<const Metrics> points)
{
    Metrics best = points.front();
    for (const Metrics& point : points) {
        for (std::size_t j = 0; j < kMetrics; ++j) best[j] = std::min(best[j], point[j]);
    }
    return best;
}

Metrics worst_of(std::span<const Metrics> points)
{
    Metrics worst = points.front();
    for (const Metrics& point : points) {
        for (std::size_t j = 0; j < kMetrics; ++j) worst[j] = std::max(worst[j], point[j]);
    }
    return worst;
}

Result<double> hypervolume(std::span<const Metrics> points, const Metrics& reference)
{
    const auto finite = [](const Metrics& point) {
        return std::ranges::all_of(point, [](double v) { return std::isfinite(v); });
    };
    if (!finite(reference) || !std::ranges::all_of(points, finite)) return fail("hypervolume: a metric is not a finite number");
    std::vector<Metrics> inside(points.begin(), points.end());
    std::erase_if(inside, [&](const Metrics& point) {
        for (std::size_t j = 0; j < kMetrics; ++j) {
            if (point[j] >= reference[j]) return true;
        }
        return false;
    });
    std::ranges::sort(inside);
    const auto repeated = std::ranges::unique(inside);
    inside.erase(repeated.begin(), repeated.end());
    if (inside.empty()) return 0;
    std::vector<pagmo::vector_double> rows;
    for (const Metrics& point : inside) rows.emplace_back(point.begin(), point.end());
    return pagmo::hypervolume(rows, false).compute({reference.begin(), reference.end()});
}

Result<HypervolumeGain> hypervolume_gain(std::span<const Metrics> uniform, std::span<const Metrics> mixed)
{
    if (uniform.empty()) return fail("hypervolume: there are no uniform models to compare with");
    const Metrics reference = worst_of(uniform);
    const auto before = hypervolume(uniform, reference);
    if (!before) return std::unexpected(before.error());
    const auto after = hypervolume(mixed, reference);
    if (!after) return std::unexpected(after.error());
    if (*before == 0) return HypervolumeGain{.mixed = *after};
    const Metrics ideal = best_of(uniform);
    double box = 1;
    for (std::size_t j = 0; j < kMetrics; ++j) box *= reference[j] - ideal[j];
    return HypervolumeGain{.uniform = *before / box, .mixed = *after / box, .gain = (*after - *before) / *before};
}

Result<HypervolumeGain> hypervolume_gain(std::span<const Measurement> uniform, std::span<const Measurement> mixed)
{
    auto result = hypervolume_gain(metrics_of_all(uniform), metrics_of_all(mixed));
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
