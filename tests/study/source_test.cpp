// A model that is quantized already, through the stages: "source" is one more type of every group.
#include "study/study.h"

#include "base/file.h"
#include "gguf/container.h"
#include "quantize/layout.h"
#include "support/lab.h"
#include "support/quantized_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

namespace apreqel {
namespace {

Variant variant(const std::string& name) { return parse_variant(name, false).value(); }

/// What a tensor is stored as: its type and its bytes.
std::string stored(const Inventory& model, const std::string& name)
{
    const Tensor& tensor = *std::ranges::find(model.tensors, name, &Tensor::name);
    std::string read(tensor.size_bytes, '\0');
    REQUIRE(InputFile::open(model.files[tensor.file])->read_at(tensor.offset, std::as_writable_bytes(std::span(read))));
    return type_name(tensor.type) + read;
}

/// Everything that `plan` leaves as it is has the source's bytes, and nothing else has.
void check_shipped(const Inventory& source, const Plan& plan, const std::filesystem::path& output)
{
    const auto shipped = read_inventory(output);
    REQUIRE(shipped);
    std::vector<Group> groups = groups_of(source, Granularity::layer);
    groups.append_range(groups_of(source, Granularity::tensor));
    for (const GroupType& entry : plan.allocation) {
        CAPTURE(entry.group, entry.type);
        const Group& group = *std::ranges::find(groups, entry.group, &Group::name);
        const bool same = std::ranges::all_of(group.tensors, [&](std::size_t t) {
            return stored(*shipped, source.tensors[t].name) == stored(source, source.tensors[t].name);
        });
        CHECK(same == (entry.type == kSource));
    }
    const auto container = Container::read(*InputFile::open(output));
    REQUIRE(container);
    CHECK(container->text(kQuantizedSourceKey) == source.name);
}

/// A quantized model of the fake world.
Study quantized_study(Lab& lab)
{
    lab.model = make_quantized_model(lab.folder.path(), "q8_0", {.width = 32, .ffn = 64, .vocabulary = 64});
    lab.settings.types = {variant("q4_0"), variant("q5_0"), variant("source")};
    lab.settings.embedding_type = variant("source");
    Study study = lab.study();
    study.inventory = read_inventory(lab.model, true).value();
    return study;
}

TEST_CASE("a group as it is costs its bytes and no quality, and is not probed", "[study][fake]")
{
    Lab lab;
    const Study study = quantized_study(lab);
    const auto sensitivity = sense(study, kProbing);
    REQUIRE(sensitivity);
    REQUIRE(sensitivity->types == std::vector<std::string>{"q4_0", "q5_0", "source"});
    CHECK(sensitivity->model_name == study.inventory.name);
    const std::vector<Group> groups = groups_of(study.inventory, Granularity::layer);
    REQUIRE(sensitivity->groups.size() == groups.size());
    std::uint64_t bytes = sensitivity->fixed_bytes;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const Probe& source = sensitivity->groups[g].probes[2];
        CHECK(source.measured);
        CHECK(source.kld == 0);
        bytes += source.memory_bytes;
        CHECK(sensitivity->groups[g].probes[0].kld > sensitivity->groups[g].probes[1].kld);
    }
    CHECK(bytes == study.inventory.size_bytes());
    CHECK(sensitivity->groups.back().fixed_type == kSource);

