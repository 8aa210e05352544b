// What is known of a model's types before anything is quantized.
#include "base/file.h"
#include "study/forecast.h"
#include "support/lab.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

std::size_t files_in(const std::filesystem::path& folder)
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

Profile outlook_of(Lab& lab)
{
    auto profile = outlook(lab.study());
    if (!profile) FAIL(profile.error().message);
    return std::move(*profile);
}

TEST_CASE("an outlook has the memory and the speed of the real variants, and builds none", "[study][fake]")
{
    Lab lab(false);
    lab.runtime->world.noise = 0;
    const Profile shapes = outlook_of(lab);
    CHECK(lab.runtime->calls == std::vector<std::string>{"speed of 1.gguf"});
    CHECK(files_in(lab.folder / "workspace" / "variants") == 0);
    CHECK(files_in(lab.folder / "workspace" / "shapes") == 0);
    lab.settings.mixes = Mixes::none;
    const auto real = profile(lab.study());
    REQUIRE(real);
    REQUIRE(shapes.model.types.size() == real->model.types.size());
    for (std::size_t v = 0; v < real->model.types.size(); ++v) {
        const UniformVariant& shape = shapes.model.types[v];
        const UniformVariant& built = real->model.types[v];
        CHECK(shape.type == built.type);
        CHECK(shape.memory_bytes == built.memory_bytes);
        CHECK(shape.bits_per_weight == built.bits_per_weight);
        CHECK(shape.file_bits_per_weight == built.file_bits_per_weight);
        CHECK(shape.quality.perplexity == 0);
        CHECK(shapes.device.models[v].speed.latency_ms.median == real->device.models[v].speed.latency_ms.median);
    }
}

TEST_CASE("a profile tells the memory of the context that is asked for, of which no time depends", "[study][fake]")
{
    Lab lab(false);
    CHECK(outlook_of(lab).device.context == ContextMemory{});
    lab.settings.context = 100;
    const ContextMemory wanted{.tokens = 100, .cache_bytes = 200, .buffer_bytes = 10};
    CHECK(outlook_of(lab).device.context == wanted);
    CHECK(lab.runtime->done("speed") == 1);
    CHECK(read_profile(lab.folder / "workspace" / "profile.json")->device.context == wanted);
    lab.settings.run.cache.keys = "q8_0";  // other times
    CHECK(outlook_of(lab).device.context ==
          ContextMemory{.tokens = 100, .cache_type_k = "q8_0", .cache_bytes = 100, .buffer_bytes = 10});
    CHECK(lab.runtime->done("speed") == 2);
    const auto whole = profile(lab.study());
    REQUIRE(whole);
    CHECK(whole->device.context.cache_bytes == 100);
    // A context that cannot be made is told before anything is timed.
    lab.runtime->start_again();
    lab.runtime->faults.fail_at = 1;
    lab.settings.speed.repetitions = 9;
    CHECK(!outlook(lab.study()));
    CHECK(lab.runtime->calls == std::vector<std::string>{"context"});
}

TEST_CASE("the mixes of an outlook are timed as the mixed models are, and are hardly more than the types", "[study][fake]")
{
    Lab lab(false);
    lab.runtime->world.noise = 0;
    lab.settings.mixes = GENERATE(Mixes::layers, Mixes::with_embedding);
    const Profile shapes = outlook_of(lab);
    const std::size_t types = lab.settings.types.size();
    CHECK(shapes.device.models.size() > 2 * types - 1);
    CHECK(shapes.device.models.size() <= 2 * types + 1);
    const auto real = profile(lab.study());
    REQUIRE(real);
    for (const TimedModel& mix : shapes.device.models) {
        const auto same = std::ranges::find_if(real->device.models, [&](const TimedModel& other) {
            return std::ranges::equal(mix.allocation, other.allocation,
                                      [](const GroupType& left, const GroupType& right) {
                                          return left.group == right.group && left.type == right.type;
                                      }) &&
                   (!mix.allocation.empty() || mix.name == other.name);
        });
        REQUIRE(same != real->device.models.end());
        CHECK(same->speed.latency_ms.median == mix.speed.latency_ms.median);
    }
}

TEST_CASE("an outlook is kept, and timed again when types, mixes, settings or device are others", "[study][fake]")
{
    Lab lab(false);
    const auto timed = [&] {
        lab.runtime->start_again();
        outlook_of(lab);
        return lab.runtime->done("speed");
    };
    const std::string first = to_json(outlook_of(lab));
    CHECK(timed() == 0);
    CHECK(to_json(outlook_of(lab)) == first);
    lab.settings.mixes = Mixes::layers;
    CHECK(timed() == 1);
    lab.settings.types.pop_back();
    CHECK(timed() == 1);
    lab.settings.speed.prompt = 0;
    CHECK(timed() == 1);
    lab.runtime->here.machine = "another";
    CHECK(timed() == 1);
    CHECK(timed() == 0);
    lab.settings.remeasure = true;
    CHECK(timed() == 1);
}

