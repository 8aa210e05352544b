#include "support/lab.h"

#include "base/file.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <iterator>

namespace apreqel {
namespace {

std::size_t files_in(const std::filesystem::path& folder)
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

void start_again(Lab& lab)
{
    lab.runtime->start_again();
    lab.monitor.asked = lab.monitor.asked_at = 0;
}

}  // namespace

Lab::Lab(bool texts)
{
    settings.types = {*parse_type("q4_0"), *parse_type("q5_0"), *parse_type("q8_0")};
    settings.embedding_type = *parse_type("q8_0");
    settings.quality = {.context = 16, .chunks = 4, .kld_chunks = 2};
    settings.speed = {.repetitions = 6, .generated = 1, .prompt = 4};
    if (!texts) return;
    settings.text = settings.calibration = folder / "text.txt";
    settings.prompts = folder / "prompts.txt";
    std::string words;
    for (int i = 0; i < 100; ++i) words += std::format("word {}\n", i);
    REQUIRE(write_text(settings.text, words));
    REQUIRE(write_text(settings.prompts, "some words\nand others\n"));
}

Study Lab::study(const std::string& workspace)
{
    const Workspace place(model, folder / workspace);
    REQUIRE(place.create());
    return {.inventory = read_inventory(model).value(),
            .workspace = place,
            .settings = settings,
            .monitor = monitor,
            .runtime = runtime,
            .lock = WorkspaceLock::take(place).value()};
}

PlanRequest front_request() { return {.method = Method::front, .weights = *parse_weights("balanced")}; }

Work work_of(const FakeRuntime& runtime)
{
    Work work;
    for (const char* kind : {"sample", "score", "collect", "record", "evaluate", "probe", "speed"})
        work[kind] = runtime.done(kind);
    return work;
}

Interrupted interrupt(Lab& lab, const Verb& verb, const std::string& name, const std::function<void()>& befall)
{
    start_again(lab);
    befall();
    const auto output = lab.folder / ("output of " + name);
    std::filesystem::create_directory(output);
    auto first = verb(lab.study(name), output);
    if (!first) CHECK(files_in(output) == 0);
    const Work work = work_of(*lab.runtime);
    start_again(lab);
    auto second = verb(lab.study(name), output);
    if (!second) FAIL(second.error().message);
    CHECK(files_in(lab.folder / name / "mixes") == 0);
    std::filesystem::remove_all(lab.folder / name);
    std::filesystem::remove_all(output);
    return {.first = std::move(first), .first_work = work, .second = std::move(*second), .second_work = work_of(*lab.runtime)};
}

Whole make_whole(Lab& lab, const Verb& verb)
{
    start_again(lab);
    const auto output = lab.folder / "output";
    std::filesystem::create_directory(output);
    auto result = verb(lab.study("whole"), output);
    if (!result) FAIL(result.error().message);
    std::filesystem::remove_all(lab.folder / "whole");
    std::filesystem::remove_all(output);
    const std::vector<std::string>& made = lab.runtime->calls;
    std::vector<std::size_t> calls;
    for (std::size_t c = 0; c < made.size(); ++c)
        if (c == 0 || made[c] != made[c - 1] || made[c] == "probe") calls.push_back(c + 1);
    return {.result = std::move(*result), .work = work_of(*lab.runtime), .calls = std::move(calls), .asked = lab.monitor.asked};
}

}  // namespace apreqel
