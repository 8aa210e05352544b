#include "study/study.h"

#include "base/file.h"
#include "gguf/container.h"
#include "support/compare.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <apreqel/evaluation.h>
#include <apreqel/refine.h>

#include <algorithm>

namespace apreqel {
namespace {

/// Settings for a study of seconds. With `text`, on a text and prompts beside the model instead of sampled ones.
Study small_study(const std::filesystem::path& model, Monitor& monitor, bool text = true)
{
    StudySettings settings{.types = {*parse_type("q4_K"), *parse_type("q8_0")}, .embedding_type = *parse_type("q6_K")};
    settings.run.threads = 1;
    settings.quality = {.context = 64, .chunks = 4, .kld_chunks = 2};
    settings.speed = {.repetitions = 2, .generated = 2, .prompt = 4};
    if (text) {
        settings.text = model.parent_path() / "text.txt";
        settings.prompts = model.parent_path() / "prompts.txt";
        std::string words;
        for (int i = 0; i < 300; ++i) words += std::format("word {} ", i * i);
        REQUIRE(write_text(settings.text, words));
        REQUIRE(write_text(settings.prompts, "one prompt\nand another one\n"));
    }
    const Workspace workspace(model, {});
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

PlanRequest weighing(const char* weights) { return {.weights = *parse_weights(weights)}; }

std::vector<std::string> leftovers(const std::filesystem::path& folder)
{
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.path().filename().string().contains(".part")) names.push_back(entry.path().string());
    }
    return names;
}

TEST_CASE("run writes a mixed model as planned, measures it, and does nothing twice", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 3});
    const auto output = folder / "mixed.gguf";
    Recorder first;
    const Study study = small_study(model, first, false);
    const auto result = run(study, weighing("0.4,0.2,0.4"), {}, output);
    REQUIRE(result);
    CHECK(result->plan.allocation.size() == 6);
    CHECK(result->uniform.size() == 2);
    CHECK(result->mix.memory_bytes >= result->uniform[0].memory_bytes);
    CHECK(result->mix.memory_bytes <= result->uniform[1].memory_bytes);
    CHECK(result->mix.quality.kld_tokens > 0);
    CHECK(result->reference.quality.perplexity > 0);

    const auto mixed = read_inventory(output);
    REQUIRE(mixed);
    for (const GroupType& entry : result->plan.allocation) {
        for (const std::size_t t : mixed->layers[*mixed->find_layer(entry.group)].tensors)
            CHECK(type_name(mixed->tensors[t].type) == entry.type);
    }
    const auto container = Container::read(*InputFile::open(output));
    CHECK(container->text("apreqel.method") == "paper");
    CHECK(container->text("apreqel.allocation")->contains("blk.2.ffn="));

    Recorder second;
    const Study again = small_study(model, second, false);
    const auto repeated = run(again, weighing("0.4,0.2,0.4"), {}, output);
    REQUIRE(repeated);
    for (const std::string& step : second.steps) {
        INFO(step);
        CHECK((step.contains("write") || step == "weights"));
    }  // the output; all else is known
    CHECK(to_json(repeated->plan) == to_json(result->plan));
    CHECK(leftovers(folder.path()).empty());
}

TEST_CASE("a front run ships what measured best, names what else it tried, and does nothing twice", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 2});
    const auto output = folder / "mixed.gguf";
    Recorder first;
    Study study = small_study(model, first);
    study.settings.types = {*parse_type("q3_K"), *parse_type("q4_K"), *parse_type("q8_0")};
    study.settings.calibration = study.settings.text;
    study.settings.mixes = Mixes::with_embedding;
    // What is shipped is timed once more, as the file it is: only without a weight on that is it comparable with what was tried.
    const PlanRequest request{.method = Method::front, .weights = *parse_weights("0.5,0,0.5"), .mix_embedding = true};
    const Objectives weighed{kMemory, kDivergence};
    const SenseSettings sensing{
        .thorough = true, .chunks = 2, .granularity = GENERATE(Granularity::layer, Granularity::tensor)};
    const auto result = run(study, request, sensing, output);
    REQUIRE(result);
    CHECK(result->limits_kept);
    for (const TriedModel& tried : result->tried) {
        CHECK(!dominates(columns_of(metrics_of(tried.measured), weighed), columns_of(metrics_of(result->mix), weighed)));
    }
    CHECK(result->tried.size() + 1 <= kMostAttempts);
    // What was shipped is what was measured, and nothing of the attempts stays.
    const auto shipped = read_inventory(output);
    REQUIRE(shipped);
    CHECK(shipped->size_bytes() == result->mix.memory_bytes);
    CHECK(std::filesystem::is_empty(model.string() + ".apreqel/mixes"));
    CHECK(result->plan.allocation.back().group == kEmbedding);
    CHECK(result->plan.chosen().estimate[kMemory] == static_cast<double>(result->mix.memory_bytes));

    Recorder second;
    Study again = study;
    again.settings = study.settings;
    const Study repeat{again.inventory, again.workspace, again.settings, second};
    REQUIRE(run(repeat, request, sensing, output));
    for (const std::string& step : second.steps) {
        INFO(step);
        CHECK((step.contains("write") || step == "weights"));
    }
}

