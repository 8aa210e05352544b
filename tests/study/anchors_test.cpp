// Sensitivity where one type tells of the others.
#include "base/file.h"
#include "quantize/write_models.h"
#include "study/form.h"
#include "study/probe_choice.h"
#include "support/lab.h"
#include "support/recorder.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

const Verb kAnchors = [](const Study& study, const auto&) { return as_text(sense(study, {})); };

/// A world with a model of that many blocks, and text enough.
struct Deep : Lab {
    explicit Deep(std::int64_t blocks)
    {
        model = make_tiny_model(folder.path(),
                                {.blocks = blocks, .width = 32, .ffn = 64, .vocabulary = 64, .type = 0, .file = "deep.gguf"});
        std::string words;
        for (int i = 0; i < 3000; ++i) words += std::format("word {}\n", i * i);
        REQUIRE(write_text(settings.text, words));
    }
};

std::size_t count_measured(const Sensitivity& sensitivity)
{
    std::size_t measured = 0;
    for (const GroupSensitivity& group : sensitivity.groups)
        measured += static_cast<std::size_t>(std::ranges::count(group.probes, true, &Probe::measured));
    return measured;
}

TEST_CASE("64 groups in 14 types take at most 20,000 tokens, and what they took is counted", "[study][fake]")
{
    Deep lab(32);
    lab.settings.types.clear();
    for (const char* name :
         {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "iq4_xs", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "mxfp4", "iq3_s"})
        lab.settings.types.emplace_back(*parse_type(name));
    const auto sensitivity = sense(lab.study(), {});
    REQUIRE(sensitivity);
    REQUIRE(sensitivity->groups.size() == 65);
    CHECK(sensitivity->types.size() == 14);
    CHECK(lab.runtime->tokens <= 20'000);
    CHECK(lab.runtime->tokens > 12'500);  // the rest is for a second type
    CHECK(sensitivity->tokens == lab.runtime->tokens);
    CHECK(sensitivity->form == "f32");
    CHECK(sensitivity->separability.pairs == 6);
    CHECK(sensitivity->separability.median_factor < kPromisedFactor);
    // Divergence is proportional to the error in this world: what is filled in is right but for the rows that were not looked at.
    const auto whole = sense(lab.study("whole"), kProbing);
    REQUIRE(whole);
    CHECK(count_measured(*sensitivity) < count_measured(*whole) / 8);
    std::size_t filled = 0;
    for (std::size_t g = 0; g < whole->groups.size(); ++g) {
        for (std::size_t q = 0; q < whole->types.size(); ++q) {
            const Probe& probe = sensitivity->groups[g].probes[q];
            filled += probe.measured ? 0 : 1;
            CHECK(probe.memory_bytes == whole->groups[g].probes[q].memory_bytes);
            CHECK_THAT(probe.kld, WithinRel(whole->groups[g].probes[q].kld, 0.15));
        }
    }
    CHECK(filled > 700);
}

TEST_CASE("where types of a role do not tell of each other, its groups are probed in a second type", "[study][fake]")
{
    Deep lab(8);
    lab.runtime->world.exponent = 2;  // so the factor from error to divergence differs between types
    lab.runtime->world.exponent_of = "attn";
    const auto sensitivity = sense(lab.study(), {});
    REQUIRE(sensitivity);
    std::size_t once = 0;
    for (const GroupSensitivity& group : sensitivity->groups) {
        const auto measured = std::ranges::count(group.probes, true, &Probe::measured);
        if (group.part == "attn") CHECK(measured >= 2);
        once += measured == 1;
    }
    CHECK(once > 0);
    CHECK(sensitivity->separability.median_factor < kPromisedFactor);
    lab.runtime->world.exponent = 1;
    const auto even = sense(lab.study("even"), {});
    REQUIRE(even);
    CHECK(count_measured(*even) < count_measured(*sensitivity));
    CHECK(even->separability.pairs > 0);
}

TEST_CASE("a probe that is unlike those around it is made again on other text", "[study][fake]")
{
    Deep lab(8);
    const auto even = sense(lab.study("even"), {});
    REQUIRE(even);
    lab.runtime->world.odd_at_first = "blk.4.ffn";
    const auto sensitivity = sense(lab.study(), {});
    REQUIRE(sensitivity);
    const GroupSensitivity& group = *std::ranges::find(sensitivity->groups, "blk.4.ffn", &GroupSensitivity::group);
    const GroupSensitivity& before = *std::ranges::find(even->groups, "blk.4.ffn", &GroupSensitivity::group);
    std::size_t twice = 0;
    for (const GroupSensitivity& other : sensitivity->groups)
        for (const Probe& probe : other.probes) twice += probe.tokens > before.probes[0].tokens ? 1 : 0;
    CHECK(twice == 1);
    CHECK(group.probes[0].tokens == 2 * before.probes[0].tokens);
    CHECK_THAT(group.probes[0].kld, WithinRel(before.probes[0].kld * (10 + 1) / 2, 1e-9));
    CHECK(sensitivity->tokens == even->tokens + (sensitivity->tokens - even->tokens));
    const std::size_t made = lab.runtime->done("probe");
    CHECK(to_json(sense(lab.study(), {}).value()) == to_json(*sensitivity));
    CHECK(lab.runtime->done("probe") == made);
}

TEST_CASE("a sense by anchors goes on from any call it was stopped at, with no first probe made twice", "[study][fake]")
{
    Deep lab(4);
    lab.runtime->world.exponent = GENERATE(1.0, 1.5);
    const Whole whole = make_whole(lab, kAnchors);
    CHECK(whole.work.at("probe") > 9);
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, kAnchors, std::to_string(n), [&] { lab.runtime->faults.stop_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
        const std::size_t kept = std::max<std::size_t>(pair.first_work.at("probe"), 1) - 1;
        CHECK(pair.second_work.at("probe") >= whole.work.at("probe") - kept);
        CHECK(pair.second_work.at("probe") <= whole.work.at("probe") - kept + kAgain);  // those are kept all at once
    }
}

TEST_CASE("a sense by anchors that was short of time is completed to what it would have been", "[study][fake]")
{
    Deep lab(4);
    const Whole whole = make_whole(lab, kAnchors);
    lab.runtime->start_again();
    const auto partial = sense(lab.study(), {.minutes = 1e-12});
    REQUIRE(partial);
    CHECK(lab.runtime->done("probe") == 2);  // what the embedding is fixed to, and one that changes nothing
    CHECK(partial->groups[0].probes[0].kld > 0);
    const auto completed = sense(lab.study(), {});
    REQUIRE(completed);
    CHECK(to_json(*completed) == whole.result);
}

TEST_CASE("thorough and other probes, and those of other forms, are kept apart", "[study][fake]")
{
    Lab lab;
    const auto probes = [&](const SenseSettings& settings) {
        lab.runtime->start_again();
        const auto sensitivity = sense(lab.study(), settings);
        REQUIRE(sensitivity);
        CHECK(sensitivity->form == type_name(lab.settings.form.value_or(*parse_type("f32"))));
        return lab.runtime->done("probe");
    };
    CHECK(probes({}) > 0);
    CHECK(probes(kProbing) > 0);
    CHECK(probes({}) == 0);
    CHECK(probes(kProbing) == 0);
    lab.settings.form = *parse_type("bf16");
    CHECK(probes({}) > 0);
    CHECK(probes(kProbing) > 0);
    CHECK(probes({}) == 0);
    lab.settings.form.reset();
    CHECK(probes({}) == 0);
}

TEST_CASE("the fastest full-precision form is found once, and that of the source kept where another is hardly faster",
          "[study][fake]")
{
    Lab lab;
    CHECK(*fastest_form(lab.study(), 0) == *parse_type("f32"));
    CHECK(lab.runtime->done("time") == 3);
    CHECK(*fastest_form(lab.study(), 0) == *parse_type("f32"));
    CHECK(lab.runtime->done("time") == 3);
    lab.runtime->world.fast_form = "bf16";
    CHECK(*fastest_form(lab.study(), 0) == *parse_type("f32"));  // as is known
    CHECK(*fastest_form(lab.study("another"), 0) == *parse_type("bf16"));
    CHECK(*fastest_form(lab.study("small")) == *parse_type("f32"));
    CHECK(lab.runtime->done("time") == 6);
    CHECK(!std::filesystem::exists(lab.folder / "another" / "shape.gguf"));
    lab.runtime->here.machine = "another";
    CHECK(*fastest_form(lab.study(), 0) == *parse_type("bf16"));
}

/// A study of a real tiny model with text enough.
Study tiny_study(const std::filesystem::path& model, Monitor& monitor)
{
    StudySettings settings{.types = {*parse_type("q4_0"), *parse_type("q8_0"), *parse_type("q5_0")},
                           .embedding_type = *parse_type("q8_0")};
    settings.run.threads = 1;
    settings.quality.context = 64;
    settings.text = settings.calibration = model.parent_path() / "text.txt";
    std::string words;
    for (int i = 0; i < 900; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.text, words));
    const Workspace workspace(model, model.parent_path() / (model.filename().string() + ".workspace"));
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

TEST_CASE("a probe in a converted form is that of a file in this form", "[study][slow]")
{
    const TempDir folder;
    Monitor quiet;
    const bool thorough = GENERATE(false, true);
    const std::string architecture = GENERATE("llama", "qwen3moe", "phi3");
    const auto model =
        make_tiny_model(folder.path(), {.architecture = architecture, .type = 1, .tied = true, .file = "half.gguf"});
    Study study = tiny_study(model, quiet);
    ModelSpec spec{.path = folder / "whole.gguf", .types = {}, .notes = {}};
    const QuantType f32 = *parse_type("f32");
    for (const Tensor& tensor : study.inventory.tensors) spec.types.push_back(in_form(tensor, f32).type);
    REQUIRE(write_models(study.inventory, {&spec, 1}, {}, 1, quiet));
    study.settings.form = f32;
    const auto converted = sense(study, {.thorough = thorough, .chunks = 2});
    REQUIRE(converted);
    const auto direct = sense(tiny_study(spec.path, quiet), {.thorough = thorough, .chunks = 2});
    REQUIRE(direct);
    CHECK(converted->form == "f32");
    CHECK(direct->form == "f32");
    CHECK(converted->noise_floor == 0);
    REQUIRE(converted->groups.size() == direct->groups.size());
    for (std::size_t g = 0; g < direct->groups.size(); ++g) {
        for (std::size_t q = 0; q < direct->types.size(); ++q) {
            CHECK(converted->groups[g].probes[q].measured == direct->groups[g].probes[q].measured);
            CHECK(converted->groups[g].probes[q].kld == direct->groups[g].probes[q].kld);
        }
    }
    CHECK(!std::filesystem::exists(study.workspace.path("shape.gguf")));
}

TEST_CASE("a sense by anchors of a real model fills in what a thorough one measures", "[study][slow]")
{
    const TempDir folder;
    Monitor quiet;
    const auto model = make_tiny_model(folder.path(), {.blocks = 4});
    const auto some = sense(tiny_study(model, quiet), {});
    REQUIRE(some);
    const auto all = sense(tiny_study(model, quiet), {.thorough = true, .chunks = 8});
    REQUIRE(all);
    CHECK(count_measured(*some) < count_measured(*all));
    std::vector<double> factors;
    for (std::size_t g = 0; g < all->groups.size(); ++g)
        for (std::size_t q = 0; q < all->types.size(); ++q)
            if (!some->groups[g].probes[q].measured)
                factors.push_back(std::exp(std::abs(std::log(some->groups[g].probes[q].kld / all->groups[g].probes[q].kld))));
    REQUIRE(!factors.empty());
    std::ranges::sort(factors);
    CHECK(factors[factors.size() / 2] < 1.3);
    CHECK(factors.back() < 2);
}

}  // namespace
}  // namespace apreqel
