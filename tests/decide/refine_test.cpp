#include <apreqel/refine.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>
#include <functional>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

struct TypeData {
    const char* name;
    double bits;
    std::uint64_t bytes;
    double latency;
    double kld;
};
constexpr TypeData kTypes[]{{"q3_K", 3.4375, 1400, 3, 0.07}, {"q4_K", 4.5, 1600, 2, 0.02}, {"q8_0", 8.5, 2400, 4, 0.001}};

/// Four layers in three types; the mixes measure what `truth` says.
struct Case {
    Profile profile{.model = {.model = "m", .layers = 4, .embedding_type = "q6_K", .reference = {.perplexity = 10}}};
    Sensitivity sensitivity{.model = "m", .fixed_bytes = 1000, .types = {"q3_K", "q4_K", "q8_0"}, .groups = {}};
    PlanRequest request{.method = Method::front, .weights = *parse_weights("balanced")};

    Case()
    {
        for (const TypeData& type : kTypes) {
            const Measurement measured = uniform(type);
            profile.model.types.push_back(
                {.type = type.name, .bits_per_weight = type.bits, .memory_bytes = type.bytes, .quality = measured.quality});
            profile.device.models.push_back({.name = type.name, .speed = measured.speed});
        }
        for (const char* layer : {"blk.0.attn", "blk.0.ffn", "blk.1.attn", "blk.1.ffn"}) {
            GroupSensitivity group{.group = layer, .layer = layer, .part = std::string(layer).substr(6), .parameters = 100};
            for (const TypeData& type : kTypes)
                group.probes.push_back({.memory_bytes = (type.bytes - 1000) / 4, .measured = true, .kld = type.kld / 4});
            sensitivity.groups.push_back(group);
        }
    }

    static Measurement uniform(const TypeData& type)
    {
        return {.name = type.name,
                .memory_bytes = type.bytes,
                .quality = {.perplexity = 10 * std::exp(type.kld), .kld = type.kld, .kld_tokens = 100},
                .speed = {.latency_ms = {.median = type.latency}}};
    }

    /// What a mix costs where everything adds up.
    static Measurement sum(const Plan& plan)
    {
        Measurement model{.memory_bytes = 1000};
        for (const GroupType& entry : plan.allocation) {
            const TypeData& type = *std::ranges::find(kTypes, entry.type, &TypeData::name);
            model.memory_bytes += (type.bytes - 1000) / 4;
            model.quality.kld += type.kld / 4;
            model.speed.latency_ms.median += type.latency / 4;
        }
        model.quality.kld_tokens = 100;
        model.quality.perplexity = 10 * std::exp(model.quality.kld);
        return model;
    }

    /// Plans, measures by `truth`, and plans again until something is shipped.
    Ship run(const std::function<Measurement(const Plan&)>& truth, double slower = 1)
    {
        Session session{.reference = {.perplexity = 10}};
        for (;;) {
            auto decision = refine(profile, nullptr, &sensitivity, request, session);
            REQUIRE(decision);
            if (auto* ship = std::get_if<Ship>(&*decision)) {
                attempts = session.attempts.size();
                return std::move(*ship);
            }
            session.attempts.push_back({std::move(std::get<TryNext>(*decision).plan), {}});
            REQUIRE(session.attempts.size() <= kMostAttempts);
            session.uniform.clear();
            for (const TypeData& type : kTypes) session.uniform.push_back(uniform(type));
            for (Measurement& model : session.uniform) model.speed.latency_ms.median *= slower;
            for (Attempt& attempt : session.attempts) {
                attempt.measurement = truth(attempt.plan);
                attempt.measurement.speed.latency_ms.median *= slower;
            }
        }
    }

    std::size_t attempts = 0;
};

TEST_CASE("a plan that measures as predicted is shipped", "[decide]")
{
    Case c;
    c.request.weights = *parse_weights("0.1,0.1,0.8");
    const Ship ship = c.run(Case::sum);
    CHECK(c.attempts == 1);
    CHECK(ship.attempt == 0);
    CHECK(ship.limits_kept);
    CHECK_THAT(ship.plan.chosen().estimate[kDivergence], WithinRel(ship.measurement.quality.kld, 1e-6));
}

TEST_CASE("a machine that is slower than when the profile was made is no wrong prediction", "[decide]")
{
    Case c;
    c.request.limits.most[kLatency] = 3;
    const Ship ship = c.run(Case::sum, 1.7);
    CHECK(c.attempts == 1);
    CHECK(ship.limits_kept);
}

