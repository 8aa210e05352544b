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

TEST_CASE("the embedding joins the game, and its fixed type leaves the costs", "[decide]")
{
    Case c;
    CHECK(!make_front_plan(c.profile, c.sensitivity, {1, 0, 0}, {}, Normalization::minmax, 4, true));  // not measured
    c.sensitivity.embedding_bytes = 500;
    c.sensitivity.embedding = {
        "embedding",
        100,
        {{.memory_bytes = 250, .measured = true, .kld = 0.01}, {.memory_bytes = 600, .measured = true, .kld = 0.0001}}};
    const auto smallest = make_front_plan(c.profile, c.sensitivity, {1, 0, 0}, {}, Normalization::minmax, 4, true);
    REQUIRE(smallest);
    CHECK(smallest->allocation.back().layer == kEmbedding);
    CHECK(types_of(*smallest) == "33333");
    CHECK(smallest->chosen().estimate[0] == 1000 - 500 + 4 * 100 + 250);
    const auto best = make_front_plan(c.profile, c.sensitivity, {0, 0, 1}, {}, Normalization::minmax, 4, true);
    CHECK(types_of(*best) == "88888");
    CHECK(best->chosen().kld < 0.0017);
    // A type that embeddings cannot have is one for layers only.
    c.sensitivity.embedding.probes[0] = {};
    CHECK(types_of(*make_front_plan(c.profile, c.sensitivity, {1, 0, 0}, {}, Normalization::minmax, 4, true)) == "33338");
}

TEST_CASE("tensors may be typed one by one", "[decide]")
{
    Case c;
    c.sensitivity.layers[0].layer = "blk.0.attn_q";
    c.sensitivity.layers[1].layer = "blk.0.ffn_gate+ffn_up";
    c.sensitivity.layers[2].layer = "blk.1.attn_q";
    c.sensitivity.layers[3].layer = "blk.1.ffn_down";
    const auto plan = c.plan({0, 0, 1}, {.memory_bytes = 1500});
    REQUIRE(plan);
    CHECK(plan->allocation[1].type == "q8_0");
    CHECK(tensor_type_file(*plan).value().contains("^blk\\.0\\.(ffn_gate|ffn_up)\\.weight=q8_0\n"));
    c.sensitivity.layers[3].layer = "blk.0.ffn_down";  // one layer less
    CHECK(!c.plan({0, 0, 1}));
}

TEST_CASE("latencies are fitted to the mixes of the profile", "[decide]")
{
    Case c;  // q3_K takes 3 ms, q8_0 takes 2
    // In truth, all of it is the attention's: 2.5 against 0.5; the FFN takes 0.5 against 1.5.
    const auto mix = [&](const char* attention, const char* ffn, double latency) {
        MixedModel model;
        for (const LayerSensitivity& layer : c.sensitivity.layers)
            model.allocation.push_back({layer.layer, layer.layer.ends_with("ffn") ? ffn : attention});
        model.measurement.speed.latency_ms.median = latency;
        c.profile.mixes.push_back(model);
    };
    mix("q3_K", "q8_0", 4);
    mix("q8_0", "q3_K", 1);
    const auto fastest = c.plan({0, 1, 0});
    REQUIRE(fastest);
    CHECK(types_of(*fastest) == "8383");
    CHECK_THAT(fastest->chosen().estimate[1], WithinRel(1.0, 0.02));
    CHECK(fastest->latency_error > 0);
}

TEST_CASE("a type's whole model corrects the sum of its probes, and measured mixes correct both", "[decide]")
{
    Case c;
    c.profile.types[0].measurement.quality.kld = 0.036;  // half of 0.07, and 0.001 of the embedding
    CHECK_THAT(c.plan({1, 0, 0})->chosen().kld, WithinRel(0.036, 1e-9));
    MixedModel measured;
    for (const LayerSensitivity& layer : c.sensitivity.layers) measured.allocation.push_back({layer.layer, "q3_K"});
    measured.measurement.quality = {.kld = 0.072, .kld_tokens = 100};
    c.profile.mixes.push_back(measured);
    CHECK_THAT(c.plan({1, 0, 0})->chosen().kld, WithinRel(0.072, 1e-9));
}

TEST_CASE("closeness of what was measured is on the scale of the plan", "[decide]")
{
    const Case c;
    const auto plan = c.plan({1, 1, 1});
    REQUIRE(plan);
    const Candidate& chosen = plan->chosen();
    const Metrics planned{chosen.estimate[0], chosen.estimate[1], chosen.kld};
    CHECK_THAT(closeness_of(*plan, planned), WithinRel(chosen.closeness, 1e-9));
    CHECK(closeness_of(*plan, {planned[0] * 1.1, planned[1] * 1.1, planned[2] * 1.1}) < chosen.closeness);
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
