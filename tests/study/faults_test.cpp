// What a workspace goes through: damage, two models, texts that are too short, processes that were killed.
#include "base/file.h"
#include "study/study.h"
#include "study/variants.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <set>

namespace apreqel {
namespace {

std::string words(int count)
{
    std::string text;
    for (int i = 0; i < count; ++i) text += std::format("word {} ", i * i);
    return text;
}

/// A study of seconds, on text it writes itself.
Study faulty_study(const std::filesystem::path& model, Monitor& monitor, const std::filesystem::path& directory = {})
{
    StudySettings settings{.types = {*parse_type("q4_K"), *parse_type("q8_0")}, .embedding_type = *parse_type("q6_K")};
    settings.run.threads = 1;
    settings.quality = {.context = 64, .chunks = 4, .kld_chunks = 2};
    settings.speed = {.repetitions = 2, .generated = 2, .prompt = 4};
    const Workspace workspace(model, directory);
    REQUIRE(workspace.create());
    return {.inventory = read_inventory(model).value(), .workspace = workspace, .settings = settings, .monitor = monitor};
}

constexpr SenseSettings kProbing{.thorough = true, .chunks = 2};
const PlanRequest kEqual{.weights = *parse_weights("1,1,1")};

/// Everything a workspace holds but seals.
std::vector<std::filesystem::path> artifacts(const Workspace& workspace)
{
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(workspace.directory())) {
        const std::string name = entry.path().filename().string();
        if (entry.is_regular_file() && !name.starts_with(".") && !name.ends_with(".damaged")) paths.push_back(entry.path());
    }
    return paths;
}

void truncate(const std::filesystem::path& path) { std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2); }

/// Changes bytes all over the file, and neither its length nor its beginning.
void garble(const std::filesystem::path& path)
{
    std::string bytes = read_text(path).value();
    for (std::size_t i = 40; i < bytes.size(); i += 97) bytes[i] = static_cast<char>(~bytes[i]);
    REQUIRE(write_text(path, bytes));
}

void replace(const std::filesystem::path& path) { REQUIRE(write_text(path, R"({"schema":"something else/1"})")); }

std::size_t damaged(const Recorder& recorder)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(recorder.warnings, [](const std::string& warning) { return warning.contains("damaged"); }));
}

/// The warnings that say so of `path`.
std::size_t named(const Recorder& recorder, const std::filesystem::path& path)
{
    return static_cast<std::size_t>(std::ranges::count_if(
        recorder.warnings, [&](const std::string& warning) { return warning.contains(path.string() + " is damaged"); }));
}

TEST_CASE("whatever is damaged in a workspace is named once, set aside, and made again as it was", "[study][slow]")
{
    const auto damage = GENERATE(truncate, garble, replace);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .context = 64});
    const auto all_stages = [&](Monitor& monitor) {
        Study study = faulty_study(model, monitor);
        REQUIRE(use_own_importance(study));
        auto result = run(study, kEqual, {}, folder / "out.gguf");
        REQUIRE(result);
        const auto sensitivity = sense(study, kProbing);
        REQUIRE(sensitivity);
        return std::pair(std::move(*result), to_json(*sensitivity));
    };
    Recorder first;
    const auto before = all_stages(first);
    CHECK(damaged(first) == 0);
    const std::vector<std::filesystem::path> made = artifacts(Workspace(model, {}));
    // Three sampled texts, imatrix, scores, reference, profile, plan, run, two variants, four qualities, two speeds, sensitivity
    // and three columns of it.
    CHECK(made.size() >= 20);
    for (const auto& path : made) damage(path);

    Recorder second;
    const auto after = all_stages(second);
    for (const auto& path : made) {
        INFO(path);
        const std::string name = path.filename().string();
        const bool result =
            name == "plan.json" || name == "run.json" || name == "profile.json";  // what nobody reads is just written again
        CHECK(named(second, path) == (result ? 0 : 1));
        CHECK(std::filesystem::exists(path.string() + ".damaged") == !result);
        CHECK(std::filesystem::exists(path));
    }
    CHECK(after.first.mix.quality.perplexity == before.first.mix.quality.perplexity);
    CHECK(after.first.mix.quality.kld == before.first.mix.quality.kld);
    CHECK(after.second == before.second);

    Recorder third;
    static_cast<void>(all_stages(third));
    CHECK(damaged(third) == 0);
    for (const std::string& step : third.steps) {
        INFO(step);
        CHECK((step.contains("write") || step == "weights"));
    }
}

TEST_CASE("a damaged variant is not spliced from, by one who may not change the workspace either", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1});
    Recorder recorder;
    const Study study = faulty_study(model, recorder);
    REQUIRE(build_variants(study));
    const Plan plan{.embedding_type = "q6_K", .allocation = {{"blk.0.attn", "q4_K"}, {"blk.0.ffn", "q4_K"}}};
    const auto made = [&](const Workspace& workspace, const char* name) {
        REQUIRE(quantize(study.inventory, plan, workspace, folder / name, 1, recorder));
        return read_text(folder / name).value();
    };
    const std::string right = made(Workspace(model, folder / "empty"), "right.gguf");
    const auto variant = variant_files(study).front().path;
    garble(variant);
    CHECK(made(Workspace(model, {}), "out.gguf") == right);
    REQUIRE(recorder.warnings.size() == 1);
    CHECK(recorder.warnings.front().contains(variant.string()));
    CHECK(std::filesystem::exists(variant));
}

