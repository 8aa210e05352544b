#include "decide/prediction.h"

#include <apreqel/plan.h>
#include <apreqel/statistics.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Four layers, the second four times as sensitive as the others, in a small slow type and a large fast one.
struct Case {
    Profile profile{.model = {.model = "m", .layers = 4, .embedding_type = "q6_K"}};
    Sensitivity sensitivity{
        .model = "m", .fixed_bytes = 500, .kv_bytes_per_token = 10, .types = {"q3_K", "q8_0", "q6_K"}, .groups = {}};

    Case()
    {
        add("q3_K", 3.4375, 1400, 3, 10 * std::exp(0.071), 0.071);
        add("q8_0", 8.5, 1800, 2, 10 * std::exp(0.0017), 0.0017);
        for (const char* layer : {"blk.0.attn", "blk.0.ffn", "blk.1.attn", "blk.1.ffn"}) {
            const double factor = layer == std::string("blk.0.ffn") ? 4 : 1;
            sensitivity.groups.push_back({.group = layer,
                                          .layer = layer,
                                          .part = std::string(layer).substr(6),
                                          .parameters = 100,
                                          .probes = {{.memory_bytes = 100, .measured = true, .kld = 0.01 * factor},
                                                     {.memory_bytes = 200, .measured = true, .kld = 0.0001 * factor},
                                                     {}}});
        }
        sensitivity.groups.push_back({.group = "embedding",
                                      .layer = "",
                                      .part = "embedding",
                                      .parameters = 100,
                                      .fixed_type = "q6_K",
                                      .probes = {{.memory_bytes = 250, .measured = true, .kld = 0.01},
                                                 {.memory_bytes = 600, .measured = true, .kld = 0.0001},
                                                 {.memory_bytes = 500, .measured = true, .kld = 0.001}}});
    }

    void add(const char* type, double bits, std::uint64_t bytes, double latency, double perplexity, double kld)
    {
        profile.model.types.push_back({.type = type,
                                       .bits_per_weight = bits,
                                       .memory_bytes = bytes,
                                       .quality = {.perplexity = perplexity, .kld = kld, .kld_tokens = 100}});
        profile.device.models.push_back({.name = type, .speed = {.latency_ms = {.median = latency}}});
    }

    [[nodiscard]] GroupSensitivity& embedding() { return sensitivity.groups.back(); }

    /// A mix of one type for attention and one for FFN.
    [[nodiscard]] std::vector<GroupType> mix(const char* attention, const char* ffn) const
    {
        std::vector<GroupType> allocation;
        for (const GroupSensitivity& group : sensitivity.groups)
            if (!group.layer.empty()) allocation.push_back({group.group, group.part == "ffn" ? ffn : attention});
        return allocation;
    }

    [[nodiscard]] Result<Plan> plan(const char* weights, const Limits& limits = {}, bool mix_embedding = false,
                                    std::span<const MixedModel> measured = {}) const
    {
        return make_front_plan(
            profile, sensitivity,
            {.method = Method::front, .weights = *parse_weights(weights), .limits = limits, .mix_embedding = mix_embedding},
            measured);
    }
};

Limits at_most(std::size_t criterion, double value, const ContextMemory& context = {})
{
    Limits limits{.context = context};
    limits.most[criterion] = value;
    return limits;
}

std::string types_of(const Plan& plan)
{
    std::string types;
    for (const GroupType& entry : plan.allocation) types += entry.type == "q8_0" ? '8' : '3';
    return types;
}

TEST_CASE("one metric alone gets its extreme", "[decide]")
{
    const Case c;
    CHECK(types_of(*c.plan("1,0,0")) == "3333");
    CHECK(types_of(*c.plan("0,0,1")) == "8888");
    const auto smallest = c.plan("1,0,0");
    CHECK(smallest->chosen().estimate[kMemory] == 1400);
    CHECK_THAT(smallest->chosen().estimate[kLatency], WithinRel(3.0, 1e-9));
    CHECK_THAT(smallest->chosen().estimate[kPerplexity], WithinRel(10 * std::exp(0.071), 1e-3));
    CHECK_THAT(smallest->chosen().estimate[kDivergence], WithinRel(0.071, 1e-3));
    CHECK(smallest->chosen().counts == std::vector<std::size_t>{4, 0});
}

