// Model and devices, put together for a plan.
#include <apreqel/profile.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

Speed speed(double ms, double prompt = 0)
{
    Speed made{.latency_ms = {.median = ms, .samples = {ms}}, .prompt_tokens_per_second = {.samples = {}}};
    if (prompt > 0) made.prompt_tokens_per_second = {.median = prompt, .samples = {prompt}};
    return made;
}

ModelProfile model_of(const std::vector<std::string>& types)
{
    ModelProfile model{
        .model = "m", .model_name = {}, .layers = 2, .embedding_type = "q6_K", .text = {}, .version = {}, .types = {}};
    for (const std::string& type : types) model.types.push_back({.type = type, .quality = {}, .fallbacks = {}});
    return model;
}

/// q4_K, q8_0 and a mix of the two.
DeviceProfile device_of(const std::string& name, double q4, double q8, double mix)
{
    return {
        .model = "m",
        .device = name,
        .version = {},
        .embedding_type = "q6_K",
        .workload = {512, 128, 0},
        .models = {
            {.name = "q4_K", .speed = speed(q4, 1000 / q4)},
            {.name = "q8_0", .speed = speed(q8, 1000 / q8)},
            {.name = "mix 1", .allocation = {{"blk.0.attn", "q4_K"}, {"blk.0.ffn", "q8_0"}}, .speed = speed(mix, 1000 / mix)}}};
}

TEST_CASE("a device's types are found whether they were quantized with an importance matrix or not", "[decide]")
{
    const auto joined = join(model_of({"q4_K+imatrix", "q8_0"}), device_of("board", 1, 2, 1.5));
    REQUIRE(joined);
    CHECK(measurement_of(*joined, "q4_K+imatrix").speed.latency_ms.median == 1);
    CHECK(joined->device.models[2].allocation[0].type == "q4_K+imatrix");
    CHECK(joined->device.models[2].allocation[1].type == "q8_0");
    const auto both = join(model_of({"q4_K", "q4_K+imatrix", "q8_0"}), device_of("board", 1, 2, 1.5));
    REQUIRE(both);
    CHECK(measurement_of(*both, "q4_K").speed.latency_ms.median == 1);
    CHECK(measurement_of(*both, "q4_K+imatrix").speed.latency_ms.median == 1);
}

TEST_CASE("times of another model, or with another type of embedding, are refused", "[decide]")
{
    DeviceProfile device = device_of("board", 1, 2, 1.5);
    device.model = "n";
    const auto other = join(model_of({"q4_K"}), device);
    REQUIRE(!other);
    CHECK(other.error().message == "plan: the profile is of model m, the times of the device are of n");
    device.model = "";
    device.embedding_type = "q8_0";
    const auto embedded = join(model_of({"q4_K"}), device);
    REQUIRE(!embedded);
    CHECK(embedded.error().message.contains("q6_K in the profile, q8_0 in what the device timed"));
}

TEST_CASE("a fleet takes as long as its slowest device, type by type", "[decide]")
{
    const std::vector devices{device_of("board", 10, 12, 11), device_of("phone", 8, 14, 13)};
    const auto fleet = fleet_of(devices);
    REQUIRE(fleet);
    CHECK(fleet->device == "the slowest of: board; phone");
    CHECK(fleet->models[0].speed.latency_ms.median == 10);
    CHECK(fleet->models[1].speed.latency_ms.median == 14);
    CHECK(fleet->models[2].speed.latency_ms.median == 13);
    CHECK(fleet->models[0].speed.prompt_tokens_per_second.median == 100);
    const auto one = fleet_of(std::span(devices).first(1));
    REQUIRE(one);
    CHECK(one->device == "board");
}

TEST_CASE("a fleet has the context of the device that needs most for it, if all have counted the same", "[decide]")
{
    std::vector devices{device_of("board", 10, 12, 11), device_of("phone", 8, 14, 13)};
    devices[0].context = {.tokens = 100, .cache_bytes = 7, .buffer_bytes = 9};
    devices[1].context = {.tokens = 100, .cache_bytes = 8, .buffer_bytes = 1};
    CHECK(fleet_of(devices)->context == devices[0].context);
    devices[1].context.tokens = 99;
    CHECK(fleet_of(devices)->context == ContextMemory{});
}

