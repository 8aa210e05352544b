// Dominance and hypervolume; the volume itself is computed by pagmo2.
#include <apreqel/evaluation.h>

#include <pagmo/utils/hypervolume.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

namespace apreqel {
namespace {

constexpr std::size_t kResamples = 500;

/// The models' metrics, with the latency as the median over `rounds`.
std::vector<Metrics> resample(std::span<const Measurement> models, const std::vector<std::size_t>& rounds)
{
    std::vector<Metrics> points;
    std::vector<double> drawn(rounds.size());
    for (const Measurement& model : models) {
        const std::vector<double>& samples = model.speed.latency_ms.samples;
        std::ranges::transform(rounds, drawn.begin(), [&](std::size_t round) { return samples[round]; });
        const auto middle = drawn.begin() + static_cast<std::ptrdiff_t>(drawn.size() / 2);
        std::ranges::nth_element(drawn, middle);
        Metrics point = metrics_of(model);
        point[1] = *middle;
        points.push_back(point);
    }
    return points;
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

Result<double> hypervolume(std::span<const Metrics> points, const Metrics& reference)
{
    std::vector<Costs> rows;
    for (const Metrics& point : points) rows.push_back(costs_of(point));
    return hypervolume(rows, costs_of(reference));
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
    std::size_t count = uniform.front().speed.latency_ms.samples.size();
    for (const auto& models : {uniform, mixed}) {
        for (const Measurement& model : models) count = std::min(count, model.speed.latency_ms.samples.size());
    }
    if (count < 2) return result;

    std::mt19937_64 random(1);  // the interval is part of the result: the same every time
    std::vector<std::size_t> rounds(count);
    std::vector<double> gains;
    for (std::size_t draw = 0; draw < kResamples; ++draw) {
        std::ranges::generate(rounds, [&] { return random() % count; });
        const auto drawn = hypervolume_gain(resample(uniform, rounds), resample(mixed, rounds));
        if (drawn && drawn->gain) gains.push_back(*drawn->gain);
    }
    if (gains.empty()) return result;
    std::ranges::sort(gains);
    result->low = gains[gains.size() * 25 / 1000];
    result->high = gains[(gains.size() - 1) * 975 / 1000];
    return result;
}

}  // namespace apreqel