TEST_CASE("a memory limit leaves the precise type to the layer that suffers most", "[decide]")
{
    const Case c;
    const auto plan = c.plan("0,0,1", at_most(kMemory, 1500));
    REQUIRE(plan);
    CHECK(types_of(*plan) == "3833");
    CHECK(plan->chosen().estimate[kMemory] <= 1500);
    // KV cache and buffers of 20 tokens take the place of two precise layers.
    const auto beside = c.plan("0,0,1", at_most(kMemory, 1700, {.tokens = 20, .cache_bytes = 150, .buffer_bytes = 50}));
    CHECK(types_of(*beside) == "3833");
    CHECK(beside->chosen().estimate[kMemory] == plan->chosen().estimate[kMemory]);
}

/// The second block and the output, which the embedding serves as, are on accelerators.
Case placed_case()
{
    Case c;
    c.profile.device.offload = {.layers = 2, .first_block = 1, .fixed_bytes = 100, .embedding_gpu = 1, .embedding_main = 1};
    return c;
}

TEST_CASE("a limit of what is on accelerators counts what is there, and nothing else", "[decide]")
{
    const Case c = placed_case();
    const auto plan = c.plan("accuracy=1", at_most(kGpuMemory, 100 + 500 + 300));
    REQUIRE(plan);
    const Metrics& estimate = plan->chosen().estimate;
    CHECK(types_of(*plan).starts_with("88"));
    CHECK(estimate[kGpuMemory] == 900);
    CHECK(estimate[kMainMemory] == 400 + 500 + 400);
    CHECK(estimate[kMemory] == 500 + 500 + 700);  // the embedding once
    CHECK(plan->gpu_layers == 2);
    Limits both = at_most(kGpuMemory, 900);
    both.most[kMainMemory] = 1200;
    CHECK(c.plan("accuracy=1", both)->chosen().estimate[kMainMemory] == 1200);
    // What the context has there takes the place of a precise layer.
    const ContextMemory context{
        .tokens = 20, .cache_bytes = 150, .buffer_bytes = 50, .gpu_cache_bytes = 75, .gpu_buffer_bytes = 25};
    CHECK(c.plan("accuracy=1", at_most(kGpuMemory, 1000, context))->chosen().estimate[kGpuMemory] == 900);
    const auto unknown = Case().plan("accuracy=1", at_most(kGpuMemory, 900));
    REQUIRE(!unknown);
    CHECK(unknown.error().code == ErrorCode::usage);
}

TEST_CASE("a type takes another time on accelerators", "[decide]")
{
    Case c = placed_case();
    // On the processor a block takes 2.8 or 1.8 ms, on the accelerator hardly any.
    const auto add_mix = [&](const char* first, const char* second, double latency) {
        std::vector<GroupType> allocation = c.mix(first, first);
        for (GroupType& entry : allocation)
            if (entry.group.starts_with("blk.1.")) entry.type = second;
        c.profile.device.models.push_back(
            {.name = "mix", .allocation = allocation, .speed = {.latency_ms = {.median = latency}}});
    };
    add_mix("q3_K", "q8_0", 3);
    add_mix("q8_0", "q3_K", 2);
    CHECK(types_of(*c.plan("memory=1", at_most(kLatency, 2.2))) == "8833");
}

TEST_CASE("of plans for several numbers of layers the closest is taken, and of equals the fastest", "[decide]")
{
    const auto with = [](double latency, double kld) {
        Plan plan{.request = {.weights = *parse_weights("latency=.5,accuracy=.5")}, .objectives = front_objectives()};
        plan.ranking.best.emplace_back();
        plan.ranking.best.front().estimate[kMemory] = 1000;
        plan.ranking.best.front().estimate[kLatency] = latency;
        plan.ranking.best.front().estimate[kDivergence] = kld;
        return plan;
    };
    const std::vector<Plan> plans{with(20, 0.0100), with(10, 0.0101), with(9, 0.08)};
    CHECK(best_plan(plans) == 1);
    std::vector<Plan> equal{with(20, 0.01), with(10, 0.01)};
    for (Plan& plan : equal) plan.request.weights = *parse_weights("accuracy=1");
    CHECK(best_plan(equal) == 1);
}

