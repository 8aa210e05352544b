#include <apreqel/criterion.h>

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>

namespace apreqel {
namespace {

/// Weights of memory, latency and accuracy.
Weights paper_weights(double memory, double latency, double accuracy)
{
    Weights weights{};
    weights[kMemory] = memory;
    weights[kLatency] = latency;
    weights[kDivergence] = weights[kPerplexity] = accuracy;
    return weights;
}

TEST_CASE("weights are read as numbers, by name, or as a preset", "[decide]")
{
    CHECK(parse_weights("0.2,0.6,0.2") == paper_weights(0.2, 0.6, 0.2));
    CHECK(parse_weights("7,1,1") == paper_weights(7, 1, 1));
    CHECK(parse_weights("latency=.6,memory=.2") == paper_weights(0.2, 0.6, 0));
    CHECK(parse_weights("balanced") == paper_weights(1.0 / 3, 1.0 / 3, 1.0 / 3));
    CHECK(parse_weights("accuracy") == paper_weights(0.1, 0.1, 0.8));
}

TEST_CASE("every criterion that has a weight can be weighed by its name", "[decide]")
{
    for (std::size_t c = 0; c < kCriteria; ++c) {
        const std::string name(criteria()[c].weight);
        if (name.empty()) continue;
        const auto weights = parse_weights(name + "=0.5");
        REQUIRE(weights);
        for (std::size_t other = 0; other < kCriteria; ++other)
            CHECK((*weights)[other] == (criteria()[other].weight == name ? 0.5 : 0));
    }
}

TEST_CASE("weights that mean nothing are refused", "[decide]")
{
    for (const char* text :
         {"", "1", "1,2", "1,2,3,4", "0,0,0", "-1,1,1", "nan,1,1", "inf,1,1", "1,2,x", "1,2,3x", "memory=1,memory=2", "speed=1",
          "=1", "memory=,latency=1", "fast", "1e999,1,1", "memory=1,0.5,0.5"}) {
        INFO(text);
        const auto weights = parse_weights(text);
        REQUIRE(!weights);
        CHECK(weights.error().code == ErrorCode::usage);
    }
}

TEST_CASE("criteria are told apart by their fields and limits", "[decide]")
{
    std::set<std::string_view> fields;
    std::set<std::string_view> limits;
    for (const Criterion& criterion : criteria()) {
        CHECK(fields.insert(criterion.field).second);
        CHECK((criterion.limit.empty() || limits.insert(criterion.limit).second));
    }
}

TEST_CASE("what was not measured is not known, and keeps no limit", "[decide]")
{
    const Measurement model{.memory_bytes = 1000, .quality = {.perplexity = 11}};
    const Metrics metrics = metrics_of(model, {.perplexity = 10});
    CHECK(metrics[kMemory] == 1000);
    CHECK(std::isnan(metrics[kLatency]));
    CHECK(std::isnan(metrics[kPromptLatency]));
    CHECK(std::isnan(metrics[kEnergy]));
    CHECK(metrics_of({.speed = {.energy = {.joules = {.median = 0.5}}}})[kEnergy] == 0.5);
    CHECK(std::isnan(metrics[kDivergence]));
    CHECK(std::abs(metrics[kPerplexityIncrease] - 0.1) < 1e-12);
    Limits limits;
    CHECK(limit_excess(limits, metrics) == 0);
    limits.most[kMemory] = 2000;
    CHECK(limit_excess(limits, metrics) == 0.5);
    limits.context = {.tokens = 300, .cache_bytes = 2500, .buffer_bytes = 500};
    CHECK(limit_excess(limits, metrics) == 2);
    limits.most[kLatency] = 1e9;
    CHECK(limit_excess(limits, metrics) == kUnlimited);
}

TEST_CASE("a header tells of an f16 cache and of no buffers, or of nothing", "[decide]")
{
    CHECK(*f16_context(300, 10) == ContextMemory{.tokens = 300, .cache_bytes = 3000});
    CHECK(*f16_context(0, 0) == ContextMemory{});
    const auto unknown = f16_context(300, 0);
    REQUIRE(!unknown);
    CHECK(unknown.error().code == ErrorCode::usage);
}

}  // namespace
}  // namespace apreqel
