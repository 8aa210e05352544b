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
    std::vector<Measurement> rivals{};

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

    struct Shipped {
        Ship ship;
        std::vector<Attempt> attempts;

        [[nodiscard]] const Attempt& attempt() const { return attempts[ship.attempt]; }
    };

    /// Plans, measures by `truth`, and plans again until something is shipped.
    Shipped run(const std::function<Measurement(const Plan&)>& truth, double slower = 1)
    {
        Session session{.attempts = {}, .reference = {.perplexity = 10}, .rivals = rivals};
        for (;;) {
            auto decision = refine(profile, sensitivity, request, session);
            REQUIRE(decision);
            if (auto* ship = std::get_if<Ship>(&*decision)) return {std::move(*ship), std::move(session.attempts)};
            for (Plan& plan : std::get<TryNext>(*decision).plans) {
                session.attempts.push_back({std::move(plan), {}});
                session.attempts.back().measurement = truth(session.attempts.back().plan);
                session.attempts.back().measurement.speed.latency_ms.median *= slower;
            }
            REQUIRE(session.attempts.size() <= (rivals.empty() ? kMostAttempts : kMostAgainstRivals));
        }
    }

    /// As if the KL divergences of two of the types were estimated from those of the third.
    void estimate()
    {
        for (GroupSensitivity& group : sensitivity.groups)
            for (std::size_t q : {0, 2}) group.probes[q].measured = false;
        sensitivity.separability = {.pairs = 8, .median_factor = 1.5, .worst_factor = 3};
    }
};

TEST_CASE("candidates begin with what is expected, differ, keep their own predictions, and end with a uniform type", "[decide]")
{
    Case c;
    c.estimate();
    c.request.weights = *parse_weights("0.3,0.1,0.6");
    const auto plans = make_candidates(c.profile, c.sensitivity, c.request);
    REQUIRE(plans);
    CHECK(same_types(plans->front(), *make_front_plan(c.profile, c.sensitivity, c.request)));
    CHECK(plans->size() >= 3);
    CHECK(plans->size() <= 4);
    CHECK(attempt_name(plans->back(), 9).starts_with("all "));
    for (std::size_t p = 0; p < plans->size(); ++p) {
        const Plan& plan = (*plans)[p];
        const Measurement measured = Case::sum(plan);
        CHECK_THAT(plan.chosen().estimate[kDivergence], WithinRel(measured.quality.kld, 1e-6));
        CHECK_THAT(plan.chosen().estimate[kLatency], WithinRel(measured.speed.latency_ms.median, 1e-6));
        CHECK(plan.chosen().estimate[kMemory] == static_cast<double>(measured.memory_bytes));
        for (std::size_t other = 0; other < p; ++other) CHECK(!same_types(plan, (*plans)[other]));
    }
}

TEST_CASE("a plan that measures better than all others is shipped, whatever was expected", "[decide]")
{
    Case c;
    c.estimate();
    c.request.weights = *parse_weights("0.3,0.1,0.6");
    const auto plans = make_candidates(c.profile, c.sensitivity, c.request);
    REQUIRE(plans);
    for (const Plan& best : *plans) {
        const auto shipped = c.run([&](const Plan& plan) {
            Measurement model = Case::sum(best);
            if (!same_types(plan, best)) model.quality.kld *= 3;
            return model;
        });
        CHECK(same_types(shipped.attempt().plan, best));
    }
}

TEST_CASE("a machine that is slower than when the profile was made is no wrong prediction", "[decide]")
{
    Case c;
    const auto steady = c.run(Case::sum);
    const auto slower = c.run(Case::sum, 1.7);
    CHECK(same_types(slower.attempt().plan, steady.attempt().plan));
    CHECK(slower.attempts.size() == steady.attempts.size());
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
    const auto shipped = c.run(truth);
    CHECK(shipped.ship.attempt > 0);
    CHECK(shipped.attempt().measurement.quality.kld <= 0.05);
    CHECK(shipped.ship.limits_kept);
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
    CHECK(!c.run(truth).ship.limits_kept);
}