TEST_CASE("a limit that the measured mix does not keep is said", "[study][slow]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 2});
    Monitor quiet;
    Study study = small_study(model, quiet);
    study.settings.calibration = study.settings.text;
    PlanRequest request{.method = Method::front, .weights = *parse_weights("1,0,0")};
    const SenseSettings sensing{.thorough = true, .chunks = 2};
    const auto free = run(study, request, sensing, folder / "free.gguf");
    REQUIRE(free);
    request.limits.most[kMemory] = static_cast<double>(free->mix.memory_bytes - 1);
    const auto none = run(study, request, sensing, folder / "none.gguf");
    REQUIRE(!none);
    CHECK(none.error().code == ErrorCode::infeasible);
    CHECK(!std::filesystem::exists(folder / "none.gguf"));
    // Between what was predicted and what is measured: the plan is made, and the measurement says no.
    request.limits = {};
    request.limits.most[kDivergence] = free->plan.chosen().estimate[kDivergence] * 1.0001;
    const auto close = run(study, request, sensing, folder / "close.gguf");
    if (close) CHECK(close->limits_kept == (close->mix.quality.kld <= request.limits.most[kDivergence]));
}

TEST_CASE("a variant made elsewhere is measured, probed, planned with and spliced", "[study][slow]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 2});
    REQUIRE(run_tool(std::format("llama-quantize --pure {} {} Q5_K_S", model.string(), (folder / "theirs.gguf").string())));
    Monitor quiet;
    Study study = small_study(model, quiet);
    study.settings.calibration = study.settings.text;
    study.settings.mixes = Mixes::with_embedding;
    const auto foreign = read_foreign_variant("stock", folder / "theirs.gguf", study.inventory);
    REQUIRE(foreign);
    study.settings.types = {*parse_type("q4_K"), *parse_type("q5_K"), *foreign};
    const auto profiled = profile(study);
    REQUIRE(profiled);
    const auto sensitivity = sense(study, {.thorough = true, .chunks = 2});
    REQUIRE(sensitivity);
    // A pure q5_K file of llama-quantize is our q5_K: same memory, same quality, same probes.
    CHECK(profiled->model.types[2].type == "stock");
    CHECK(profiled->model.types[2].memory_bytes == profiled->model.types[1].memory_bytes);
    CHECK(profiled->model.types[2].quality.perplexity == profiled->model.types[1].quality.perplexity);
    for (const GroupSensitivity& group : sensitivity->groups) {
        if (group.group == kEmbedding)
            CHECK(group.probes[2].memory_bytes == 0);  // embeddings stay ours
        else
            CHECK(group.probes[2].kld == group.probes[1].kld);
    }

    Plan plan{.embedding_type = "q6_K"};
    for (const Group& layer : study.inventory.layers) plan.allocation.push_back({layer.name, "stock"});
    CHECK(!quantize(study.inventory, plan, study.workspace, folder / "out.gguf", 1, quiet));  // which file is stock?
    REQUIRE(quantize(study.inventory, plan, study.workspace, folder / "out.gguf", 1, quiet, study.settings.types));
    for (GroupType& entry : plan.allocation) entry.type = "q5_K";
    REQUIRE(quantize(study.inventory, plan, Workspace(model, folder / "empty"), folder / "own.gguf", 1, quiet));
    CHECK(different_tensor(folder / "out.gguf", folder / "own.gguf") == "");
}

