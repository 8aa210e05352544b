#include "runtime/speed.h"

#include "runtime/context.h"
#include "support/fake_sensors.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <atomic>

namespace apreqel {
namespace {

struct StopAfter : Monitor {
    explicit StopAfter(double steps) : left(steps) {}
    void advance(double) override { --left; }
    [[nodiscard]] bool stop_requested() const override { return left < 0; }
    double left;
};

TEST_CASE("every model is timed once per round", "[runtime]")
{
    Monitor monitor;
    const std::vector models{demo_model(), demo_model()};
    const auto speeds = measure_speed(models, {}, {.threads = 1}, {.repetitions = 3, .generated = 4, .prompt = 8}, monitor);
    REQUIRE(speeds);
    REQUIRE(speeds->size() == 2);
    for (const Speed& speed : *speeds) {
        CHECK(speed.latency_ms.samples.size() == 3);
        CHECK(speed.prompt_tokens_per_second.samples.size() == 3);
        CHECK(speed.latency_ms.low > 0);
        CHECK(speed.latency_ms.low <= speed.latency_ms.median);
        CHECK(speed.latency_ms.median <= speed.latency_ms.high);
    }
}

TEST_CASE("rounds end when every model is known as precisely as asked, but not before there are six", "[runtime]")
{
    Monitor monitor;
    const std::vector models{demo_model(), demo_model()};
    const auto rounds = [&](double precision, std::size_t most) {
        const SpeedSettings settings{.repetitions = most, .generated = 2, .prompt = 4, .precision = precision};
        const auto speeds = measure_speed(models, {}, {.threads = 1}, settings, monitor);
        REQUIRE(speeds);
        CHECK(speeds->front().prompt_tokens_per_second.samples.size() == speeds->front().latency_ms.samples.size());
        return speeds->front().latency_ms.samples.size();
    };
    CHECK(rounds(1e9, 9) == 6);
    CHECK(rounds(1e-12, 9) == 9);
    CHECK(rounds(1e9, 4) == 4);
    CHECK(rounds(0, 9) == 9);
}

TEST_CASE("a sample has as many tokens as its time allows, four at least and all at most", "[runtime]")
{
    struct Counter : Monitor {
        [[nodiscard]] bool stop_requested() const override { return ++asked < 0; }
        mutable std::atomic<int> asked = 0;
    };
    const auto asked = [](double sample_ms) {
        Counter monitor;
        const SpeedSettings settings{.repetitions = 2, .generated = 500, .prompt = 0, .sample_ms = sample_ms};
        REQUIRE(measure_speed(std::vector{demo_model()}, {}, {.threads = 1}, settings, monitor));
        return monitor.asked.load();  // at least once for each token
    };
    CHECK(asked(1e-9) * 10 < asked(1e9));
    CHECK(asked(1e9) >= 1000);
}

TEST_CASE("timing stops between models when asked", "[runtime]")
{
    StopAfter monitor(1);
    const std::vector models{demo_model()};
    const auto speeds = measure_speed(models, {}, {.threads = 1}, {.repetitions = 1000, .generated = 1, .prompt = 0}, monitor);
    REQUIRE(!speeds);
    CHECK(speeds.error().code == ErrorCode::interrupted);
}

/// Counts how often it is asked, and asks to stop from the `last` time on.
struct StopWhenAsked : Monitor {
    explicit StopWhenAsked(int from) : last(from) {}
    [[nodiscard]] bool stop_requested() const override { return ++asked >= last; }
    int last;
    mutable std::atomic<int> asked = 0;
};

TEST_CASE("timing stops within a round, and within a prompt, when asked", "[runtime]")
{
    const bool prompt = GENERATE(false, true);
    const SpeedSettings settings{.repetitions = 1, .generated = prompt ? 1UZ : 100'000UZ, .prompt = prompt ? 100'000UZ : 0UZ};
    StopWhenAsked monitor(500);  // the graph of one token has fewer steps, that of a prompt's first batch too
    const auto speeds = measure_speed(std::vector{demo_model()}, {}, {.threads = 1}, settings, monitor);
    REQUIRE(!speeds);
    CHECK(speeds.error().code == ErrorCode::interrupted);
    CHECK(monitor.asked <= 510);
}

TEST_CASE("a batch stops while it is computed when asked", "[runtime]")
{
    const auto model = LoadedModel::load(demo_model(), {.threads = 1});
    REQUIRE(model);
    StopWhenAsked monitor(20);
    const auto context = make_context(*model, context_params(*model), monitor);
    REQUIRE(context);
    Batch batch(2);
    for (std::size_t position = 0; position < 2; ++position) batch.add(1, position, 0, true);
    const auto decoded = batch.decode(*model, context->get());
    REQUIRE(!decoded);
    CHECK(decoded.error().code == ErrorCode::interrupted);
}

TEST_CASE("a prompt longer than libllama's batch is timed in pieces", "[runtime]")
{
    Monitor monitor;
    const auto speeds = measure_speed(std::vector{demo_model()}, {}, {.threads = 1},
                                      {.repetitions = 1, .generated = 1, .prompt = 2100}, monitor);
    REQUIRE(speeds);
    CHECK(speeds->front().prompt_tokens_per_second.median > 0);
    const auto too_long = measure_speed(std::vector{demo_model()}, {}, {}, {.prompt = 1UZ << 32}, monitor);
    REQUIRE(!too_long);
    CHECK(too_long.error().code == ErrorCode::usage);
}

TEST_CASE("tokens lie before those that are timed, in memory of any kind, and are computed once where they can be", "[runtime]")
{
    struct Counter : Monitor {
        [[nodiscard]] bool stop_requested() const override { return ++asked < 0; }
        mutable std::atomic<int> asked = 0;
    };
    const TempDir folder;
    const std::string architecture = GENERATE("llama", "gemma2", "mamba");
    CAPTURE(architecture);
    const auto model = make_tiny_model(folder.path(), {.architecture = architecture});
    const auto asked = [&](std::size_t models, std::size_t depth) {  // at every step of every graph
        Counter monitor;
        const SpeedSettings settings{.repetitions = 2, .generated = 2, .prompt = 8, .depth = depth};
        const auto speeds = measure_speed(std::vector(models, model), {}, {.threads = 1}, settings, monitor);
        REQUIRE(speeds);
        CHECK(speeds->back().latency_ms.samples.size() == 2);
        CHECK(speeds->back().latency_ms.low > 0);
        CHECK(speeds->back().prompt_tokens_per_second.low > 0);
        return monitor.asked.load();
    };
    constexpr std::size_t kDepth = 2100;  // two batches
    const int past = asked(1, kDepth) - asked(1, 0);
    CHECK(past > 0);
    if (architecture != "mamba") CHECK(2 * (asked(3, kDepth) - asked(3, 0)) < 3 * past);
    Monitor monitor;
    const auto too_deep = measure_speed(std::vector{model}, {}, {}, {.depth = (1UZ << 31) - 9}, monitor);
    REQUIRE(!too_deep);
    CHECK(too_deep.error().code == ErrorCode::usage);
}

TEST_CASE("a model is timed with several types of KV cache in the same rounds", "[runtime]")
{
    Monitor monitor;
    const std::vector models{demo_model(), demo_model()};
    const std::vector<CacheTypes> caches{{}, {.keys = "q8_0", .values = "q4_0"}};
    const SpeedSettings settings{.repetitions = 3, .generated = 2, .prompt = 4, .depth = 32};
    const auto speeds = measure_speed(models, caches, {.threads = 1}, settings, monitor);
    REQUIRE(speeds);
    for (const Speed& speed : *speeds) CHECK(speed.latency_ms.samples.size() == 3);
    const std::vector<CacheTypes> impossible{{}, {.keys = "q3_K"}};
    CHECK(!measure_speed(models, impossible, {.threads = 1}, settings, monitor));
}

TEST_CASE("what was measured is kept beside what the drift was taken out of", "[runtime]")
{
    Monitor monitor;
    const std::vector models{demo_model(), demo_model(), demo_model()};
    const auto speeds = measure_speed(models, {}, {.threads = 1}, {.repetitions = 4, .generated = 2, .prompt = 4}, monitor);
    REQUIRE(speeds);
    for (const Speed& speed : *speeds) {
        CHECK(speed.latency_ms.raw.size() == 4);
        CHECK(speed.latency_ms.raw != speed.latency_ms.samples);
        CHECK(speed.prompt_tokens_per_second.raw.size() == 4);
    }
}

TEST_CASE("the energy of a token is what was counted while it was generated, idle power stated beside it", "[runtime]")
{
    Monitor monitor;
    const std::vector models{demo_model(), demo_model()};
    const auto sensors = std::make_shared<FakeSensors>();
    add_zone(*sensors, "intel-rapl:0", "package-0", "0");
    double counted = 0;
    const auto count = [&](double microjoules) {
        counted += microjoules;
        sensors->files["class/powercap/intel-rapl:0/energy_uj"] = std::format("{:.0f}", counted);
    };
    sensors->on_wait = [&](double seconds) { count(2e6 * seconds); };
    sensors->on_look = [&] { count(8000); };  // once every time the meter is read
    SpeedSettings settings{.repetitions = 6, .generated = 4, .prompt = 8, .energy = true};
    const auto speeds = measure_speed(models, {}, {.threads = 1}, settings, monitor, sensors);
    REQUIRE(speeds);
    for (const Speed& speed : *speeds) {
        CHECK(speed.energy.source == "RAPL package-0");
        CHECK(speed.energy.idle_watts > 2);
        CHECK(speed.energy.joules.samples.size() == 6);
        for (const double sample : speed.energy.joules.raw) CHECK(std::abs(sample - 0.002) < 1e-9);
    }

    settings.energy = false;
    const auto without = measure_speed(models, {}, {.threads = 1}, settings, monitor, sensors);
    REQUIRE(without);
    CHECK(without->front().energy.joules.samples.empty());
    CHECK(without->front().energy.source.empty());
}

TEST_CASE("energy that cannot be measured is an error before anything is timed", "[runtime]")
{
    struct Watch : Monitor {
        void begin(std::string_view step, double) override { steps += step; }
        std::string steps;
    };
    Watch monitor;
    const SpeedSettings settings{.repetitions = 1, .generated = 4, .prompt = 0, .energy = true};
    const auto none = measure_speed(std::vector{demo_model()}, {}, {}, settings, monitor, std::make_shared<FakeSensors>());
    REQUIRE(!none);
    CHECK(none.error().message.contains("nothing on this machine tells it"));
    CHECK(monitor.steps.empty());
    CHECK(!check_energy({}, std::make_shared<FakeSensors>()));

    const auto sensors = std::make_shared<FakeSensors>();
    add_zone(*sensors, "intel-rapl:0", "package-0", "0");
    double counted = 0;
    sensors->on_wait = [&](double) {
        counted += 1000;
        sensors->files["class/powercap/intel-rapl:0/energy_uj"] = std::format("{:.0f}", counted);
    };
    CHECK(check_energy({}, sensors));
    const auto brief = measure_speed(std::vector{demo_model()}, {}, {.threads = 1}, settings, monitor, sensors);
    REQUIRE(!brief);
    CHECK(brief.error().message == "energy: RAPL package-0 tells nothing of 4 tokens: they take too short");
    CHECK(brief.error().hint.contains("--generate"));
}

TEST_CASE("a file that libllama cannot load is an error with its cause", "[runtime]")
{
    const auto model = LoadedModel::load("/nowhere.gguf", {});
    REQUIRE(!model);
    CHECK(model.error().message.contains("/nowhere.gguf"));
}

}  // namespace
}  // namespace apreqel
