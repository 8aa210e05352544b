#include "base/file.h"
#include "quantize/write_models.h"
#include "study/study.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Asks to stop after so many units of the sensitivity step.
struct StopAfter : Monitor {
    explicit StopAfter(double units) : limit(units) {}
    void advance(double done) override { stopped = stopped || done >= limit; }
    [[nodiscard]] bool stop_requested() const override { return stopped; }
    double limit;
    bool stopped = false;
};

Study probing_study(const std::filesystem::path& model, Monitor& monitor)
{
    StudySettings settings{.types = {*parse_type("q3_K"), *parse_type("q4_K"), *parse_type("q8_0")},
                           .embedding_type = *parse_type("q6_K")};
    settings.run.threads = 1;
    settings.quality.context = 64;
    settings.text = settings.calibration = model.parent_path() / "text.txt";
    std::string words;
    for (int i = 0; i < 300; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.text, words));
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

constexpr SenseSettings kAll{.thorough = true, .chunks = 4};

TEST_CASE("a probe is the KL divergence of a file with that one layer quantized", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {.type = 0});
    Monitor quiet;
    Study study = probing_study(model, quiet);
    const bool feedback = GENERATE(false, true);
    if (feedback) {
        REQUIRE(use_own_hessian(study));
        study.settings.types[0] = Variant::with_feedback(*parse_type("q3_K"), false);
    }
    const auto sensitivity = sense(study, kAll);
    REQUIRE(sensitivity);
    CHECK(sensitivity->noise_floor == 0);
    REQUIRE(sensitivity->groups.size() == study.inventory.layers.size() + 1);

    study.settings.quality = {.context = 64, .chunks = 4, .kld_chunks = 4};
    for (const std::size_t l : {std::size_t{0}, std::size_t{3}}) {
        const auto [quantized, origins, fallbacks] =
            assign_types(study.inventory, study.settings.types[0], *parse_type("q6_K"));
        ModelSpec spec{.path = folder / std::format("one{}.gguf", l), .types = {}, .notes = {}, .origins = origins};
        std::uint64_t bytes = 0;
        for (std::size_t t = 0; t < study.inventory.tensors.size(); ++t) {
            const Tensor& tensor = study.inventory.tensors[t];
            const bool inside = std::ranges::contains(study.inventory.layers[l].tensors, t);
            spec.types.push_back(inside ? quantized[t] : tensor.type);
            if (inside) bytes += static_cast<std::uint64_t>(tensor.rows()) * row_bytes(quantized[t], tensor.columns());
        }
        REQUIRE(write_models(study.inventory, {&spec, 1}, {}, 2, quiet));
        const auto measured = measure(study, {{spec.path, "one"}});
        REQUIRE(measured);
        const Probe& probe = sensitivity->groups[l].probes[0];
        CHECK(probe.measured);
        CHECK(probe.memory_bytes == bytes);
        // The file's kernels round activations too, which the probe does not.
        CHECK_THAT(probe.kld, WithinRel(measured->front().quality.kld, 0.1));
    }
}

TEST_CASE("an interrupted sense goes on where it stopped and ends the same", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {});
    Monitor quiet;
    const auto whole = sense(probing_study(model, quiet), kAll);
    REQUIRE(whole);
    std::filesystem::remove_all(Workspace(model, {}).directory());

    StopAfter stop(5);
    const auto stopped = sense(probing_study(model, stop), kAll);
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
    const auto resumed = sense(probing_study(model, quiet), kAll);
    REQUIRE(resumed);
    CHECK(to_json(*resumed) == to_json(*whole));
}

TEST_CASE("types that were probed before are not probed again", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {});
    Monitor quiet;
    const auto three = sense(probing_study(model, quiet), kAll);
    REQUIRE(three);
    StopAfter never(0);  // stops at the first probe
    Study one = probing_study(model, never);
    one.settings.types = {*parse_type("q4_K")};
    const auto reused = sense(one, kAll);
    REQUIRE(reused);
    CHECK(reused->types.size() == 4);  // and the embedding's own
    CHECK(reused->types.front() == "q4_K");
    CHECK(reused->groups[1].probes[0].kld == three->groups[1].probes[1].kld);
}

