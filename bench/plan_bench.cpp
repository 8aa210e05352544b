// The paper's planning step: all distributions of 5 types over 64 layers, and of 12 types over 160.
#include <apreqel/distributions.h>
#include <apreqel/plan.h>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <format>
#include <random>

namespace {

using namespace apreqel;

// The uniform variants of an 8 B model on a small board; bench/plan_numpy.py has the same.
const std::vector<Costs> kCosts{
    {3.9e9, 71.3, 8.13}, {4.9e9, 49.6, 7.55}, {5.9e9, 58.2, 7.40}, {6.9e9, 66.0, 7.34}, {8.7e9, 79.5, 7.31}};
const Costs kWeights{0.3, 0.4, 0.3};

void rank(benchmark::State& state)
{
    for (auto _ : state) benchmark::DoNotOptimize(rank_distributions(64, kCosts, kWeights));
    std::string winner;
    for (const std::size_t count : rank_distributions(64, kCosts, kWeights)->best.front().counts)
        winner += std::format("{} ", count);
    state.SetLabel("winner " + winner);
}
BENCHMARK(rank)->Unit(benchmark::kMillisecond);

// Twelve types of 160 layers, as a 32 B model might measure: three of 4.5 bits, latency by kernel as much as by size.
const std::vector<Costs> kTwelve{{8.7e9, 148.2, 11.94}, {11.1e9, 139.6, 8.83}, {14.4e9, 171.5, 7.06}, {14.5e9, 203.9, 6.98},
                                 {17.8e9, 186.3, 6.62}, {18.9e9, 151.7, 6.71}, {18.9e9, 158.4, 6.55}, {18.9e9, 176.0, 6.59},
                                 {23.0e9, 214.8, 6.49}, {23.0e9, 201.3, 6.45}, {27.4e9, 236.1, 6.41}, {35.4e9, 229.7, 6.40}};

void rank_many(benchmark::State& state)
{
    for (auto _ : state) benchmark::DoNotOptimize(rank_distributions(160, kTwelve, kWeights, 5));
    const auto ranking = rank_distributions(160, kTwelve, kWeights, 5);
    std::string winner;
    for (const std::size_t count : ranking->best.front().counts) winner += std::format("{} ", count);
    state.SetLabel(std::format("{:.3g} candidates, winner {}", ranking->candidates, winner));
}
BENCHMARK(rank_many)->Unit(benchmark::kMillisecond);

/// The slowest of many settings and profiles like the one above, five kept each.
void rank_many_worst(benchmark::State& state)
{
    std::mt19937_64 random(5);
    const auto uniform = [&] { return static_cast<double>(random() % 1000) / 1000; };
    double worst = 0;
    for (auto _ : state) {
        for (int trial = 0; trial < 10000; ++trial) {
            std::vector<Costs> costs = kTwelve;
            for (Costs& cost : costs) cost = {cost[0], cost[1] * (0.9 + 0.2 * uniform()), cost[2] * (1 + 0.01 * uniform())};
            Costs weights{0.01 + uniform(), uniform(), uniform()};
            if (trial % 3 == 0) weights[static_cast<std::size_t>(1 + trial % 2)] = 0;
            const auto start = std::chrono::steady_clock::now();
            benchmark::DoNotOptimize(rank_distributions(160, costs, weights, 5));
            worst =
                std::max(worst, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        }
    }
    state.counters["worst_ms"] = worst;
}
BENCHMARK(rank_many_worst)->Unit(benchmark::kMillisecond)->Iterations(1);

void whole_plan(benchmark::State& state)
{
    Profile profile{.model = {.layers = 64, .types = {}}, .device = {.models = {}}};
    Scores scores;
    for (std::size_t i = 0; i < kCosts.size(); ++i) {
        const std::string type = std::format("type{}", i);
        profile.model.types.push_back({.type = type,
                                       .bits_per_weight = 3.0 + static_cast<double>(i),
                                       .memory_bytes = static_cast<std::uint64_t>(kCosts[i][0]),
                                       .quality = {.perplexity = kCosts[i][2]},
                                       .fallbacks = {}});
        profile.device.models.push_back({.name = type, .speed = {.latency_ms = {.median = kCosts[i][1], .samples = {}}}});
    }
    for (std::size_t l = 0; l < 64; ++l) {
        scores.layers.push_back({.layer = std::format("blk.{}.{}", l / 2, l % 2 == 0 ? "attn" : "ffn"),
                                 .score = -static_cast<double>(l * 37 % 64)});
    }
    for (auto _ : state) benchmark::DoNotOptimize(make_plan(profile, scores, {.weights = *parse_weights("0.3,0.4,0.3")}));
}
BENCHMARK(whole_plan)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