TEST_CASE("every limit binds", "[decide]")
{
    const Case c;
    CHECK(c.plan("1,0,0", at_most(kLatency, 2.5))->chosen().estimate[kLatency] <= 2.5);
    CHECK(c.plan("1,0,0", at_most(kDivergence, 0.02))->chosen().estimate[kDivergence] <= 0.02);
    CHECK(types_of(*c.plan("1,0,0", at_most(kDivergence, 0.04))) == "3833");
    CHECK(types_of(*c.plan("1,0,0", at_most(kPerplexityIncrease, 0.04))) == "3833");
}

TEST_CASE("limits that cannot be kept name the plan that comes nearest", "[decide]")
{
    const Case c;
    const auto plan = c.plan("1,1,1", at_most(kMemory, 1200));
    REQUIRE(!plan);
    CHECK(plan.error().code == ErrorCode::infeasible);
    CHECK(plan.error().hint.contains("memory 1400 bytes"));
}

TEST_CASE("a sensitivity without layers, or with a group that misses types, is refused", "[decide]")
{
    Case none;
    none.profile.model.layers = 0;
    none.sensitivity.groups.clear();
    for (const bool mix_embedding : {false, true}) {
        const auto plan = none.plan("1,1,1", {}, mix_embedding);
        REQUIRE(!plan);
        CHECK(plan.error().message.contains("no layers"));
        CHECK(!plan_front(none.profile, none.sensitivity, {.mix_embedding = mix_embedding}));
        CHECK(!make_spread(none.profile, none.sensitivity, {.mix_embedding = mix_embedding}, {1900, 3.1, 20}, 3));
    }
    Case missing;
    missing.sensitivity.groups[2].probes.pop_back();
    const auto plan = missing.plan("1,1,1");
    REQUIRE(!plan);
    CHECK(plan.error().message.contains("blk.1.attn"));
    Case fixed;
    fixed.embedding().fixed_type = "q5_K";
    fixed.profile.model.embedding_type = "";
    CHECK(fixed.plan("1,1,1").error().message.contains("none of its types"));
    Case nameless;
    nameless.sensitivity.groups[0].group = "blk.0\n.*=q2_K\nblk.attn";
    CHECK(nameless.plan("1,1,1").error().message.contains("groups are named"));
}

TEST_CASE("a measured mix that dominates another is never behind it, better than the ideal or not", "[decide]")
{
    const Case c;
    const auto plan = c.plan("1,1,1", at_most(kMemory, 1500));
    REQUIRE(plan);
    Metrics measured = plan->chosen().estimate;
    measured[kLatency] = 3;
    measured[kDivergence] = 0.071;
    double behind = measured_closeness(*plan, measured);
    for (int step = 0; step < 40; ++step) {  // from worse than any plan to better than any
        measured[kLatency] *= 0.95;
        measured[kDivergence] *= 0.85;
        const double ahead = measured_closeness(*plan, measured);
        CHECK(ahead > behind);
        behind = ahead;
    }
}

TEST_CASE("a sensitivity that does not belong to the profile is refused", "[decide]")
{
    Case other_model;
    other_model.sensitivity.model = "n";
    CHECK(!other_model.plan("1,1,1"));
    Case other_layers;
    other_layers.sensitivity.groups.erase(other_layers.sensitivity.groups.begin());
    CHECK(!other_layers.plan("1,1,1"));
    Case other_types;
    other_types.sensitivity.types = {"q4_0", "q5_0", "q6_K"};
    CHECK(!other_types.plan("1,1,1"));
    Case other_embedding;
    other_embedding.embedding().fixed_type = "q8_0";
    CHECK(!other_embedding.plan("1,1,1"));
    CHECK(!make_front_plan(Case().profile, Case().sensitivity, {}));  // all weights 0
}