TEST_CASE("a sense of other types, and one that is stopped, keep what is known", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {});
    Monitor quiet;
    const auto three = sense(probing_study(model, quiet), kAll);
    REQUIRE(three);
    CHECK(three->separability.pairs > 0);

    StopAfter stop(3);
    Study other = probing_study(model, stop);
    other.settings.types = {*parse_type("q5_K")};
    REQUIRE(!sense(other, kAll));
    StopAfter never(0);
    const auto again = sense(probing_study(model, never), kAll);
    REQUIRE(again);
    CHECK(to_json(*again) == to_json(*three));

    Study anew = probing_study(model, stop);
    stop.stopped = false;
    anew.settings.remeasure = true;
    REQUIRE(!sense(anew, kAll));
    CHECK(to_json(sense(probing_study(model, never), kAll).value()) == to_json(*three));

    Study more = probing_study(model, quiet);
    more.settings.types = {*parse_type("q5_K")};
    const auto four = sense(more, kAll);
    REQUIRE(four);
    CHECK(four->types == std::vector<std::string>{"q5_K", "q6_K", "q3_K", "q4_K", "q8_0"});
    CHECK(four->noise_floor == three->noise_floor);
    CHECK(four->separability.pairs > three->separability.pairs);
    for (std::size_t g = 0; g < three->groups.size(); ++g) {
        for (std::size_t q = 0; q < 3; ++q) CHECK(four->groups[g].probes[q + 2].kld == three->groups[g].probes[q].kld);
        CHECK(four->groups[g].probes[1].kld == three->groups[g].probes[3].kld);
    }
    const auto read = read_sensitivity(Workspace(model, {}).path("sensitivity.json"));
    REQUIRE(read);
    CHECK(to_json(*read) == to_json(*four));
}

TEST_CASE("what a type measured with one importance matrix is not taken for another's, and comes back with it", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {.blocks = 1});
    const auto sensed = [&](const char* text, bool weighted, double stop) {
        StopAfter monitor(stop);
        Study study = probing_study(model, monitor);
        const auto calibration = study.settings.calibration;
        if (weighted) {
            Monitor quiet;
            Study collecting = probing_study(model, quiet);
            collecting.settings.calibration = folder / text;
            std::string words;
            for (int i = 0; i < 600; ++i) words += std::format("{} {} ", text, i);
            REQUIRE(write_text(collecting.settings.calibration, words));
            REQUIRE(use_own_importance(collecting));
            study.inventory = collecting.inventory;
        }
        study.settings.types = {Variant(*parse_type("q3_K"), weighted)};
        return sense(study, kAll);
    };
    const auto one = sensed("one", true, 1e9);
    REQUIRE(one);
    const auto two = sensed("two", true, 1e9);
    REQUIRE(two);
    CHECK(two->types == std::vector<std::string>{"q3_K+imatrix", "q6_K"});
    CHECK(two->groups[0].probes[0].kld != one->groups[0].probes[0].kld);
    const auto plain = sensed("", false, 1e9);
    REQUIRE(plain);
    CHECK(plain->types == std::vector<std::string>{"q3_K", "q6_K", "q3_K+imatrix"});
    CHECK(plain->groups[0].probes[2].kld == two->groups[0].probes[0].kld);
    const auto back = sensed("one", true, 0);  // stops at the first probe
    REQUIRE(back);
    CHECK(back->types == std::vector<std::string>{"q3_K+imatrix", "q6_K", "q3_K"});
    CHECK(back->groups[0].probes[0].kld == one->groups[0].probes[0].kld);
    CHECK(back->groups[0].probes[2].kld == plain->groups[0].probes[0].kld);
}

TEST_CASE("a sensitivity reads back as it was written", "[study]")
{
    const TempDir folder;
    const Sensitivity sensitivity{.model = "m",
                                  .model_name = "n",
                                  .fixed_bytes = 7,
                                  .kv_bytes_per_token = 9,
                                  .types = {"q4_K"},
                                  .groups = {{.group = "blk.0.attn",
                                              .layer = "blk.0.attn",
                                              .part = "attn",
                                              .parameters = 5,
                                              .probes = {{.memory_bytes = 3, .measured = true, .kld = 0.5}}}}};
    REQUIRE(write_text(folder / "s.json", to_json(sensitivity)));
    CHECK(to_json(*read_sensitivity(folder / "s.json")) == to_json(sensitivity));
    REQUIRE(write_text(
        folder / "s.json",
        R"({"schema":"apreqel.sensitivity/2","types":["q4_K"],"groups":[{"group":"a","parameters":1,"probes":[]}]})"));
    CHECK(read_sensitivity(folder / "s.json").error().message.contains("one for each type"));
}

}  // namespace
}  // namespace apreqel
