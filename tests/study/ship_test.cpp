// What `run` ships, in worlds where mixes measure as predicted and in others. Without libllama.
#include "base/file.h"
#include "support/lab.h"
#include "support/recorder.h"

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

bool is_uniform(const Plan& plan) { return attempt_name(plan, 0).starts_with("all "); }

TEST_CASE("the best of what was built is shipped, and only that stays on the disk", "[study][fake]")
{
    Lab lab;
    const Shipped shipped = ship(lab, front_request());
    CHECK(shipped.result.limits_kept);
    CHECK(shipped.result.tried.size() + 1 <= kMostAttempts);
    CHECK(!shipped.result.tried.empty());
    CHECK(read_inventory(lab.folder / "mixed.gguf")->size_bytes() == shipped.result.mix.memory_bytes);
    const double best = measured_closeness(shipped.result.plan, metrics_of(shipped.result.mix));
    for (const TriedModel& tried : shipped.result.tried) {
        CHECK(measured_closeness(shipped.result.plan, metrics_of(tried.measured)) < best + 0.01);
        CHECK(tried.predicted[kMemory] == static_cast<double>(tried.measured.memory_bytes));
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(lab.folder / "workspace")) {
        CAPTURE(entry.path());
        CHECK(!entry.path().string().contains("/mixes/"));
        CHECK(!entry.path().string().contains("/shapes/"));
    }
}