TEST_CASE("the embedding joins the game, and its fixed type leaves the costs", "[decide]")
{
    Case c;
    const auto smallest = c.plan("1,0,0", {}, true);
    REQUIRE(smallest);
    CHECK(smallest->allocation.back().group == kEmbedding);
    CHECK(types_of(*smallest) == "33333");
    CHECK(smallest->chosen().estimate[kMemory] == 500 + 4 * 100 + 250);
    const auto best = c.plan("0,0,1", {}, true);
    CHECK(types_of(*best) == "88888");
    CHECK(best->chosen().estimate[kDivergence] < 0.0017);
}

TEST_CASE("a type that a group cannot have is no candidate there", "[decide]")
{
    Case c;
    c.embedding().probes[0] = {};
    CHECK(types_of(*c.plan("1,0,0", {}, true)) == "33338");
    c.sensitivity.groups[2].probes[0] = {};
    CHECK(types_of(*c.plan("1,0,0")) == "3383");
    c.sensitivity.groups[2].probes[1] = {};
    const auto none = c.plan("1,0,0");
    REQUIRE(!none);
    CHECK(none.error().message.contains("blk.1.attn"));
}

TEST_CASE("tensors may be typed one by one", "[decide]")
{
    Case c;
    c.sensitivity.groups[0].group = "blk.0.attn_q";
    c.sensitivity.groups[1].group = "blk.0.ffn_gate+ffn_up";
    c.sensitivity.groups[2].group = "blk.1.attn_q";
    c.sensitivity.groups[3].group = "blk.1.ffn_down";
    const auto plan = c.plan("0,0,1", at_most(kMemory, 1500));
    REQUIRE(plan);
    CHECK(plan->allocation[1].type == "q8_0");
    CHECK(tensor_type_file(*plan)->contains("^blk\\.0\\.(ffn_gate|ffn_up)\\.weight=q8_0\n"));
    c.sensitivity.groups[3].layer = "blk.0.ffn";  // one layer less
    CHECK(!c.plan("0,0,1"));
}

TEST_CASE("latencies are fitted to the mixes of the profile", "[decide]")
{
    Case c;  // q3_K takes 3 ms, q8_0 takes 2
    // In truth, all of it is the attention's: 2.5 against 0.5; the FFN takes 0.5 against 1.5.
    const auto add = [&](const char* attention, const char* ffn, double latency) {
        c.profile.device.models.push_back(
            {.name = "mix", .allocation = c.mix(attention, ffn), .speed = {.latency_ms = {.median = latency}}});
    };
    add("q3_K", "q8_0", 4);
    add("q8_0", "q3_K", 1);
    const auto fastest = c.plan("0,1,0");
    REQUIRE(fastest);
    CHECK(types_of(*fastest) == "8383");
    CHECK_THAT(fastest->chosen().estimate[kLatency], WithinRel(1.0, 0.02));
    CHECK(fastest->latency_error > 0);
}

TEST_CASE("mixes with another embedding tell of all parts, whether it is mixed or fixed", "[decide]")
{
    Case c;  // a layer's weight takes 5 µs in q3_K and 3 in q8_0, in attention twice that; the embedding 8 and 2, and 4 in q6_K
    const auto time = [](double attention, double ffn, double embedding) {
        return 0.4 * attention + 0.2 * ffn + 0.1 * embedding;
    };
    c.profile.device.models.clear();
    const auto add = [&](const char* name, std::vector<GroupType> allocation, double latency) {
        c.profile.device.models.push_back(
            {.name = name, .allocation = std::move(allocation), .speed = {.latency_ms = {.median = latency}}});
    };
    add("q3_K", {}, time(5, 5, 4));
    add("q8_0", {}, time(3, 3, 4));
    for (const bool ffn : {false, true}) {
        for (const bool embedding : {false, true}) {
            auto mix = c.mix("q3_K", ffn ? "q8_0" : "q3_K");
            mix.push_back({"embedding", embedding ? "q8_0" : "q3_K"});
            add("mix", std::move(mix), time(5, ffn ? 3 : 5, embedding ? 2 : 8));
        }
    }
    const auto fixed = c.plan("0,1,0");
    REQUIRE(fixed);
    CHECK(types_of(*fixed) == "8888");
    CHECK_THAT(fixed->chosen().estimate[kLatency], WithinRel(time(3, 3, 4), 0.01));
    const auto mixed = c.plan("0,1,0", {}, true);
    REQUIRE(mixed);
    CHECK_THAT(mixed->chosen().estimate[kLatency], WithinRel(time(3, 3, 2), 0.01));
}