    Study again = study;
    again.settings.remeasure = true;
    const auto repeated = sense(again, kProbing);
    REQUIRE(repeated);
    CHECK(repeated->groups.front().probes[2].kld == 0);
}

TEST_CASE("a uniform variant of a model as it is has all its tensors, and measures like it", "[study][fake]")
{
    Lab lab;
    const Study study = quantized_study(lab);
    const auto profiled = profile(study);
    REQUIRE(profiled);
    const UniformVariant& source = profiled->model.types[2];
    CHECK(source.type == kSource);
    CHECK(source.memory_bytes == study.inventory.size_bytes());
    CHECK(source.bits_per_weight == 8.5);
    CHECK(source.quality.kld == 0);
    CHECK(profiled->model.embedding_type == kSource);
    CHECK(profiled->model.model_name.ends_with(" (q8_0)"));
    CHECK(measure_reference(study)->name == "source file");
}

TEST_CASE("run makes a quantized model smaller by either method, and copies what stays as it is", "[study][fake]")
{
    Lab lab;
    const Study study = quantized_study(lab);
    PlanRequest request{.method = GENERATE(Method::paper, Method::front), .weights = *parse_weights("balanced")};
    request.mix_embedding = request.method == Method::front;
    Study mixed = study;
    if (request.mix_embedding) mixed.settings.mixes = Mixes::with_embedding;
    const auto output = lab.folder / "smaller.gguf";
    const auto result = run(mixed, request, kProbing, output);
    REQUIRE(result);
    CHECK(result->reference.name == "source file");
    CHECK(result->mix.memory_bytes <= study.inventory.size_bytes());
    check_shipped(study.inventory, result->plan, output);
}

TEST_CASE("a plan with layers as they are is written from a quantized model, and from no other", "[study][fake]")
{
    Lab lab;
    const Study study = quantized_study(lab);
    Plan plan{.embedding_type = "source", .allocation = {}};
    for (const Group& layer : study.inventory.layers) plan.allocation.push_back({layer.name, "source"});
    plan.allocation[1].type = "q4_0";
    const auto output = lab.folder / "smaller.gguf";
    REQUIRE(quantize(study.inventory, plan, study.workspace, output, 1, lab.monitor));
    check_shipped(study.inventory, plan, output);
    CHECK(std::filesystem::file_size(output) == quantized_bytes(study.inventory, plan).value());

    const Inventory refused = read_inventory(lab.model).value();
    for (const auto& error : {quantized_bytes(refused, plan).error(), quantized_fallbacks(refused, plan).error(),
                              quantize(refused, plan, study.workspace, output, 1, lab.monitor).error()}) {
        CHECK(error.message.contains("is q8_0 already"));
        CHECK(error.hint.contains("--from-quantized"));
    }
}

/// libllama, on a mix as in a Q4_K_M and on a Q8_0.
TEST_CASE("a file made from a quantized one runs, and is as far from it as its probes say", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_quantized_model(folder.path(), GENERATE("q8_0", "mix"));
    StudySettings settings{.types = {variant("q2_K"), variant("q3_K"), variant("source")}, .embedding_type = variant("source")};
    settings.run.threads = 1;
    settings.quality = {.context = 64, .chunks = 4, .kld_chunks = 4};
    settings.speed = {.repetitions = 2, .generated = 2, .prompt = 4};
    settings.text = settings.calibration = folder / "text.txt";
    std::string words;
    for (int i = 0; i < 300; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.text, words));
    settings.mixes = Mixes::layers;
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    Monitor quiet;
    const Study study{
        .inventory = read_inventory(model, true).value(), .workspace = workspace, .settings = settings, .monitor = quiet};
    const auto output = folder / "smaller.gguf";
    const auto result = run(study, {.method = Method::front, .weights = *parse_weights("0.4,0.2,0.4")}, {.chunks = 4}, output);
    INFO((result ? "" : result.error().message));
    REQUIRE(result);
    check_shipped(study.inventory, result->plan, output);
    CHECK(result->mix.memory_bytes == read_inventory(output)->size_bytes());

    // A group in one type, all others as they are.
    const auto sensitivity = sense(study, {.thorough = true, .chunks = 4});
    REQUIRE(sensitivity);
    Plan one{.embedding_type = "source", .allocation = {}};
    for (const Group& layer : study.inventory.layers) one.allocation.push_back({layer.name, "source"});
    one.allocation[1].type = "q2_K";
    REQUIRE(quantize(study.inventory, one, workspace, folder / "one.gguf", 2, quiet));
    const auto measured = measure(study, {{folder / "one.gguf", "one"}});
    REQUIRE(measured);
    const double probed = sensitivity->groups[1].probes[0].kld;
    CHECK(std::abs(probed / measured->front().quality.kld - 1) < 0.2);
}

}  // namespace
}  // namespace apreqel
