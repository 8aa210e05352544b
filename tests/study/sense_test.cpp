#include "base/file.h"
#include "quantize/write_models.h"
#include "study/study.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
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

Study small_study(const std::filesystem::path& model, Monitor& monitor)
{
    StudySettings settings{.types = {*parse_type("q3_K"), *parse_type("q4_K"), *parse_type("q8_0")},
                           .embedding_type = *parse_type("q6_K")};
    settings.run.threads = 2;
    settings.quality.context = 64;
    settings.text = settings.calibration = model.parent_path() / "text.txt";
    std::string words;
    for (int i = 0; i < 300; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.text, words));
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

constexpr SenseSettings kAll{.chunks = 4};

TEST_CASE("a probe is the KL divergence of a file with that one layer quantized", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {.type = 0});
    Monitor quiet;
    Study study = small_study(model, quiet);
    const auto sensitivity = sense(study, kAll);
    REQUIRE(sensitivity);
    CHECK(sensitivity->noise_floor == 0);
    REQUIRE(sensitivity->layers.size() == study.inventory.layers.size());

    study.settings.quality = {.context = 64, .chunks = 4, .kld_chunks = 4};
    for (const std::size_t l : {std::size_t{0}, std::size_t{3}}) {
        ModelSpec spec{.path = folder / std::format("one{}.gguf", l), .types = {}, .notes = {}};
        const auto quantized = assign_types(study.inventory, *parse_type("q3_K"), *parse_type("q6_K")).types;
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
        const Probe& probe = sensitivity->layers[l].probes[0];
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
    const auto whole = sense(small_study(model, quiet), kAll);
    REQUIRE(whole);
    std::filesystem::remove_all(Workspace(model, {}).directory());

    StopAfter stop(5);
    const auto stopped = sense(small_study(model, stop), kAll);
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
    const auto resumed = sense(small_study(model, quiet), kAll);
    REQUIRE(resumed);
    CHECK(to_json(*resumed) == to_json(*whole));
}

TEST_CASE("types that were probed before are not probed again", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {});
    Monitor quiet;
    const auto three = sense(small_study(model, quiet), kAll);
    REQUIRE(three);
    StopAfter never(0);  // stops at the first probe
    Study one = small_study(model, never);
    one.settings.types = {*parse_type("q4_K")};
    const auto reused = sense(one, kAll);
    REQUIRE(reused);
    CHECK(reused->types.size() == 3);
    CHECK(reused->types.front() == "q4_K");
    CHECK(reused->layers[1].probes[0].kld == three->layers[1].probes[1].kld);
}

TEST_CASE("a fast sense measures two types and fills in the third", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder / "", {});
    Monitor quiet;
    const auto whole = sense(small_study(model, quiet), kAll);
    REQUIRE(whole);
    std::filesystem::remove_all(Workspace(model, {}).directory());
    SenseSettings fast = kAll;
    fast.fast = true;
    const auto filled = sense(small_study(model, quiet), fast);
    REQUIRE(filled);
    CHECK(filled->separability.pairs == 2 * (filled->layers.size() + 1));  // and the embedding
    for (std::size_t l = 0; l < filled->layers.size(); ++l) {
        CHECK(filled->layers[l].probes[0].measured);
        CHECK(filled->layers[l].probes[1].measured);
        CHECK(!filled->layers[l].probes[2].measured);
        const double ratio = filled->layers[l].probes[2].kld / whole->layers[l].probes[2].kld;
        CHECK(ratio > 0.25);
        CHECK(ratio < 4);
    }
}

TEST_CASE("a sensitivity reads back as it was written", "[study]")
{
    const TempDir folder;
    const Sensitivity sensitivity{.model = "m",
                                  .model_name = "n",
                                  .embedding_type = "q6_K",
                                  .fixed_bytes = 7,
                                  .kv_bytes_per_token = 9,
                                  .types = {"q4_K"},
                                  .layers = {{"blk.0.attn", 5, {{.memory_bytes = 3, .measured = true, .kld = 0.5}}}}};
    REQUIRE(write_text(folder / "s.json", to_json(sensitivity)));
    CHECK(to_json(*read_sensitivity(folder / "s.json")) == to_json(sensitivity));
    REQUIRE(write_text(
        folder / "s.json",
        R"({"schema":"apreqel.sensitivity/1","types":["q4_K"],"layers":[{"layer":"a","parameters":1,"probes":[]}]})"));
    CHECK(read_sensitivity(folder / "s.json").error().message.contains("one for each type"));
}

}  // namespace
}  // namespace apreqel