TEST_CASE("the types of the KV cache are chosen with those of the layers, and measured", "[study][fake]")
{
    Lab lab;
    lab.settings.mix_cache = true;
    lab.settings.context = 20'000;
    lab.settings.speed.depth = 100;
    PlanRequest request = front_request();
    request.weights = *parse_weights("accuracy=1");
    request.limits.context = {.tokens = 20'000, .cache_bytes = 40'000, .buffer_bytes = 10, .cache_is_chosen = true};
    // The usual KV cache alone would take what there is.
    request.limits.most[kMemory] = 44'000;
    const Shipped shipped = ship(lab, request);
    CHECK(shipped.result.limits_kept);
    const auto& cache = shipped.result.plan.chosen().cache;
    REQUIRE(cache);
    CHECK(cache->types.keys == "q8_0");  // in fewer bits it is no smaller here
    REQUIRE(shipped.result.mix.cache);
    CHECK(shipped.result.mix.cache->types == cache->types);
    CHECK(shipped.result.mix.bytes() + 10 <= 44'000);
    CHECK(shipped.result.mix.memory_bytes == read_inventory(lab.folder / "mixed.gguf")->size_bytes());
    CHECK(shipped.result.reference.cache->types == CacheTypes{});
    const Metrics& expected = shipped.result.plan.chosen().estimate;
    CHECK(metrics_of(shipped.result.mix)[kMemory] == expected[kMemory]);
    CHECK(std::abs(metrics_of(shipped.result.mix)[kDivergence] / expected[kDivergence] - 1) < 0.05);
    CHECK(std::abs(metrics_of(shipped.result.mix)[kLatency] / expected[kLatency] - 1) < 0.05);
}

TEST_CASE("one run of the text gives the importance matrix and what error feedback needs", "[study][fake]")
{
    Lab lab;
    std::string words;
    for (int i = 0; i < 12'000; ++i) words += std::format("word{} ", i % 700);
    REQUIRE(write_text(lab.settings.calibration, words));
    const auto collect = [&] {
        lab.runtime->start_again();
        Study study = lab.study();
        REQUIRE(use_own_hessian(study, true));
        CHECK(!study.inventory.hessian.empty());
        return study.inventory.importance;
    };
    const std::string importance = collect();
    CHECK(!importance.empty());
    CHECK(lab.runtime->done("moments") == 1);
    CHECK(lab.runtime->done("collect") == 0);
    CHECK(collect() == importance);
    CHECK(lab.runtime->done("moments") + lab.runtime->done("collect") == 0);
    // What is lost of the two is collected again, and is the same.
    for (const auto& entry : std::filesystem::directory_iterator(lab.folder / "workspace"))
        if (entry.path().filename().string().starts_with("imatrix-")) std::filesystem::remove(entry.path());
    CHECK(collect() == importance);
    CHECK(lab.runtime->done("collect") == 1);
}

TEST_CASE("what types of KV cache cost is kept, and those that the model cannot have are left out", "[study][fake]")
{
    Lab lab;
    lab.settings.context = 1000;
    lab.runtime->world.impossible_cache = "q5_1";
    const auto cache = cache_profile(lab.study());
    REQUIRE(cache);
    CHECK(cache->keys.front().type == kCacheType);
    CHECK(cache->keys.front().bytes == 2000);
    CHECK(cache->keys.size() == 6);
    CHECK(!std::ranges::contains(cache->values, "q5_1", &CacheCost::type));
    for (std::size_t k = 1; k < cache->keys.size(); ++k) CHECK(cache->keys[k].kld > 0);
    lab.runtime->start_again();
    const auto again = cache_profile(lab.study());
    REQUIRE(again);
    CHECK(to_json(*again) == to_json(*cache));
    CHECK(lab.runtime->done("probe") + lab.runtime->done("speed") + lab.runtime->done("record") == 0);
}

TEST_CASE("where every mix measures worse than predicted, a uniform type is shipped", "[study][fake]")
{
    Lab lab;
    lab.runtime->world.mixed_latency = 4;
    lab.runtime->world.mixed_divergence = 4;
    const Shipped shipped = ship(lab, front_request());
    CHECK(is_uniform(shipped.result.plan));
    CHECK(!shipped.result.tried.empty());
    CHECK(shipped.result.tried.size() + 1 <= kMostAttempts);
    const auto written = read_inventory(lab.folder / "mixed.gguf");
    REQUIRE(written);
    CHECK(written->size_bytes() == shipped.result.mix.memory_bytes);
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
    CHECK(!is_uniform(predicted.result.plan));
    CHECK(predicted.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 1.012;  // a little: another mix is within it
    const Shipped slower = ship(lab, request);
    CHECK(slower.result.limits_kept);
    CHECK(slower.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 4;
    CHECK(!ship(lab, request).result.limits_kept);
}

TEST_CASE("a run that has a time writes the best it found when it is stopped, as soon as it found any", "[study][fake]")
{
    Lab lab;
    REQUIRE(run(lab.study("whole"), front_request(), kProbing, lab.folder / "whole.gguf", {.minutes = 60}));
    const std::size_t calls = lab.runtime->calls.size();
    bool any = false;
    for (std::size_t n = 1; n <= calls; ++n) {
        lab.runtime->start_again();
        lab.runtime->faults.stop_at = n;
        const auto output = lab.folder / std::format("{}.gguf", n);
        const auto stopped = run(lab.study(std::to_string(n)), front_request(), kProbing, output, {.minutes = 60});
        INFO("call " << n);
        CHECK(std::filesystem::exists(output) == stopped.has_value());
        CHECK(stopped.has_value() >= any);  // what was found is not lost
        any = stopped.has_value();
        if (stopped) {
            CHECK(read_inventory(output)->size_bytes() == stopped->mix.memory_bytes);
        } else {
            CHECK(stopped.error().code == ErrorCode::interrupted);
        }
    }
    CHECK(any);
}

TEST_CASE("energy is measured in the rounds of the latency and limited, where it is asked for and can be", "[study][fake]")
{
    Lab lab;
    CHECK(ship(lab, front_request()).result.mix.speed.energy.joules.samples.empty());
    PlanRequest request = front_request();
    request.weights = *parse_weights("accuracy=1");
    request.limits.most[kEnergy] = 1;
    const auto unasked = run(lab.study(), request, kProbing, lab.folder / "mixed.gguf");
    REQUIRE(!unasked);
    CHECK(unasked.error().message.contains("--energy"));

    lab.settings.speed.energy = true;
    const auto profiled = outlook(lab.study());
    REQUIRE(profiled);
    const std::vector<Metrics> types = type_metrics(*profiled);
    request.limits.most[kEnergy] = (types[0][kEnergy] + types[1][kEnergy]) / 2;
    const Shipped shipped = ship(lab, request);
    CHECK(shipped.result.limits_kept);
    CHECK(!is_uniform(shipped.result.plan));
    CHECK(shipped.result.mix.speed.energy.joules.samples.size() == shipped.result.mix.speed.latency_ms.samples.size());
    CHECK(shipped.result.mix.speed.energy.joules.median <= request.limits.most[kEnergy]);
    CHECK(parse_run(to_json(shipped.result))->mix.speed.energy.source == "fake");

    lab.runtime->world.counts_energy = false;
    lab.runtime->start_again();
    const auto blind = run(lab.study("blind"), request, kProbing, lab.folder / "mixed.gguf");
    REQUIRE(!blind);
    CHECK(blind.error().message == "energy: nothing on this machine tells it");
    CHECK(lab.runtime->calls.empty());
}

TEST_CASE("a rival is measured beside the plans, and beaten where it can be", "[study][fake]")
{
    Lab lab;
    PlanRequest request = front_request();
    request.weights = *parse_weights("accuracy=1");
    const auto output = lab.folder / "mixed.gguf";
    const auto result = run(lab.study(), request, kProbing, output, {.rivals = {"Q4_0"}});
    if (!result) FAIL(result.error().message);
    REQUIRE(result->rivals.size() == 1);
    CHECK(result->rivals.front().name == "Q4_0");
    CHECK(result->rivals.front().quality.kld > 0);
    CHECK(result->rivals.front().speed.latency_ms.samples.size() == result->mix.speed.latency_ms.samples.size());
    CHECK(result->limits_kept == contest(result->mix, result->rivals.front(), result->reference.quality).won());
    CHECK(parse_run(to_json(*result))->rivals.front().memory_bytes == result->rivals.front().memory_bytes);
    CHECK(std::ranges::contains(result->plan.types, "as-Q4_0"));  // its layers are among the choices
    for (const auto& entry : std::filesystem::directory_iterator(lab.folder / "workspace/rivals"))
        CHECK((entry.path().extension() == ".json" || entry.path().string().contains(".shape")));  // the file is gone

    lab.runtime->start_again();  // what is known of it is not measured again
    REQUIRE(run(lab.study(), request, kProbing, output, {.rivals = {"q4_0"}}));
    CHECK(lab.runtime->done("stock") == 1);  // but its file is made again, to be timed beside the output
    CHECK(lab.runtime->done("evaluate Q4_0") == 0);

    const auto same = run(lab.study(), request, kProbing, lab.folder / "other.gguf", {.rivals = {output.string()}});
    REQUIRE(same);
    CHECK(std::ranges::contains(same->plan.types, "as-mixed"));
    CHECK(!same->limits_kept);  // nothing is closer than itself
    CHECK(same->mix.memory_bytes <= result->mix.memory_bytes);
}

TEST_CASE("candidates are told apart by a first look, and what is shipped is measured on the whole text", "[study][fake]")
{
    Lab lab;
    lab.settings.quality = {.context = 16, .chunks = 16, .kld_chunks = 16};
    const PlanRequest request = front_request();
    const auto output = lab.folder / "mixed.gguf";
    for (const std::vector<std::string>& rivals : {std::vector<std::string>{"Q4_0"}, {}}) {
        const auto result = run(lab.study(), request, kProbing, output, {.rivals = rivals});
        if (!result) FAIL(result.error().message);
        CHECK(result->mix.quality.tokens == result->reference.quality.tokens);
        CHECK(result->mix.quality.kld_tokens == result->reference.quality.tokens);
        REQUIRE(!result->tried.empty());
        std::size_t looks = 0;
        for (const TriedModel& tried : result->tried) {
            if (tried.measured.quality.tokens == result->reference.quality.tokens) continue;
            CHECK(tried.measured.quality.chunk_kld.size() == 4);
            CHECK(tried.measured.quality.kld > 0);
            ++looks;
        }
        CHECK(looks > 0);

        lab.runtime->start_again();  // what is known is not looked at again, nor measured
        const auto again = run(lab.study(), request, kProbing, output, {.rivals = rivals});
        REQUIRE(again);
        CHECK(lab.runtime->done("evaluate") == 0);
        CHECK(again->mix.quality.kld == result->mix.quality.kld);
        CHECK(again->tried.size() == result->tried.size());
    }
}

TEST_CASE("nothing is taken from rivals where types are named", "[study][fake]")
{
    Lab lab;
    const auto result =
        run(lab.study(), front_request(), kProbing, lab.folder / "mixed.gguf", {.rivals = {"Q4_0"}, .take_from_rivals = false});
    REQUIRE(result);
    CHECK(std::ranges::none_of(result->plan.types, [](const std::string& type) { return type.starts_with("as-"); }));
}

TEST_CASE("a rival that cannot be had is an error if it was asked for, and else left out", "[study][fake]")
{
    Lab lab;
    const auto output = lab.folder / "mixed.gguf";
    CHECK(run(lab.study(), front_request(), kProbing, output, {.rivals = {"Q4_9"}}).error().code == ErrorCode::usage);
    CHECK(lab.runtime->calls.empty());
    // The world of this test makes no file types of several types.
    CHECK(!run(lab.study(), front_request(), kProbing, output, {.rivals = {"Q4_K_M"}}));
    CHECK(!std::filesystem::exists(output));
    const auto without = run(lab.study(), front_request(), kProbing, output, {.rivals = {"Q4_K_M"}, .asked_for_rivals = false});
    REQUIRE(without);
    CHECK(without->rivals.empty());
    const auto stranger = make_tiny_model(lab.folder.path(), {.blocks = 1, .width = 64, .type = 0, .file = "stranger.gguf"});
    const auto refused = run(lab.study(), front_request(), kProbing, output, {.rivals = {stranger.string()}});
    REQUIRE(!refused);
    CHECK(refused.error().message.contains("no quantization of"));
}

TEST_CASE("a machine that slows down after the profile does not make a plan look wrong", "[study][fake]")
{
    Lab lab;
    const Shipped steady = ship(lab, front_request());
    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->start_again();
    REQUIRE(outlook(lab.study()));
    lab.runtime->start_again();
    lab.runtime->faults.slow_from = 1;
    const auto slowed = run(lab.study(), front_request(), kProbing, lab.folder / "mixed.gguf");
    REQUIRE(slowed);
    CHECK(slowed->mix.speed.latency_ms.median > 1.9 * steady.result.mix.speed.latency_ms.median);
    CHECK(std::ranges::equal(slowed->plan.allocation, steady.result.plan.allocation, {}, &GroupType::type, &GroupType::type));
}

TEST_CASE("rounds beside a rival on a machine that is busy are run again", "[study][fake]")
{
    Lab lab;
    const auto beat = [&](const std::string& workspace, Monitor& monitor) {
        const Study study = lab.study(workspace);
        const Study watched{study.inventory, study.workspace, study.settings, monitor, study.runtime, study.lock};
        return run(watched, front_request(), kProbing, lab.folder / "mixed.gguf", {.rivals = {"Q4_0"}});
    };
    Recorder steady;
    const auto quiet = beat("quiet", steady);
    REQUIRE(quiet);
    CHECK(std::ranges::none_of(steady.warnings, [](const std::string& said) { return said.contains("busy"); }));
    const std::vector<std::string> calls = lab.runtime->calls;
    const std::size_t rounds = lab.runtime->done("speed");
    const auto last = std::ranges::find_last_if(calls, [](const std::string& call) { return call.starts_with("speed"); });

    lab.runtime->start_again();
    lab.runtime->faults.slow_from = lab.runtime->faults.slow_to = calls.size() - last.size() + 1;
    Recorder disturbed;
    const auto busy = beat("busy", disturbed);
    REQUIRE(busy);
    CHECK(lab.runtime->done("speed") == rounds + 1);
    CHECK(std::ranges::contains(disturbed.warnings,
                                "Q4_0 took 2.0 times as long as before: the machine is busy, so that is timed again"));
    CHECK(busy->mix.speed.latency_ms.median == quiet->mix.speed.latency_ms.median);
    CHECK(busy->rivals.front().speed.latency_ms.median == quiet->rivals.front().speed.latency_ms.median);
}

}  // namespace
}  // namespace apreqel
