#include "runtime/speed.h"

#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>

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
    const auto speeds = measure_speed(models, {.threads = 1}, {.repetitions = 3, .generated = 4, .prompt = 8}, monitor);
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

TEST_CASE("timing stops between models when asked", "[runtime]")
{
    StopAfter monitor(1);
    const std::vector models{demo_model()};
    const auto speeds = measure_speed(models, {.threads = 1}, {.repetitions = 1000, .generated = 1, .prompt = 0}, monitor);
    REQUIRE(!speeds);
    CHECK(speeds.error().code == ErrorCode::interrupted);
}

TEST_CASE("a file that libllama cannot load is an error with its cause", "[runtime]")
{
    const auto model = LoadedModel::load("/nowhere.gguf", {});
    REQUIRE(!model);
    CHECK(model.error().message.contains("/nowhere.gguf"));
}

}  // namespace
}  // namespace apreqel