TEST_CASE("a profile of unknown quality is planned by the probes, and its perplexity is not known", "[decide]")
{
    Case c;
    for (UniformVariant& type : c.profile.model.types) type.quality = {};
    const auto plan = c.plan("0,0,1");
    REQUIRE(plan);
    CHECK_THAT(plan->chosen().estimate[kDivergence], WithinRel(0.0017, 1e-9));
    CHECK(std::isnan(plan->chosen().estimate[kPerplexity]));
    CHECK_THAT(plan->chosen().estimate[kPerplexityIncrease], WithinRel(std::expm1(0.0017), 1e-9));
    REQUIRE(c.plan("1,0,0", at_most(kPerplexityIncrease, 0.04)));
    CHECK(c.plan("1,0,0", at_most(kPerplexityIncrease, 0.04))->chosen().estimate[kPerplexityIncrease] <= 0.04);
    c.profile.model.reference.perplexity = 10;
    CHECK_THAT(c.plan("0,0,1")->chosen().estimate[kPerplexity], WithinRel(10 * std::exp(0.0017), 1e-9));
    c.profile.model.types[0].quality.perplexity = std::nan("");
    CHECK(!c.plan("0,0,1"));
}

TEST_CASE("another time is planned by where it has a weight or a limit", "[decide]")
{
    Case c;
    const auto unmeasured = c.plan("prompt=1,memory=0.1");
    REQUIRE(!unmeasured);
    CHECK(unmeasured.error().message.contains("prompt latency"));
    c.profile.device.models[0].speed.prompt_tokens_per_second.median = 2000;  // q3_K
    c.profile.device.models[1].speed.prompt_tokens_per_second.median = 1000;  // q8_0
    const auto quick = c.plan("prompt=1");
    REQUIRE(quick);
    CHECK(types_of(*quick) == "3333");
    CHECK_THAT(quick->chosen().estimate[kPromptLatency], WithinRel(0.5, 1e-6));
    const auto limited = c.plan("0,0,1", at_most(kPromptLatency, 0.63));
    REQUIRE(limited);
    CHECK(limited->chosen().estimate[kPromptLatency] <= 0.63);
    CHECK(types_of(*limited) == "3833");
}

TEST_CASE("energy is planned by where it has a weight or a limit", "[decide]")
{
    Case c;
    const auto unmeasured = c.plan("0,0,1", at_most(kEnergy, 2));
    REQUIRE(!unmeasured);
    CHECK(unmeasured.error().message.contains("the energy of q3_K was not measured"));
    c.profile.device.models[0].speed.energy.joules.median = 2;  // q3_K
    c.profile.device.models[1].speed.energy.joules.median = 1;  // q8_0
    CHECK(std::isnan(c.plan("1,0,0")->chosen().estimate[kEnergy]));
    const auto frugal = c.plan("energy=1");
    REQUIRE(frugal);
    CHECK(types_of(*frugal) == "8888");
    CHECK_THAT(frugal->chosen().estimate[kEnergy], WithinRel(1, 1e-6));
    const auto limited = c.plan("1,0,0", at_most(kEnergy, 1.6));
    REQUIRE(limited);
    CHECK(limited->chosen().estimate[kEnergy] <= 1.6);
    CHECK(types_of(*limited).contains('3'));
}

