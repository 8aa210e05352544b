// One small model of each architecture goes the whole way: groups, importance, sensitivity, plan, file, and back into libllama.
#include "support/architectures.h"

#include "base/file.h"
#include "model/importance.h"
#include "model/names.h"
#include "study/study.h"
#include "support/compare.h"
#include "support/lab.h"
#include "support/temp_dir.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <ranges>

namespace apreqel {
namespace {

Study architecture_study(const std::filesystem::path& model, Monitor& monitor)
{
    StudySettings settings{.types = {*parse_type("q4_0"), *parse_type("q8_0")}, .embedding_type = *parse_type("q8_0")};
    settings.run.threads = 1;
    settings.form = *parse_type("f32");
    settings.quality = {.context = 32, .chunks = 2, .kld_chunks = 2};
    settings.speed = {.repetitions = 2, .generated = 1, .prompt = 0};
    settings.text = settings.calibration = model.parent_path() / "text.txt";
    std::string words;
    for (int i = 0; i < 60; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(settings.text, words));
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

/// Roles of the groups of a layer, in the order of names.
std::string roles(const Inventory& inventory, const std::string& layer)
{
    std::vector<std::string> found;
    for (const Group& group : groups_of(inventory, Granularity::tensor))
        if (group.layer == layer) found.push_back(group.name.substr(group.name.find('.', 4) + 1));
    std::ranges::sort(found);
    std::string text;
    for (const std::string& role : found) text += (text.empty() ? "" : " ") + role;
    return text;
}

/// Groups in K types, in turn: on rows as short as these they fall back to all that llama-quantize falls back to.
Plan mixed_plan(const Inventory& inventory)
{
    constexpr std::array<const char*, 4> kTypes{"q4_K", "q6_K", "q3_K", "q5_K"};
    Plan plan;
    for (const Group& group : groups_of(inventory, Granularity::tensor))
        plan.allocation.push_back({group.name, kTypes[plan.allocation.size() % kTypes.size()]});
    return plan;
}

/// NextN blocks as we store them: no plan names them.
std::string inert_types(const Inventory& inventory)
{
    std::string lines;
    for (const Tensor& tensor : inventory.tensors)
        if (tensor.place == TensorPlace::inert) lines += std::format("^{}$=q8_0\n", tensor.name);
    return lines;
}

}  // namespace

TEST_CASE("every architecture goes the whole way", "[study][architectures]")
{
    const Architecture& architecture = GENERATE(from_range(architectures()));
    INFO(architecture.name << ", " << architecture.kind);
    const TempDir folder(fast_folder());
    const auto model = make_architecture(folder.path(), architecture);
    Monitor quiet;
    Study study = architecture_study(model, quiet);
    CHECK(roles(study.inventory, "blk.1.attn") == architecture.attention);
    CHECK(roles(study.inventory, "blk.1.ffn") == architecture.ffn);
    CHECK(study.inventory.unknown.empty());

    // Sensed and planned, no group left out.
    const auto sensitivity = sense(study, {.thorough = true, .chunks = 2, .granularity = Granularity::tensor});
    INFO((sensitivity ? "" : sensitivity.error().message));
    REQUIRE(sensitivity);
    const auto times = outlook(study);
    INFO((times ? "" : times.error().message));
    REQUIRE(times);
    PlanRequest request = front_request();
    request.mix_embedding = true;
    const auto plan = make_front_plan(*times, *sensitivity, request);
    INFO((plan ? "" : plan.error().message));
    REQUIRE(plan);
    CHECK(plan->allocation.size() == groups_of(study.inventory, Granularity::tensor).size());
    REQUIRE(quantize(study.inventory, *plan, study.workspace, folder / "planned.gguf", 1, quiet));
    CHECK(read_inventory(folder / "planned.gguf")->size_bytes() ==
          static_cast<std::uint64_t>(plan->chosen().estimate[kMemory]));

    // A mix with an importance matrix runs, and holds the very bytes of llama-quantize.
    const auto matrix = folder / "imatrix.gguf";
    const auto collected = make_importance(study, {.context = 64}, matrix);
    INFO((collected ? "" : collected.error().message));
    REQUIRE(collected);
    REQUIRE(read_importance(matrix, study.inventory));
    Plan mixed = mixed_plan(study.inventory);
    for (GroupType& entry : mixed.allocation)
        if (entry.group != kEmbedding) entry.type += kWithImportance;
    REQUIRE(quantize(study.inventory, mixed, study.workspace, folder / "ours.gguf", 1, quiet));
    const auto measured = measure_quality(study, {folder / "ours.gguf", "ours"});
    INFO((measured ? "" : measured.error().message));
    REQUIRE(measured);
    CHECK(measured->quality.kld > 0);
    if (!have_tool("llama-quantize")) return;
    REQUIRE(write_text(folder / "types", tensor_type_file(mixed).value() + inert_types(study.inventory)));
    REQUIRE(run_tool(std::format("llama-quantize --pure --imatrix {} --tensor-type-file {} {} {} Q6_K 1", matrix.string(),
                                 (folder / "types").string(), model.string(), (folder / "theirs.gguf").string())));
    CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf") == "");
}

}  // namespace apreqel