TEST_CASE("two models in one workspace are not taken for one another", "[study][slow]")
{
    const TempDir folder;
    const auto a = make_tiny_model(folder.path(), {.blocks = 1, .context = 64, .seed = 1, .file = "a.gguf"});
    const auto b = make_tiny_model(folder.path(), {.blocks = 1, .context = 64, .seed = 2, .file = "b.gguf"});
    const auto results = [&](const std::filesystem::path& model, const std::filesystem::path& directory) {
        Monitor quiet;
        const Study study = faulty_study(model, quiet, directory);
        const auto scores = score(study);
        const auto profiled = profile(study);
        const auto sensitivity = sense(study, kProbing);
        REQUIRE((scores && profiled && sensitivity));
        std::string all = to_json(*scores) + to_json(*sensitivity);
        for (const UniformVariant& variant : profiled->model.types) all += to_json(variant.quality);
        return all;
    };
    const std::string alone_a = results(a, folder / "alone-a");
    const std::string alone_b = results(b, folder / "alone-b");
    CHECK(results(a, folder / "shared") == alone_a);
    CHECK(results(b, folder / "shared") == alone_b);
    CHECK(results(a, folder / "shared") == alone_a);
}

TEST_CASE("a change of input is seen by the files that depend on it", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .context = 64});
    Monitor quiet;
    Study study = faulty_study(model, quiet);
    study.settings.text = study.settings.prompts = study.settings.calibration = folder / "text.txt";
    REQUIRE(write_text(study.settings.text, words(300)));
    const auto everything = [&] {
        REQUIRE(score(study));
        REQUIRE(profile(study));
        REQUIRE(sense(study, kProbing));
        std::set<std::string> paths;
        for (const auto& path : artifacts(study.workspace)) paths.insert(path.lexically_relative(study.workspace.directory()));
        return paths;
    };
    // The folders that hold another file after a change.
    const auto grown = [&](const auto& edit) {
        const auto before = everything();
        edit();
        std::set<std::string> folders;
        for (const std::string& path : everything())
            if (!before.contains(path)) folders.insert(std::filesystem::path(path).parent_path());
        return folders;
    };
    using Folders = std::set<std::string>;
    CHECK(grown([] {}).empty());
    CHECK(grown([&] { study.settings.run.threads = 2; }) == Folders{"profile", "speed"});
    CHECK(grown([&] { study.settings.run.gpu_layers = 0; }) ==
          Folders{"", "profile", "quality", "speed", "sense"});  // "": the reference
    CHECK(grown([&] { study.settings.speed.repetitions = 3; }) == Folders{"profile", "speed"});
    CHECK(grown([&] { study.settings.quality.chunks = 3; }) == Folders{"", "profile", "quality"});
    CHECK(grown([&] { study.settings.embedding_type = *parse_type("q8_0"); }) ==
          Folders{"profile", "variants", "quality", "speed"});
    CHECK(grown([&] { REQUIRE(write_text(folder / "text.txt", words(400))); }) == Folders{"", "profile", "quality", "sense"});
}

TEST_CASE("a text that is too short is refused before anything is sampled or built", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .context = 64});
    const auto enough = folder / "enough.txt";
    const auto few = folder / "few.txt";
    REQUIRE(write_text(enough, words(800)));
    REQUIRE(write_text(few, GENERATE("", "\n", "a few words")));
    Recorder recorder;
    Study study = faulty_study(model, recorder);
    const auto refused = [&](const auto& result) {
        REQUIRE(!result);
        INFO(result.error().message);
        CHECK(result.error().code == ErrorCode::usage);
        CHECK(result.error().message.contains("few.txt"));
        CHECK(recorder.steps.empty());
        CHECK(artifacts(study.workspace).empty());
    };
    const auto output = folder / "out.gguf";
    const PlanRequest front{.method = Method::front, .weights = kEqual.weights};
    study.settings.text = few;
    refused(profile(study));
    refused(measure(study, {{model, "model"}}));
    refused(run(study, kEqual, {}, output));
    refused(evaluate(study, {.ablation = false, .front = false}));
    study.settings.text = enough;
    study.settings.calibration = few;
    refused(sense(study, kProbing));
    refused(run(study, front, kProbing, output));
    refused(evaluate(study, {.ablation = false, .sense = kProbing}));
    refused(make_importance(study, {.context = 64}, folder / "imatrix.gguf"));
    std::swap(study.settings.text, study.settings.calibration);
    refused(use_own_importance(study));
    std::swap(study.settings.text, study.settings.calibration);
    study.settings.text.clear();  // it would be sampled, which takes long
    refused(run(study, front, kProbing, output));
}

TEST_CASE("prompts without a token are refused before anything is sampled or built", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .context = 64});
    Recorder recorder;
    Study study = faulty_study(model, recorder);
    study.settings.prompts = folder / "prompts.txt";
    REQUIRE(write_text(study.settings.prompts, " \n\n"));
    CHECK(!score(study));
    CHECK(!run(study, kEqual, {}, folder / "out.gguf"));
    CHECK(recorder.steps.empty());
}

TEST_CASE("text is sampled only where none is given, and only what is needed", "[study]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .context = 64});
    Recorder recorder;
    Study study = faulty_study(model, recorder);
    study.settings.calibration = folder / "text.txt";
    REQUIRE(write_text(study.settings.calibration, words(800)));
    const auto sampled = [&] {
        const auto count = std::ranges::count(recorder.steps, "sample text from the model");
        recorder.steps.clear();
        return count;
    };
    REQUIRE(sense(study, kProbing));
    REQUIRE(use_own_importance(study));
    CHECK(sampled() == 0);
    study.settings.calibration.clear();
    study.settings.text = study.settings.prompts = folder / "text.txt";
    REQUIRE(score(study));
    REQUIRE(profile(study));
    CHECK(sampled() == 0);
    REQUIRE(sense(study, kProbing));
    CHECK(sampled() == 1);
}

}  // namespace
}  // namespace apreqel