TEST_CASE("a type's whole model corrects the sum of its probes, and measured mixes correct both", "[decide]")
{
    Case c;
    c.profile.model.types[0].quality.kld = 0.036;  // half of 0.07, and 0.001 of the embedding
    CHECK_THAT(c.plan("1,0,0")->chosen().estimate[kDivergence], WithinRel(0.036, 1e-9));
    const std::vector<MixedModel> measured{
        {.allocation = c.mix("q3_K", "q3_K"), .measurement = {.quality = {.kld = 0.072, .kld_tokens = 100}}}};
    CHECK_THAT(c.plan("1,0,0", {}, false, measured)->chosen().estimate[kDivergence], WithinRel(0.072, 1e-9));
}

TEST_CASE("what is learnt of divergences moves the perplexities predicted and the limit on them", "[decide]")
{
    Case c;
    c.profile.model.reference.perplexity = 10;
    const double before = c.plan("1,0,0")->chosen().estimate[kPerplexityIncrease];
    CHECK_THAT(before, WithinRel(std::expm1(0.071), 1e-6));
    // The mixes measured turn out twice as far from full precision as their probes said.
    std::vector<MixedModel> measured;
    for (const auto& [attention, ffn, kld] : {std::tuple{"q3_K", "q8_0", 0.0423}, {"q8_0", "q3_K", 0.1013}}) {
        measured.push_back({.allocation = c.mix(attention, ffn),
                            .measurement = {.quality = {.perplexity = 10 * std::exp(kld), .kld = kld, .kld_tokens = 100}}});
    }
    const auto after = c.plan("1,0,0", {}, false, measured);
    CHECK(after->chosen().estimate[kPerplexityIncrease] > 1.8 * before);
    const Limits limits = at_most(kPerplexityIncrease, 0.04);
    CHECK(types_of(*c.plan("1,0,0", limits)) == "3833");
    CHECK(types_of(*c.plan("1,0,0", limits, false, measured)) != "3833");
}

/// A KV cache whose types differ in all that matters; in f16 it takes as much as two layers.
CacheProfile cache_of_types()
{
    const auto type = [](const char* name, std::uint64_t bytes, double kld, double latency) {
        return CacheCost{.type = name, .bytes = bytes, .kld = kld, .tokens = 9, .speed = {.latency_ms = {.median = latency}}};
    };
    return {.tokens = 100,
            .keys = {type("f16", 400, 0, 5), type("q8_0", 310, 0.0002, 5.1), type("q4_0", 260, 0.02, 4.9)},
            .values = {type("f16", 400, 0, 5), type("q8_0", 312, 0.0003, 4.95), type("q4_0", 265, 0.003, 5.2)}};
}

TEST_CASE("the types of the KV cache are chosen as the best of all pairs, each with the best types of the layers", "[decide]")
{
    const CacheProfile cache = cache_of_types();
    const ContextMemory context{.tokens = 100, .cache_bytes = 400, .buffer_bytes = 50, .cache_is_chosen = true};
    for (const double limit : {1750.0, 1860.0, 1900.0, 1960.0, 2050.0, 2300.0}) {
        CAPTURE(limit);
        double best = kUnlimited;
        for (const CacheCost& keys : cache.keys) {
            for (const CacheCost& values : cache.values) {
                const auto apart = Case().plan(
                    "accuracy=1", at_most(kMemory, limit - static_cast<double>(keys.bytes + values.bytes - 400 + 50)));
                if (apart) best = std::min(best, apart->chosen().estimate[kDivergence] + keys.kld + values.kld);
            }
        }
        Case one;
        one.profile.cache = cache;
        const auto plan = one.plan("accuracy=1", at_most(kMemory, limit, context));
        REQUIRE(plan);
        REQUIRE(plan->chosen().cache);
        CHECK_THAT(plan->chosen().estimate[kDivergence], WithinRel(best, 1e-9));
        const CacheTypes& types = plan->chosen().cache->types;
        const auto bytes = [](const std::vector<CacheCost>& part, const std::string& type) {
            return std::ranges::find(part, type, &CacheCost::type)->bytes;
        };
        CHECK(plan->chosen().cache->bytes == bytes(cache.keys, types.keys) + bytes(cache.values, types.values) - 400);
        std::uint64_t weights = 1000;  // fixed, and the embedding
        for (const char type : types_of(*plan)) weights += type == '8' ? 200 : 100;
        CHECK(plan->chosen().estimate[kMemory] == static_cast<double>(weights + plan->chosen().cache->bytes));
    }
}

