// The paper's planning step: all distributions of 5 types over 64 layers.
#include <apreqel/plan.h>

#include <benchmark/benchmark.h>

#include <format>

namespace {

using namespace apreqel;

// The uniform variants of an 8 B model on a small board; bench/plan_numpy.py has the same.
const std::vector<Metrics> kCosts{
    {3.9e9, 71.3, 8.13}, {4.9e9, 49.6, 7.55}, {5.9e9, 58.2, 7.40}, {6.9e9, 66.0, 7.34}, {8.7e9, 79.5, 7.31}};
const Weights kWeights{0.3, 0.4, 0.3};

void rank(benchmark::State& state)
{
    for (auto _ : state) benchmark::DoNotOptimize(rank_distributions(64, kCosts, kWeights));
    std::string winner;
    for (const std::size_t count : rank_distributions(64, kCosts, kWeights)->best.front().counts)
        winner += std::format("{} ", count);
    state.SetLabel("winner " + winner);
}
BENCHMARK(rank)->Unit(benchmark::kMillisecond);

void whole_plan(benchmark::State& state)
{
    Profile profile{.layers = 64};
    Scores scores;
    for (std::size_t i = 0; i < kCosts.size(); ++i) {
        UniformVariant variant{.type = std::format("type{}", i), .bits_per_weight = 3.0 + static_cast<double>(i)};
        variant.measurement.memory_bytes = static_cast<std::uint64_t>(kCosts[i][0]);
        variant.measurement.speed.latency_ms.median = kCosts[i][1];
        variant.measurement.quality.perplexity = kCosts[i][2];
        profile.types.push_back(variant);
    }
    for (std::size_t l = 0; l < 64; ++l) {
        scores.layers.push_back({.layer = std::format("blk.{}.{}", l / 2, l % 2 == 0 ? "attn" : "ffn"),
                                 .score = -static_cast<double>(l * 37 % 64)});
    }
    for (auto _ : state) benchmark::DoNotOptimize(make_plan(profile, scores, kWeights));
}
BENCHMARK(whole_plan)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
