// Variants in the workspace that are no longer what was written, and types that some tensors cannot have.
#include "study/variants.h"

#include "base/file.h"
#include "quantize/audit.h"
#include "quantize/write_models.h"
#include "support/compare.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

Study study_of(const std::filesystem::path& model, Monitor& monitor, std::vector<Variant> types)
{
    StudySettings settings{.types = std::move(types), .embedding_type = *parse_type("q6_K")};
    settings.run.threads = 1;
    settings.quality = {.context = 64, .chunks = 2, .kld_chunks = 2};
    settings.calibration = model.parent_path() / "text.txt";
    std::string words;
    for (int i = 0; i < 300; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.calibration, words));
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

TEST_CASE("a damaged variant is made again with one warning, and a whole one is not", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    Recorder recorder;
    const Study study = study_of(model, recorder, {*parse_type("q4_K"), *parse_type("q8_0")});
    REQUIRE(build_variants(study));
    const auto files = variant_files(study);
    const std::string whole = slurp(files[0].path);
    recorder = {};
    REQUIRE(build_variants(study));
    CHECK(recorder.steps.empty());
    CHECK(recorder.warnings.empty());
    std::string flipped = whole;
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
    for (const std::string& damaged : {flipped, whole.substr(0, whole.size() / 2), std::string("x")}) {
        spill(files[0].path, damaged);
        recorder = {};
        REQUIRE(build_variants(study));
        REQUIRE(recorder.warnings.size() == 1);
        CHECK(recorder.warnings.front().contains(files[0].path.filename().string()));
        CHECK(slurp(files[0].path) == whole);
    }
}

TEST_CASE("a variant damaged after it was checked does not reach a mix", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    Recorder recorder;
    const Study study = study_of(model, recorder, {*parse_type("q4_K"), *parse_type("q8_0")});
    REQUIRE(build_variants(study));
    std::vector<GroupType> allocation;
    for (const Group& layer : study.inventory.layers) allocation.push_back({layer.name, "q4_K"});
    const auto right = build_mixes(study, {allocation});
    REQUIRE(right);
    const std::string mix = slurp(right->front());
    remove_mixes(study, *right);
    const auto donor = variant_files(study)[0].path;
    std::string flipped = slurp(donor);
    const Inventory inventory = read_inventory(donor).value();
    flipped[inventory.tensors[inventory.layers[0].tensors[0]].offset] ^= 1;
    spill(donor, flipped);
    recorder = {};
    std::vector<GroupType> other = allocation;
    other.back().type = "q8_0";
    const auto again = build_mixes(study, {allocation, other});
    REQUIRE(again);
    CHECK(recorder.warnings.size() == 1);
    CHECK(recorder.warnings.front().contains(donor.filename().string()));
    CHECK(slurp(again->front()) == mix);
}

TEST_CASE("sense leaves out types that the embedding cannot have", "[study]")
{
    const TempDir folder;
    Recorder recorder;
    Study study = study_of(make_tiny_model(folder.path()), recorder, {});
    for (Tensor& tensor : study.inventory.tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        tensor.importance = std::make_shared<const std::vector<float>>(static_cast<std::size_t>(tensor.columns()), 1.0F);
    }
    study.inventory.importance = "i.gguf";
    study.settings.types = {Variant(*parse_type("iq2_xs"), true), Variant(*parse_type("q8_0"), true)};
    const auto sensitivity = sense(study, {.thorough = true, .chunks = 2});
    INFO((sensitivity ? "" : sensitivity.error().message));
    REQUIRE(sensitivity);
    const GroupSensitivity& embedding = sensitivity->groups.back();
    REQUIRE(embedding.group == kEmbedding);
    CHECK(embedding.probes[0].memory_bytes == 0);
    CHECK(!embedding.probes[0].measured);
    CHECK(embedding.probes[1].measured);
    for (const GroupSensitivity& group : sensitivity->groups)
        if (group.group != kEmbedding) CHECK(group.probes[0].measured);

    // Without the matrix for one tensor, the type is no type of a layer: known at once.
    study.inventory.tensors[study.inventory.layers[1].tensors[0]].importance = nullptr;
    recorder = {};
    for (const auto& error : {sense(study, {}).error(), profile(study).error()}) {
        CHECK(error.code == ErrorCode::usage);
        CHECK(error.message.contains("iq2_xs+imatrix"));
        CHECK(error.message.contains("i.gguf"));
    }
    CHECK(recorder.steps.empty());
}

TEST_CASE("a disk without room for the variants is an error before the first step", "[study]")
{
    const TempDir folder;
    Recorder recorder;
    const Study study = study_of(make_tiny_model(folder.path()), recorder, {*parse_type("q4_K")});
    CHECK(check_space_for(study, 1));
    const auto refused = check_space_for(study, 1ULL << 42);
    REQUIRE(!refused);
    CHECK(refused.error().message.contains("bytes are needed"));
    CHECK(refused.error().hint.contains("-C DIR"));
}

}  // namespace
}  // namespace apreqel