TEST_CASE("a plan that measures worse than predicted is planned again with what was learnt", "[decide]")
{
    Case c;
    c.request.weights = *parse_weights("1,0,0");
    c.request.limits.most[kDivergence] = 0.05;
    const auto truth = [](const Plan& plan) {  // twice as far from full precision as the probes say
        Measurement model = Case::sum(plan);
        model.quality.kld *= 2;
        return model;
    };
    const Ship ship = c.run(truth);
    CHECK(c.attempts > 1);
    CHECK(ship.attempt > 0);
    CHECK(ship.measurement.quality.kld <= 0.05);
    CHECK(ship.limits_kept);
}

TEST_CASE("where nothing measured keeps the limits, what was measured is shipped and said", "[decide]")
{
    Case c;
    c.request.limits.most[kLatency] = 2.6;
    const auto truth = [](const Plan& plan) {
        Measurement model = Case::sum(plan);
        model.speed.latency_ms.median += 5;
        return model;
    };
    c.request.limits.most[kMemory] = 1500;  // no uniform type but q3_K, which is too slow
    const Ship ship = c.run(truth);
    CHECK(!ship.limits_kept);
}

TEST_CASE("a uniform type that measures better than every mix is shipped as itself", "[decide]")
{
    Case c;
    c.profile.model.types[1].fallbacks = {{"blk.0.ffn", "blk.0.ffn_up.weight", "q4_K", "q5_0"}};
    const auto truth = [](const Plan& plan) {
        Measurement model = Case::sum(plan);
        model.memory_bytes += 500;
        model.speed.latency_ms.median += 3;
        model.quality.kld += 0.1;
        return model;
    };
    const Ship ship = c.run(truth);
    REQUIRE(!ship.uniform.empty());
    for (const GroupType& entry : ship.plan.allocation) CHECK(entry.type == ship.uniform);
    // Nothing of the mix is left in the plan.
    const auto type = std::ranges::find(c.profile.model.types, ship.uniform, &UniformVariant::type);
    CHECK(ship.plan.fallbacks.size() == type->fallbacks.size());
    CHECK(ship.plan.ranking.best.size() == 1);
    CHECK(ship.plan.chosen().estimate[kMemory] == static_cast<double>(type->memory_bytes));
    CHECK_THAT(ship.plan.chosen().closeness, WithinRel(measured_closeness(ship.plan, ship.plan.chosen().estimate), 1e-9));
    std::size_t counted = 0;
    for (const std::size_t count : ship.plan.chosen().counts) counted += count;
    CHECK(counted == ship.plan.allocation.size());
}

TEST_CASE("what was measured to be better in everything is never passed over", "[decide]")
{
    std::mt19937_64 random(1);
    const auto factor = [&] { return 0.5 + static_cast<double>(random() % 1000) / 1000; };
    for (int trial = 0; trial < 200; ++trial) {
        Case c;
        Weights& weights = c.request.weights;
        for (const std::size_t criterion : {kMemory, kLatency, kDivergence})
            weights[criterion] = random() % 4 == 0 ? 0 : factor();
        if (weights[kMemory] + weights[kLatency] + weights[kDivergence] == 0) continue;
        Session session{.reference = {.perplexity = 10}};
        for (const TypeData& type : kTypes) session.uniform.push_back(Case::uniform(type));
        for (std::size_t a = 0; a < kMostAttempts; ++a) {
            auto plan = make_front_plan(c.profile, c.sensitivity, c.request);
            REQUIRE(plan);
            Measurement measured = Case::sum(*plan);
            measured.memory_bytes = static_cast<std::uint64_t>(static_cast<double>(measured.memory_bytes) * factor());
            measured.speed.latency_ms.median *= factor();
            measured.quality.kld *= factor();
            session.attempts.push_back({std::move(*plan), measured});
        }
        const auto decision = refine(c.profile, nullptr, &c.sensitivity, c.request, session);
        REQUIRE(decision);
        const auto* ship = std::get_if<Ship>(&*decision);
        REQUIRE(ship != nullptr);
        const Costs shipped = columns_of(metrics_of(ship->measurement), front_objectives());
        for (const Attempt& attempt : session.attempts)
            CHECK(!dominates(columns_of(metrics_of(attempt.measurement), front_objectives()), shipped));
    }
}

TEST_CASE("the paper's method ships its plan, whatever it measures", "[decide]")
{
    Case c;
    c.request.method = Method::paper;
    Scores scores{.model = "m",
                  .layers = {{.layer = "blk.0.attn"}, {.layer = "blk.0.ffn"}, {.layer = "blk.1.attn"}, {.layer = "blk.1.ffn"}}};
    Session session;
    auto decision = refine(c.profile, &scores, nullptr, c.request, session);
    REQUIRE(decision);
    const Plan plan = std::get<TryNext>(*decision).plan;
    session.attempts.push_back({plan, {.memory_bytes = 1}});
    decision = refine(c.profile, &scores, nullptr, c.request, session);
    REQUIRE(decision);
    CHECK(std::get<Ship>(*decision).measurement.memory_bytes == 1);
}

}  // namespace
}  // namespace apreqel
