#include <apreqel/evaluation.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

TEST_CASE("the paper's settings are 28 different ones in four categories", "[decide]")
{
    std::map<std::string_view, int> sizes;
    std::set<Weights> distinct;
    for (const WeightSetting& setting : paper_settings()) {
        ++sizes[setting.category];
        distinct.insert(setting.weights);
        const Weights& weights = setting.weights;
        CHECK_THAT(weights[kMemory] + weights[kLatency] + weights[kPerplexity], WithinAbs(1, 1e-12));
        for (std::size_t c = 0; c < kCriteria; ++c)
            if (setting.category == criteria()[c].weight) CHECK(weights[c] == std::ranges::max(weights));
    }
    CHECK(sizes == std::map<std::string_view, int>{{"fairness", 4}, {"memory", 8}, {"latency", 8}, {"accuracy", 8}});
    CHECK(distinct.size() == 28);
}

TEST_CASE("every order of layers holds every layer once", "[decide]")
{
    std::vector<LayerScore> layers;
    for (int l = 0; l < 6; ++l)
        layers.push_back({.layer = std::format("blk.{}.attn", l), .score = double(l % 4), .mean_similarity = 0.1 * l});
    const auto orders = layer_orders(layers, true);
    CHECK(orders.size() == 9);
    std::set<std::vector<std::size_t>> distinct;
    for (const LayerOrder& order : orders) {
        std::vector<std::size_t> sorted = order.layers;
        std::ranges::sort(sorted);
        CHECK(sorted == std::vector<std::size_t>{0, 1, 2, 3, 4, 5});
        distinct.insert(order.layers);
    }
    CHECK(orders[0].layers == std::vector<std::size_t>{3, 2, 1, 5, 0, 4});
    CHECK(orders[3].layers == std::vector<std::size_t>{4, 0, 5, 1, 2, 3});
    CHECK(distinct.size() == 8);  // similarity is depth here
    CHECK(layer_orders(layers, false).size() == 1);
}

/// Four settings that lead to two models.
Evaluation small_evaluation()
{
    const auto model = [](std::uint64_t bytes, double bits, double latency, double perplexity) {
        MixedModel mixed;
        mixed.measurement = {
            .memory_bytes = bytes, .bits_per_weight = bits, .quality = {.perplexity = perplexity, .tokens = 1}};
        mixed.measurement.speed.latency_ms = {.median = latency, .samples = {latency}};
        return mixed;
    };
    Evaluation evaluation;
    evaluation.models = {model(100, 4, 2, 11), model(200, 6, 3, 10), model(150, 5, 2, 12)};
    for (const char* category : {"memory", "memory", "accuracy", "latency"}) evaluation.settings.push_back({category, {}});
    evaluation.orders = {{"contribution", {0, 2, 1, 0}}};
    return evaluation;
}

TEST_CASE("categories are compared with the best of all settings", "[decide]")
{
    const auto categories = compare_categories(small_evaluation());
    REQUIRE(categories.size() == 3);
    CHECK(categories[0].category == "memory");
    CHECK_THAT(categories[0].mean_difference[0], WithinAbs(0.25, 1e-12));
    CHECK_THAT(categories[0].mean_difference[1], WithinAbs(0, 1e-12));
    CHECK_THAT(categories[0].mean_difference[2], WithinAbs(0.15, 1e-12));
    CHECK_THAT(categories[0].mean_bits_per_weight, WithinAbs(4.5, 1e-12));
    CHECK_THAT(categories[0].bits_per_weight_deviation, WithinAbs(0.5, 1e-12));
    CHECK(categories[1].bits_per_weight_deviation == 0);
}

TEST_CASE("the best value of a metric names every category that reaches it", "[decide]")
{
    const auto winners = best_categories(small_evaluation());
    CHECK(winners[0] == std::vector<std::string>{"memory", "latency"});
    CHECK(winners[1] == std::vector<std::string>{"memory", "latency"});
    CHECK(winners[2] == std::vector<std::string>{"accuracy"});
}

}  // namespace
}  // namespace apreqel
