#include <apreqel/plan.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Four layers, the second four times as sensitive as the others, in a small slow type and a large fast one.
struct Case {
    Profile profile{.model = "m", .layers = 4, .embedding_type = "q6_K", .types = {}};
    Sensitivity sensitivity{.model = "m",
                            .embedding_type = "q6_K",
                            .fixed_bytes = 1000,
                            .kv_bytes_per_token = 10,
                            .embedding_kld = 0.001,
                            .types = {"q3_K", "q8_0"},
                            .layers = {}};

    Case()
    {
        const auto add = [&](const char* type, double bits, std::uint64_t bytes, double latency, double perplexity,
                             double kld) {
            UniformVariant variant{.type = type, .bits_per_weight = bits};
            variant.measurement = {.name = type, .memory_bytes = bytes};
            variant.measurement.quality = {.perplexity = perplexity, .kld = kld, .kld_tokens = 100};
            variant.measurement.speed.latency_ms.median = latency;
            profile.types.push_back(variant);
        };
        add("q3_K", 3.4375, 1400, 3, 10 * std::exp(0.071), 0.071);
        add("q8_0", 8.5, 1800, 2, 10 * std::exp(0.0017), 0.0017);
        for (const char* layer : {"blk.0.attn", "blk.0.ffn", "blk.1.attn", "blk.1.ffn"}) {
            const double factor = layer == std::string("blk.0.ffn") ? 4 : 1;
            sensitivity.layers.push_back({layer,
                                          100,
                                          {{.memory_bytes = 100, .measured = true, .kld = 0.01 * factor},
                                           {.memory_bytes = 200, .measured = true, .kld = 0.0001 * factor}}});
        }
    }

    [[nodiscard]] Result<Plan> plan(const Weights& weights, const Limits& limits = {}) const
    {
        return make_front_plan(profile, sensitivity, weights, limits);
    }
};

std::string types_of(const Plan& plan)
{
    std::string types;
    for (const LayerType& entry : plan.allocation) types += entry.type == "q8_0" ? '8' : '3';
    return types;
}

TEST_CASE("one metric alone gets its extreme", "[decide]")
{
    const Case c;
    CHECK(types_of(*c.plan({1, 0, 0})) == "3333");
    CHECK(types_of(*c.plan({0, 0, 1})) == "8888");
    const auto smallest = c.plan({1, 0, 0});
    CHECK(smallest->chosen().estimate[0] == 1400);
    CHECK_THAT(smallest->chosen().estimate[1], WithinRel(3.0, 1e-9));
    CHECK_THAT(smallest->chosen().estimate[2], WithinRel(10 * std::exp(0.071), 1e-3));
    CHECK_THAT(smallest->chosen().kld, WithinRel(0.071, 1e-3));
    CHECK(smallest->chosen().counts == std::vector<std::size_t>{4, 0});
}

TEST_CASE("a memory limit leaves the precise type to the layer that suffers most", "[decide]")
{
    const Case c;
    const auto plan = c.plan({0, 0, 1}, {.memory_bytes = 1500});
    REQUIRE(plan);
    CHECK(types_of(*plan) == "3833");
    CHECK(plan->chosen().estimate[0] <= 1500);
    // 20 tokens of KV cache take the place of two precise layers.
    CHECK(types_of(*c.plan({0, 0, 1}, {.memory_bytes = 1700, .context = 20})) == "3833");
}

TEST_CASE("every limit binds", "[decide]")
{
    const Case c;
    CHECK(c.plan({1, 0, 0}, {.latency_ms = 2.5})->chosen().estimate[1] <= 2.5);
    CHECK(c.plan({1, 0, 0}, {.kld = 0.02})->chosen().kld <= 0.02);
    CHECK(types_of(*c.plan({1, 0, 0}, {.kld = 0.04})) == "3833");
    CHECK(types_of(*c.plan({1, 0, 0}, {.perplexity_increase = 0.04})) == "3833");
}

TEST_CASE("limits that cannot be kept name the plan that comes nearest", "[decide]")
{
    const Case c;
    const auto plan = c.plan({1, 1, 1}, {.memory_bytes = 1200});
    REQUIRE(!plan);
    CHECK(plan.error().code == ErrorCode::infeasible);
    CHECK(plan.error().hint.contains("1400 bytes"));
}

TEST_CASE("a sensitivity that does not belong to the profile is refused", "[decide]")
{
    Case other_model;
    other_model.sensitivity.model = "n";
    CHECK(!other_model.plan({1, 1, 1}));
    Case other_layers;
    other_layers.sensitivity.layers.pop_back();
    CHECK(!other_layers.plan({1, 1, 1}));
    Case other_types;
    other_types.sensitivity.types = {"q4_0", "q5_0"};
    CHECK(!other_types.plan({1, 1, 1}));
    Case other_embedding;
    other_embedding.sensitivity.embedding_type = "q8_0";
    CHECK(!other_embedding.plan({1, 1, 1}));
    Case cache_unknown;
    cache_unknown.sensitivity.kv_bytes_per_token = 0;
    CHECK(!cache_unknown.plan({1, 1, 1}, {.memory_bytes = 5000, .context = 10}));
    CHECK(!Case().plan({0, 0, 0}));
}

TEST_CASE("a spread has different plans of the front", "[decide]")
{
    Case c;
    const auto plans = make_spread(c.profile, c.sensitivity, {1900, 3.1, 20}, 3);
    REQUIRE(plans);
    REQUIRE(plans->size() == 3);
    CHECK(types_of((*plans)[0]) != types_of((*plans)[1]));
    CHECK(types_of((*plans)[1]) != types_of((*plans)[2]));
}

}  // namespace
}  // namespace apreqel