TEST_CASE("an interrupted run keeps what is done and goes on from there", "[study]")
{
    const std::string stop_at = GENERATE("score", "write", "full precision", "q8_0", "latency");
    INFO("stopped at " << stop_at);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 2});
    Recorder stopping(stop_at);
    const auto stopped = run(small_study(model, stopping), weighing("1,1,1"), {}, folder / "mixed.gguf");
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
    CHECK(!std::filesystem::exists(folder / "mixed.gguf"));
    CHECK(leftovers(folder.path()).empty());

    Recorder resumed;
    REQUIRE(run(small_study(model, resumed), weighing("1,1,1"), {}, folder / "mixed.gguf"));
    for (const std::string& step : stopping.steps) {
        if (step == stopping.steps.back()) continue;
        INFO(step);
        const auto times = std::ranges::count(resumed.steps, step);
        CHECK((times == 0 || step.contains("latency") || step.contains("write") ||
               step == "weights"));  // the output's, not the variants'
    }
}

TEST_CASE("interrupted while sampling text, nothing half-written is taken for text", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1});
    Recorder stopping("sample");
    const auto stopped = score(small_study(model, stopping, false));
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
    CHECK(std::filesystem::is_empty(model.string() + ".apreqel/quality"));
    CHECK(leftovers(folder.path()).empty());
}

/// The workspace's files whose name begins so.
std::vector<std::filesystem::path> artifacts(const std::filesystem::path& model, const std::string& beginning)
{
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(model.string() + ".apreqel")) {
        if (entry.path().filename().string().starts_with(beginning)) paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    return paths;
}

TEST_CASE("the own importance matrix is collected once, on words that nothing is measured on", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.context = 64});
    Recorder recorder;
    Study study = small_study(model, recorder, false);
    REQUIRE(profile(study));
    const std::vector<std::filesystem::path> plain = artifacts(model, "q4_K-");
    REQUIRE(plain.size() == 1);
    REQUIRE(use_own_importance(study));
    CHECK(std::ranges::contains(recorder.steps, "imatrix"));
    CHECK(study.inventory.importance.starts_with("imatrix.gguf "));
    for (const Tensor& tensor : study.inventory.tensors)
        CHECK((tensor.importance != nullptr) == (tensor.place == TensorPlace::layer));
    const auto calibration = artifacts(model, "sampled-calibration-");
    REQUIRE(calibration.size() == 1);
    const std::string measured = read_text(artifacts(model, "sampled-text-").front()).value();
    const std::string collected = read_text(calibration.front()).value();
    CHECK(collected.substr(0, 200) != measured.substr(0, 200));
    study.settings.types = {Variant(*parse_type("q4_K"), true), Variant(*parse_type("q8_0"), true)};
    REQUIRE(profile(study));
    CHECK(artifacts(model, "q4_K+imatrix-").size() == 1);  // variants made with the matrix are others

    Recorder second;
    Study again = small_study(model, second, false);
    REQUIRE(use_own_importance(again));
    CHECK(second.steps.empty());
    CHECK(again.inventory.importance == study.inventory.importance);

    std::string words;
    for (int i = 0; i < 300; ++i) words += std::format("other {} ", i);
    REQUIRE(write_text(folder / "calibration.txt", words));
    Study other = small_study(model, second, false);
    other.settings.calibration = folder / "calibration.txt";
    REQUIRE(use_own_importance(other));
    CHECK(other.inventory.importance != study.inventory.importance);
    CHECK(artifacts(model, "imatrix-").size() == 2);
}

TEST_CASE("a damaged importance matrix of the workspace is collected again, an interrupted one leaves nothing", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1});
    Recorder stopping("imatrix");
    Study study = small_study(model, stopping);
    study.settings.calibration = study.settings.text;
    const auto stopped = use_own_importance(study);
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
    CHECK(artifacts(model, "imatrix").empty());
    CHECK(study.inventory.importance.empty());

    Recorder recorder;
    Study first = small_study(model, recorder);
    first.settings.calibration = first.settings.text;
    REQUIRE(use_own_importance(first));
    const std::filesystem::path path = artifacts(model, "imatrix-").front();
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    Study second = small_study(model, recorder);
    second.settings.calibration = second.settings.text;
    REQUIRE(use_own_importance(second));
    CHECK(second.inventory.importance == first.inventory.importance);
    CHECK(leftovers(folder.path()).empty());
}