TEST_CASE("a KV cache is worth what its types take beside the usual ones, and a mix that had them changes nothing", "[decide]")
{
    Case one;
    const auto usual = one.plan("latency=1");
    one.profile.cache = cache_of_types();
    const auto plan = one.plan("latency=1");
    REQUIRE((usual && plan));
    CHECK(plan->chosen().cache->types == CacheTypes{.keys = "q4_0", .values = "q8_0"});
    CHECK_THAT(plan->chosen().estimate[kLatency], WithinRel(usual->chosen().estimate[kLatency] - 0.1 - 0.05, 1e-9));
    const Metrics& expected = plan->chosen().estimate;
    MixedModel built{
        .allocation = plan->allocation,
        .measurement = {.memory_bytes = static_cast<std::uint64_t>(expected[kMemory]) - plan->chosen().cache->bytes,
                        .quality = {.perplexity = expected[kPerplexity], .kld = expected[kDivergence], .kld_tokens = 100},
                        .speed = {.latency_ms = {.median = expected[kLatency]}},
                        .cache = plan->chosen().cache}};
    const auto again = one.plan("latency=1", {}, false, std::span(&built, 1));
    REQUIRE(again);
    CHECK_THAT(again->chosen().estimate[kLatency], WithinRel(expected[kLatency], 1e-6));
    CHECK_THAT(again->chosen().estimate[kDivergence], WithinRel(expected[kDivergence], 1e-6));
    CHECK(metrics_of(built.measurement)[kMemory] == expected[kMemory]);
    one.profile.cache->keys[1].speed = {};
    const auto unknown = one.plan("latency=1");
    REQUIRE(!unknown);
    CHECK(unknown.error().message.contains("KV cache"));
}

TEST_CASE("a KV cache may save more time than anything fixed takes, and only a time that can be told apart counts", "[decide]")
{
    Case one;
    one.profile.cache = cache_of_types();
    const auto usual = one.plan("latency=1", {}, true);
    REQUIRE(usual);
    CHECK(usual->chosen().cache->types == CacheTypes{.keys = "q4_0", .values = "q8_0"});
    const auto with_samples = [](CacheCost& type, double latency, double noise) {
        std::vector<double> samples;
        for (int r = 0; r < 8; ++r) samples.push_back(latency + noise * (r % 2 == 0 ? 1 : -1));
        type.speed.latency_ms = summarize(samples);
    };
    for (auto* part : {&one.profile.cache->keys, &one.profile.cache->values}) {
        with_samples(part->front(), 5, 0.001);
        for (std::size_t i = 1; i < part->size(); ++i) with_samples((*part)[i], i == 1 ? 4.99 : 4.9, i == 1 ? 0.2 : 0.001);
    }
    const auto told = one.plan("latency=1,accuracy=0.0001", {}, true);
    REQUIRE(told);
    CHECK(told->chosen().cache->types == CacheTypes{.keys = "q4_0", .values = "q4_0"});
    CHECK_THAT(told->chosen().estimate[kLatency], WithinRel(usual->chosen().estimate[kLatency] + 0.15 - 0.2, 1e-6));
    one.profile.cache->keys.pop_back();
    one.profile.cache->values.pop_back();
    const auto equal = one.plan("latency=1,accuracy=0.0001", {}, true);
    REQUIRE(equal);
    CHECK(equal->chosen().cache->types == CacheTypes{});
}

