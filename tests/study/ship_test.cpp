// What `run` ships, in worlds where mixes measure as predicted and in others. Without libllama.
#include "support/lab.h"

#include <apreqel/refine.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

TEST_CASE("probes predict what files measure, in a world where they add up", "[study][fake]")
{
    Lab lab;
    const Study study = lab.study();
    const auto sensitivity = sense(study, kProbing);
    const auto profiled = profile(study);
    REQUIRE((sensitivity && profiled));
    for (std::size_t q = 0; q < 3; ++q) {
        double sum = 0;
        for (const GroupSensitivity& group : sensitivity->groups) sum += group.probes[group.fixed_type.empty() ? q : 2].kld;
        CHECK(std::abs(sum / profiled->model.types[q].quality.kld - 1) < 1e-5);
    }
}

/// What the front method ships in a world where mixes are not as their parts say.
struct Shipped {
    RunResult result;
    std::size_t speeds;  ///< rounds of latency
};

Shipped ship(Lab& lab, const PlanRequest& request)
{
    lab.runtime->start_again();
    auto result = run(lab.study(), request, kProbing, lab.folder / "mixed.gguf");
    if (!result) FAIL(result.error().message);
    return {std::move(*result), lab.runtime->done("speed")};
}

TEST_CASE("a plan that measures as predicted is shipped at once", "[study][fake]")
{
    Lab lab;
    const Shipped shipped = ship(lab, front_request());
    CHECK(shipped.result.tried.empty());
    CHECK(shipped.result.instead.empty());
    CHECK(shipped.result.limits_kept);
    CHECK(shipped.speeds == 2);  // of the profile and of the mix
    CHECK(read_inventory(lab.folder / "mixed.gguf")->size_bytes() == shipped.result.mix.memory_bytes);
}

TEST_CASE("where every mix measures worse than predicted, others are tried and a uniform type is shipped", "[study][fake]")
{
    Lab lab;
    lab.runtime->world.mixed_latency = 4;
    lab.runtime->world.mixed_divergence = 4;
    const Shipped shipped = ship(lab, front_request());
    CHECK(!shipped.result.instead.empty());
    CHECK(!shipped.result.tried.empty());
    CHECK(shipped.result.tried.size() <= kMostAttempts);
    CHECK(shipped.speeds == 1 + shipped.result.tried.size());
    for (const GroupType& entry : shipped.result.plan.allocation) CHECK(entry.type == shipped.result.instead);
    // The file is that type's variant, but for what it says of its making.
    const auto written = read_inventory(lab.folder / "mixed.gguf");
    REQUIRE(written);
    const auto uniform = std::ranges::find(shipped.result.uniform, shipped.result.instead, &Measurement::name);
    REQUIRE(uniform != shipped.result.uniform.end());
    CHECK(written->size_bytes() == uniform->memory_bytes);
}

TEST_CASE("a limit that a plan breaks when it is measured is kept by what is shipped, or said to be broken", "[study][fake]")
{
    Lab lab;
    const auto profiled = profile(lab.study());
    REQUIRE(profiled);
    const std::vector<Metrics> types = type_metrics(*profiled);
    PlanRequest request = front_request();
    // Slower than the fastest type and faster than the next; better than the fastest one: only a mix can be both.
    request.limits.most[kLatency] = (types[0][kLatency] + 3 * types[1][kLatency]) / 4;
    request.limits.most[kDivergence] = types[0][kDivergence] * 0.95;
    const Shipped predicted = ship(lab, request);
    CHECK(predicted.result.limits_kept);
    CHECK(predicted.result.instead.empty());
    CHECK(predicted.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 1.012;  // a little: another mix is within it
    const Shipped slower = ship(lab, request);
    CHECK(!slower.result.tried.empty());
    CHECK(slower.result.tried.front().speed.latency_ms.median > request.limits.most[kLatency]);
    CHECK(slower.result.limits_kept);
    CHECK(slower.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 4;
    CHECK(!ship(lab, request).result.limits_kept);
}

TEST_CASE("a machine that slows down after the profile does not make a plan look wrong", "[study][fake]")
{
    Lab lab;
    const Shipped steady = ship(lab, front_request());
    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->start_again();
    REQUIRE(profile(lab.study()));
    lab.runtime->start_again();
    lab.runtime->faults.slow_from = 1;
    const auto slowed = run(lab.study(), front_request(), kProbing, lab.folder / "mixed.gguf");
    REQUIRE(slowed);
    CHECK(slowed->tried.empty());
    CHECK(slowed->mix.speed.latency_ms.median > 1.9 * steady.result.mix.speed.latency_ms.median);
    CHECK(std::ranges::equal(slowed->plan.allocation, steady.result.plan.allocation, {}, &GroupType::type, &GroupType::type));
}

}  // namespace
}  // namespace apreqel