TEST_CASE("an outlook takes as many rounds as its noise asks for", "[study][fake]")
{
    Lab lab(false);
    lab.settings.speed.repetitions = 30;
    lab.runtime->world.noise = 0.001;
    outlook_of(lab);
    CHECK(lab.runtime->rounds == 6);
    lab.runtime->world.noise = 0.5;
    lab.settings.remeasure = true;
    outlook_of(lab);
    CHECK(lab.runtime->rounds == 30);
}

TEST_CASE("an outlook that fails or is stopped leaves no shape behind, and goes on", "[study][fake]")
{
    Lab lab(false);
    const bool stop = GENERATE(false, true);
    (stop ? lab.runtime->faults.stop_at : lab.runtime->faults.fail_at) = 1;
    CHECK(!outlook(lab.study()));
    CHECK(files_in(lab.folder / "workspace" / "shapes") == 0);
    lab.runtime->start_again();
    outlook_of(lab);
    CHECK(lab.runtime->done("speed") == 1);
}

TEST_CASE("a time that is no number is an error and is not kept", "[study][fake]")
{
    Lab lab(false);
    lab.runtime->faults.nan_at = 1;
    const auto nonsense = outlook(lab.study());
    REQUIRE(!nonsense);
    CHECK(nonsense.error().message.contains("not a finite number"));
    lab.runtime->start_again();
    outlook_of(lab);
    CHECK(lab.runtime->done("speed") == 1);
}

TEST_CASE("a plan is made from an outlook and a sensitivity, its perplexity unknown and its increase estimated",
          "[study][fake]")
{
    Lab lab;
    const Profile profile = parse_profile(to_json(outlook_of(lab))).value();
    CHECK(profile.model.types.front().quality.perplexity == 0);
    const auto sensitivity = sense(lab.study(), kProbing);
    REQUIRE(sensitivity);
    const auto plan = make_front_plan(profile, *sensitivity, front_request());
    REQUIRE(plan);
    const Metrics& estimate = plan->chosen().estimate;
    CHECK(std::isnan(estimate[kPerplexity]));
    CHECK(estimate[kDivergence] > 0);
    CHECK_THAT(estimate[kPerplexityIncrease], WithinRel(std::expm1(estimate[kDivergence]), 1e-12));
    const std::string json = to_json(*plan);
    CHECK(!json.contains("null"));
    CHECK(to_json(*parse_plan(json)) == json);
    const auto scores = score(lab.study());
    REQUIRE(scores);
    const auto refused = make_plan(profile, *scores, {.weights = *parse_weights("balanced")});
    REQUIRE(!refused);
    CHECK(refused.error().message.contains("has no perplexity"));
    CHECK(refused.error().hint.contains("profile"));
    const auto spread = make_spread(profile, *sensitivity, front_request(), {kUnknown, kUnknown, kUnknown}, 3);
    REQUIRE(spread);
    CHECK(!spread->empty());
}

/// What a monitor was told at the ends of steps.
class Outcomes : public Monitor {
public:
    void end(std::string_view outcome) override { said.emplace_back(outcome); }
    std::vector<std::string> said;
};

TEST_CASE("a forecast adds up what goes through the model, and is not made again", "[study][fake]")
{
    Lab lab;
    Study whole = lab.study();
    whole.settings.quality = {.context = 16, .chunks = 4, .kld_chunks = 4};
    Outcomes outcomes;
    const Study study{whole.inventory, whole.workspace, whole.settings, outcomes, whole.runtime, whole.lock};
    REQUIRE(forecast(study, {.minutes = 30, .rivals = {"Q4_0"}}, 1));
    REQUIRE(!outcomes.said.empty());
    const std::string said = outcomes.said.back();
    CAPTURE(said);
    // A token of the fake world takes 2 s in its form: 8,192 of importance, 20,000 × 1.25 of probes. Both texts are given.
    CHECK(said.starts_with(
        "importance 4.6 h, latencies 48 s, probes 13.9 h, full precision 2 min, rivals 2 min, 5 candidates 11 min"));
    CHECK(said.ends_with("in all about 18.7 h, of 30 min that there are"));
    outcomes.said.clear();
    CHECK(forecast(study, {}));  // too few weights to wait for
    write_text(study.workspace.path("sensitivity.json"), "{}").value();
    CHECK(forecast(study, {}, 1));
    CHECK(outcomes.said.empty());
}

}  // namespace
}  // namespace apreqel