TEST_CASE("a weighted fleet takes the mean of times relative to each device's fastest type", "[decide]")
{
    const std::vector devices{device_of("board", 10, 20, 15), device_of("server", 2, 1, 1.5)};
    const std::vector<double> weights{3, 1};
    const auto fleet = fleet_of(devices, weights);
    REQUIRE(fleet);
    // Fastest: 10 and 1, their mean (3 × 10 + 1 × 1) / 4 = 7.75.
    CHECK_THAT(fleet->models[0].speed.latency_ms.median, WithinRel(7.75 * (3 * 1.0 + 1 * 2.0) / 4, 1e-12));
    CHECK_THAT(fleet->models[1].speed.latency_ms.median, WithinRel(7.75 * (3 * 2.0 + 1 * 1.0) / 4, 1e-12));
    CHECK_THAT(fleet->models[2].speed.latency_ms.median, WithinRel(7.75 * (3 * 1.5 + 1 * 1.5) / 4, 1e-12));
    CHECK_THAT(1000 / fleet->models[1].speed.prompt_tokens_per_second.median, WithinRel(7.75 * 1.75, 1e-12));
    CHECK(!fleet_of(devices, std::vector<double>{1}));
    CHECK(!fleet_of(devices, std::vector<double>{0, 0}));
    CHECK(!fleet_of(devices, std::vector<double>{1, -1}));
}

TEST_CASE("a fleet takes the energy of the device that takes most, or the weighted mean, where all measured it", "[decide]")
{
    std::vector devices{device_of("board", 10, 12, 11), device_of("phone", 8, 14, 13)};
    const auto count = [](DeviceProfile& device, double q4, double q8, double mix) {
        device.models[0].speed.energy = {.joules = {.median = q4, .samples = {q4}}, .idle_watts = 1, .source = "RAPL"};
        device.models[1].speed.energy.joules = {.median = q8, .samples = {q8}};
        device.models[2].speed.energy.joules = {.median = mix, .samples = {mix}};
    };
    count(devices[0], 2, 4, 3);
    CHECK(fleet_of(devices)->models[0].speed.energy.joules.median == 0);  // not that of one of them
    CHECK(fleet_of(devices)->models[0].speed.energy.source.empty());
    count(devices[1], 1, 5, 2);
    const auto fleet = fleet_of(devices);
    REQUIRE(fleet);
    CHECK(fleet->models[0].speed.energy.joules.median == 2);
    CHECK(fleet->models[1].speed.energy.joules.median == 5);
    CHECK(fleet->models[2].speed.energy.joules.median == 3);
    const auto mean = fleet_of(devices, std::vector<double>{3, 1});
    REQUIRE(mean);
    // Least: 2 and 1, their mean 1.75.
    CHECK_THAT(mean->models[1].speed.energy.joules.median, WithinRel(1.75 * (3 * 2.0 + 1 * 5.0) / 4, 1e-12));
}

TEST_CASE("a fleet is of what all its devices timed, in the same way", "[decide]")
{
    std::vector devices{device_of("board", 1, 2, 1.5), device_of("phone", 2, 3, 2.5)};
    devices[1].models.erase(devices[1].models.begin());
    devices[1].models.back().allocation[0].type = "q8_0";  // another mix
    devices[0].models[1].speed.prompt_tokens_per_second = {.samples = {}};
    const auto fleet = fleet_of(devices);
    REQUIRE(fleet);
    REQUIRE(fleet->models.size() == 1);
    CHECK(fleet->models.front().name == "q8_0");
    CHECK(fleet->models.front().speed.prompt_tokens_per_second.median == 0);
    const auto refused = [&](auto change) {
        auto others = devices;
        change(others[1]);
        const auto made = fleet_of(others);
        return made ? "" : made.error().message;
    };
    CHECK(refused([](DeviceProfile& d) { d.model = "n"; }) == "plan: board timed model m, phone timed n");
    CHECK(refused([](DeviceProfile& d) { d.workload.depth = 9; }).contains("other numbers of tokens"));
    CHECK(refused([](DeviceProfile& d) { d.context.cache_type_v = "q4_0"; }).contains("other types of KV cache"));
    CHECK(refused([](DeviceProfile& d) { d.embedding_type = "q4_K"; }).contains("embeddings in q6_K"));
    CHECK(refused([](DeviceProfile& d) { d.models = {{.name = "q4_0", .speed = speed(1)}}; }).contains("no type in common"));
    CHECK(refused([](DeviceProfile& d) { d.models[0].speed.latency_ms.median = 0; }).contains("was not measured"));
}

}  // namespace
}  // namespace apreqel