TEST_CASE("closeness of what was measured is on the scale of the plan", "[decide]")
{
    const Case c;
    const auto plan = c.plan("1,1,1");
    REQUIRE(plan);
    const Metrics planned = plan->chosen().estimate;
    CHECK_THAT(measured_closeness(*plan, planned), WithinRel(plan->chosen().closeness, 1e-9));
    Metrics worse = planned;
    for (double& value : worse) value *= 1.1;
    CHECK(measured_closeness(*plan, worse) < plan->chosen().closeness);
}

TEST_CASE("a spread has different plans of the front", "[decide]")
{
    Case c;
    const auto plans = make_spread(c.profile, c.sensitivity, {}, {1900, 3.1, 20}, 3);
    REQUIRE(plans);
    REQUIRE(plans->size() == 3);
    CHECK(types_of((*plans)[0]) != types_of((*plans)[1]));
    CHECK(types_of((*plans)[1]) != types_of((*plans)[2]));
}

TEST_CASE("a type that a group cannot have leaves it as it is in the source", "[plan]")
{
    // Of every group's time: 1 ms in q3_K, 2 in q5_K, 4 as it is. The last group is smaller than it would be in q5_K.
    Profile profile{.model = {.model = "m", .layers = 4, .embedding_type = ""}};
    Sensitivity sensitivity{.model = "m", .types = {"q3_K", "q5_K", "source"}, .groups = {}};
    const auto add = [&](const char* type, double latency, double kld) {
        profile.model.types.push_back(
            {.type = type, .memory_bytes = 400, .quality = {.perplexity = 10 * std::exp(kld), .kld = kld, .kld_tokens = 100}});
        profile.device.models.push_back({.name = type, .speed = {.latency_ms = {.median = latency}}});
    };
    add("q3_K", 4, 0.04);
    add("q5_K", 10, 0.006);
    add("source", 16, 0);
    for (const char* layer : {"blk.0.attn", "blk.0.ffn", "blk.1.attn", "blk.1.ffn"}) {
        const bool small = layer == std::string("blk.1.ffn");
        sensitivity.groups.push_back({.group = layer,
                                      .layer = layer,
                                      .part = std::string(layer).substr(6),
                                      .parameters = 100,
                                      .probes = {{.memory_bytes = 30, .measured = true, .kld = 0.01},
                                                 small ? Probe{} : Probe{.memory_bytes = 55, .measured = true, .kld = 0.002},
                                                 {.memory_bytes = small ? 40U : 85U, .measured = true}}});
    }
    const auto add_mix = [&](const char* attention, const char* ffn, double latency) {
        TimedModel mix{.name = std::format("{} {}", attention, ffn), .speed = {.latency_ms = {.median = latency}}};
        for (const GroupSensitivity& group : sensitivity.groups)
            mix.allocation.push_back({group.group, group.part == "ffn" ? ffn : attention});
        profile.device.models.push_back(mix);
    };
    add_mix("q3_K", "q5_K", 8);
    add_mix("q5_K", "source", 12);
    add_mix("source", "q3_K", 10);
    const auto prediction = predict(profile, sensitivity, {.method = Method::front, .weights = *parse_weights("balanced")}, {});
    REQUIRE(prediction);
    REQUIRE(prediction->choices[3] == std::vector<std::uint8_t>{0, 2});
    const std::size_t latency =
        static_cast<std::size_t>(std::ranges::find(prediction->objectives, kLatency) - prediction->objectives.begin());
    for (std::size_t g = 0; g < 3; ++g) {
        CHECK_THAT(prediction->costs.groups[g][0][latency], WithinRel(1.0, 0.02));
        CHECK_THAT(prediction->costs.groups[g][1][latency], WithinRel(2.0, 0.02));
        CHECK_THAT(prediction->costs.groups[g][2][latency], WithinRel(4.0, 0.02));
        CHECK_THAT(prediction->costs.groups[g][1].back(), WithinRel(0.002, 1e-6));
        CHECK(prediction->costs.groups[g][2].back() == 0);
    }
}

}  // namespace
}  // namespace apreqel