TEST_CASE("a uniform type that measures better than every mix is shipped, with its own fallbacks", "[decide]")
{
    Case c;
    for (UniformVariant& type : c.profile.model.types)
        type.fallbacks = {{"blk.0.ffn", "blk.0.ffn_up.weight", type.type, "q5_0"}};
    const auto shipped = c.run([](const Plan& plan) {
        Measurement model = Case::sum(plan);
        if (attempt_name(plan, 0).starts_with("all ")) return model;
        model.memory_bytes += 500;
        model.speed.latency_ms.median += 3;
        model.quality.kld += 0.1;
        return model;
    });
    const Plan& plan = shipped.attempt().plan;
    REQUIRE(attempt_name(plan, 0).starts_with("all "));
    REQUIRE(plan.fallbacks.size() == 1);
    CHECK(plan.fallbacks.front().wanted == plan.allocation.front().type);
    std::size_t counted = 0;
    for (const std::size_t count : plan.chosen().counts) counted += count;
    CHECK(counted == plan.allocation.size());
}

TEST_CASE("what is shipped is better than a rival in everything, where that can be had", "[decide]")
{
    Case c;
    c.request.weights = *parse_weights("accuracy=1");
    c.rivals = {Case::uniform({.name = "Q4_K_M", .bits = 4.8, .bytes = 1810, .latency = 2.6, .kld = 0.018})};
    const auto shipped = c.run(Case::sum);
    CHECK(shipped.ship.limits_kept);
    const Contest won = contest(shipped.attempt().measurement, c.rivals.front(), c.profile.model.reference);
    CHECK(won.won());
    CHECK(won.divergence < 0.9);
    CHECK(won.memory > 0.9);                                                   // nothing is given away
    CHECK(shipped.attempt().plan.request.limits.most[kMemory] == kUnlimited);  // it was not asked for
    CHECK(!shipped.attempt().plan.request.nearest);
}

TEST_CASE("where a rival cannot be beaten, what comes nearest is shipped and said to be no better", "[decide]")
{
    Case c;
    c.request.weights = *parse_weights("accuracy=1");
    c.rivals = {Case::uniform({.name = "magic", .bits = 4.8, .bytes = 1500, .latency = 2.6, .kld = 0.001})};
    const auto shipped = c.run(Case::sum);
    CHECK(!shipped.ship.limits_kept);
    const double shortfall = contest(shipped.attempt().measurement, c.rivals.front(), c.profile.model.reference).shortfall();
    CHECK(shortfall > 1);
    CHECK(contest(shipped.attempt().measurement, c.rivals.front(), c.profile.model.reference)
              .no_larger());  // what is exact is kept
    for (const Attempt& attempt : shipped.attempts) {
        const Contest other = contest(attempt.measurement, c.rivals.front(), c.profile.model.reference);
        CHECK((!other.no_larger() || other.shortfall() >= shortfall));
    }
    CHECK(shipped.ship.because.contains("nearest"));
}

TEST_CASE("an attempt is compared with a rival in its own rounds", "[decide]")
{
    Session session{.attempts = {},
                    .rivals = {Case::uniform({.name = "Q4_K_M", .bits = 4.8, .bytes = 1810, .latency = 2, .kld = 0.02})}};
    Attempt attempt{.plan = {},
                    .measurement = Case::uniform({.name = "", .bits = 4.8, .bytes = 1800, .latency = 3, .kld = 0.01})};
    CHECK(!contest(attempt, session, 0).no_slower());
    attempt.beside = {{.latency_ms = {.median = 4}}};
    CHECK(contest(attempt, session, 0).won());
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
        Session session{.attempts = {}, .reference = {.perplexity = 10}};
        for (std::size_t a = 0; a < kMostAttempts; ++a) {
            auto plan = make_front_plan(c.profile, c.sensitivity, c.request);
            REQUIRE(plan);
            Measurement measured = Case::sum(*plan);
            measured.memory_bytes = static_cast<std::uint64_t>(static_cast<double>(measured.memory_bytes) * factor());
            measured.speed.latency_ms.median *= factor();
            measured.quality.kld *= factor();
            session.attempts.push_back({std::move(*plan), measured});
        }
        const auto decision = refine(c.profile, c.sensitivity, c.request, session);
        REQUIRE(decision);
        const auto* ship = std::get_if<Ship>(&*decision);
        REQUIRE(ship != nullptr);
        const Costs shipped = columns_of(metrics_of(session.attempts[ship->attempt].measurement), front_objectives());
        for (const Attempt& attempt : session.attempts)
            CHECK(!dominates(columns_of(metrics_of(attempt.measurement), front_objectives()), shipped));
    }
}

}  // namespace
}  // namespace apreqel