TEST_CASE("a change of settings is measured anew, and back again is not", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    Recorder recorder;
    Study study = small_study(model, recorder);
    REQUIRE(score(study));
    study.settings.gamma = 0.5;
    recorder.steps.clear();
    const auto other = score(study);
    REQUIRE(other);
    CHECK(other->gamma == 0.5);
    CHECK(std::ranges::contains(recorder.steps, "score"));
    REQUIRE(profile(study));
    recorder.steps.clear();
    study.settings.quality.chunks = 3;
    REQUIRE(profile(study));
    CHECK(!recorder.steps.empty());
    recorder.steps.clear();
    study.settings.quality.chunks = 4;
    REQUIRE(profile(study));
    CHECK(recorder.steps.empty());
}

TEST_CASE("measurements that were damaged on disk are made again", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    Recorder recorder;
    const Study study = small_study(model, recorder);
    const auto first = profile(study);
    REQUIRE(first);
    for (const char* artifacts : {"quality", "speed"}) {
        for (const auto& entry : std::filesystem::directory_iterator(model.string() + ".apreqel/" + artifacts))
            std::filesystem::resize_file(entry.path(), 40);
    }
    const auto second = profile(study);
    REQUIRE(second);
    CHECK(second->model.types[0].quality.perplexity == first->model.types[0].quality.perplexity);
}

TEST_CASE("llama-quantize makes the same tensors from the tensor type file", "[study]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const std::string architecture = GENERATE("llama", "phi3", "qwen3moe");
    INFO(architecture);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.architecture = architecture, .blocks = 3});
    const auto inventory = read_inventory(model);
    REQUIRE(inventory);
    Plan plan{.embedding_type = "q6_K"};
    const std::vector<std::string> types{"q3_K", "q5_K", "q8_0", "q4_K", "q6_K"};
    for (std::size_t l = 0; l < inventory->layers.size(); ++l)
        plan.allocation.push_back({inventory->layers[l].name, types[l % types.size()]});
    Monitor monitor;
    REQUIRE(quantize(*inventory, plan, Workspace(model, {}), folder / "ours.gguf", 2, monitor));
    REQUIRE(write_text(folder / "types", tensor_type_file(plan).value()));
    REQUIRE(run_tool(std::format(
        "llama-quantize --pure --token-embedding-type q6_K --output-tensor-type q6_K --tensor-type-file {} {} {} Q2_K",
        (folder / "types").string(), model.string(), (folder / "theirs.gguf").string())));
    CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf") == "");
}

TEST_CASE("a plan that does not fit the model is refused", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1});
    const auto inventory = read_inventory(model).value();
    const auto message = [&](const Plan& plan) {
        Monitor monitor;
        const auto made = quantize(inventory, plan, Workspace(model, {}), folder / "out.gguf", 1, monitor);
        CHECK(!std::filesystem::exists(folder / "out.gguf"));
        return made ? std::string() : made.error().message;
    };
    const Plan good{.allocation = {{"blk.0.attn", "q4_K"}, {"blk.0.ffn", "q8_0"}}};
    Plan plan = good;
    plan.model = "someone else";
    CHECK(message(plan).contains("another model"));
    plan = good;
    plan.allocation.pop_back();
    CHECK(message(plan).contains("no type for layer blk.0.ffn"));
    plan = good;
    plan.allocation[1].group = "blk.7.ffn";
    CHECK(message(plan).contains("blk.7.ffn"));
    plan.allocation[1].group = "blk.0.attn";
    CHECK(message(plan).contains("twice"));
    plan = good;
    plan.allocation[0].type = "q4_Z";
    CHECK(message(plan).contains("q4_Z"));
    plan.allocation[0].type = "iq2_xxs";
    CHECK(message(plan).contains("importance matrix"));
}

}  // namespace
}  // namespace apreqel
