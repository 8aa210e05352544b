#include "records/random_records.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

/// `record` survives being written and read.
template <typename Record, typename Parse>
void check_round_trip(const Record& record, Parse parse)
{
    const std::string written = to_json(record);
    const auto read = parse(written);
    INFO(written);
    INFO((read ? "" : read.error().message));
    REQUIRE(read);
    CHECK(to_json(*read) == written);
}

TEST_CASE("every record is read back as it was written", "[records]")
{
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        RandomRecords random(seed);
        const Scores scores = random.scores(1 + seed % 5);
        const Profile profile = random.profile(1 + seed % 5);
        check_round_trip(scores, parse_scores);
        check_round_trip(profile, parse_profile);
        check_round_trip(profile.model, parse_model_profile);
        check_round_trip(profile.device, parse_device_profile);
        if (profile.cache) check_round_trip(*profile.cache, parse_cache_profile);
        check_round_trip(random.sensitivity(profile), parse_sensitivity);
        check_round_trip(SensitivityShard{.key = "model m",
                                          .share = {.number = 2, .count = 3},
                                          .round = 2,
                                          .context = 64,
                                          .choices = 1,
                                          .probes = random.sensitivity(profile)},
                         parse_shard);
        check_round_trip(random.plan(profile), parse_plan);
        check_round_trip(random.layout(), parse_layout);
        check_round_trip(random.run(profile), parse_run);
        check_round_trip(random.quality(), parse_quality);
        check_round_trip(std::vector{random.speed(), random.speed()}, parse_speeds);
        check_round_trip(random.evaluation(profile, scores),
                         [&](std::string_view text) { return parse_evaluation(text, profile, scores); });
    }
}

TEST_CASE("what is read is what was meant", "[records]")
{
    RandomRecords random(7);
    const Profile profile = random.profile(4);
    const Plan plan = random.plan(profile);
    const auto read = parse_plan(to_json(plan));
    REQUIRE(read);
    CHECK(read->types == plan.types);
    CHECK(read->costs.size() == plan.costs.size());
    CHECK(read->costs.front()[kPerplexity] == plan.costs.front()[kPerplexity]);
    CHECK(read->request.weights == plan.request.weights);
    CHECK(read->request.limits.most == plan.request.limits.most);
    CHECK(read->request.limits.context == plan.request.limits.context);
    CHECK(read->objectives == plan.objectives);
    CHECK(read->ranking.scale.norm == plan.ranking.scale.norm);
    CHECK(read->ranking.scale.ideal == plan.ranking.scale.ideal);
    CHECK(read->ranking.best.size() == plan.ranking.best.size());
    CHECK(read->chosen().counts == plan.chosen().counts);
    CHECK(read->chosen().estimate[kDivergence] == plan.chosen().estimate[kDivergence]);
    const Sensitivity sensitivity = random.sensitivity(profile);
    const auto sensed = parse_sensitivity(to_json(sensitivity));
    REQUIRE(sensed);
    CHECK(sensed->fixed_bytes == sensitivity.fixed_bytes);
    CHECK(sensed->groups.back().parameters == sensitivity.groups.back().parameters);
    CHECK(sensed->groups.back().probes.back().kld == sensitivity.groups.back().probes.back().kld);
    CHECK(sensed->separability.worst_factor == sensitivity.separability.worst_factor);
    const Speed speed = random.speed();
    const auto speeds = parse_speeds(to_json(std::vector{speed}));
    REQUIRE(speeds);
    CHECK(speeds->front().latency_ms.samples == speed.latency_ms.samples);
    CHECK(speeds->front().latency_ms.low == speed.latency_ms.low);
}

TEST_CASE("a plan that says no more than its allocation is written as such", "[records]")
{
    Plan plan;
    plan.allocation = {{"blk.0.attn", "q4_K"}};
    const auto read = parse_plan(to_json(plan));
    REQUIRE(read);
    CHECK(read->ranking.best.empty());
    CHECK(read->allocation.front().type == "q4_K");
}

}  // namespace
}  // namespace apreqel
