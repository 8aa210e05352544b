#include "study/keys.h"
#include "runtime/session.h"

#include "base/file.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <set>

namespace apreqel {
namespace {

using Names = std::set<std::string>;

/// Artifacts that have different keys under two sets of facts.
Names changed(const Facts& before, const Facts& after)
{
    Names names;
    for (const Artifact& artifact : kArtifacts)
        if (before.key(artifact) != after.key(artifact)) names.emplace(artifact.name);
    return names;
}

const Names kTexts{"sampled-text.txt", "sampled-prompts.jsonl", "sampled-calibration.txt"};
const Names kRun{
    "scores.json",       "imatrix.gguf",       "hessian.gguf",        "reference.expected",   "quality/quality.json",
    "speed/models.json", "quality/plan.json",  "quality/look.json",   "sense/*.json",         "sense/reference.expected",
    "sensitivity.json",  "profile/model.json", "profile/device.json", "profile/outlook.json", "profile/cache.json",
    "rivals/*.json"};
const Names kTimedProfiles{"profile/device.json", "profile/outlook.json"};
const Names kTimes{"profile/device.json", "profile/outlook.json", "profile/cache.json", "speed/models.json"};
const Names kProfiles{"profile/model.json", "profile/device.json", "profile/outlook.json"};
const Names kForms{"form.txt"};
const Names kBuilt{"variants/*.gguf", "mixes/mix.gguf"};
const Names kStocks{"rivals/*.gguf"};

Names operator+(Names left, const Names& right)
{
    left.insert(right.begin(), right.end());
    return left;
}

Names operator-(Names left, const Names& right)
{
    for (const std::string& name : right) left.erase(name);
    return left;
}

struct Fixture {
    Fixture()
    {
        StudySettings settings{.types = {*parse_type("q4_K"), Variant(*parse_type("q5_K"), true)},
                               .embedding_type = *parse_type("q6_K")};
        settings.run = {.threads = 2, .gpu_layers = -1};
        study.emplace(Study{.inventory = read_inventory(make_tiny_model(folder.path())).value(),
                            .workspace = Workspace(folder / "llama.gguf", {}),
                            .settings = settings,
                            .monitor = monitor});
        study->inventory.importance = "a.gguf 1111";
    }

    /// All inputs of all artifacts.
    [[nodiscard]] Facts facts() const
    {
        Facts all = Facts::of(*study);
        for (const Input input :
             {Input::samples, Input::text, Input::prompts, Input::calibration, Input::form, Input::collecting, Input::probing,
              Input::type, Input::allocation, Input::mixes, Input::files, Input::context})
            all = all.with(input, "one");
        return all;
    }

    TempDir folder;
    Monitor monitor;
    std::optional<Study> study;
};

TEST_CASE("an input that changes gives another key to the artifacts that depend on it, and to no other", "[study]")
{
    const Fixture fixture;
    const Facts facts = fixture.facts();
    const Names all = kTexts + kRun + kForms + kBuilt + kStocks;
    const std::vector<std::pair<Input, Names>> table{
        {Input::model, all - Names{"speed/models.json"}},
        {Input::seed, kTexts},
        {Input::samples, kTexts},
        {Input::text,
         {"reference.expected", "quality/quality.json", "quality/plan.json", "quality/look.json", "profile/model.json",
          "rivals/*.json"}},
        {Input::prompts, {"scores.json"}},
        {Input::calibration,
         {"imatrix.gguf", "hessian.gguf", "sense/*.json", "sense/reference.expected", "sensitivity.json",
          "profile/cache.json"}},
        {Input::form, kTexts + Names{"imatrix.gguf", "hessian.gguf", "sense/*.json", "sense/reference.expected",
                                     "sensitivity.json", "profile/cache.json"}},
        {Input::gamma, {"scores.json"}},
        {Input::collecting, {"imatrix.gguf", "hessian.gguf"}},
        {Input::probing, {"sense/*.json", "sense/reference.expected", "sensitivity.json"}},
        {Input::quality,
         {"reference.expected", "quality/quality.json", "quality/plan.json", "quality/look.json", "profile/model.json",
          "rivals/*.json"}},
        {Input::speed, kTimes},
        {Input::embedding,
         kBuilt + kProfiles + Names{"sensitivity.json", "quality/plan.json", "quality/look.json", "profile/cache.json"}},
        {Input::type, {"variants/*.gguf", "sense/*.json", "rivals/*.gguf", "rivals/*.json", "profile/cache.json"}},
        {Input::context, {"profile/cache.json"}},
        {Input::types, kProfiles},
        {Input::allocation, {"mixes/mix.gguf", "quality/plan.json", "quality/look.json"}},
        {Input::mixes, kTimedProfiles},
        {Input::files, {"quality/quality.json", "speed/models.json"}},
        {Input::offload, kTexts + kRun + kForms},
        {Input::threads, kForms + kTimes},
        {Input::device, kForms + kTimes},
        {Input::apreqel, all},
        {Input::libllama, kTexts + kRun + kForms + kStocks},
        {Input::libggml, all}};
    CHECK(table.size() == kInputs);
    for (const auto& [input, depending] : table) {
        INFO("input " << static_cast<int>(input));
        CHECK(changed(facts, facts.with(input, "another")) == depending);
    }
}

TEST_CASE("each setting of a study is one of the inputs", "[study]")
{
    const Fixture fixture;
    const Facts before = fixture.facts();
    const auto change = [&](const std::function<void(Study&)>& edit) {
        Fixture other;
        other.study->inventory = fixture.study->inventory;
        edit(*other.study);
        return changed(before, other.facts());
    };
    const Names quality{"reference.expected", "quality/quality.json", "quality/plan.json",
                        "quality/look.json",  "profile/model.json",   "rivals/*.json"};
    const Names& speed = kTimes;
    CHECK(change([](Study&) {}).empty());
    CHECK(change([](Study& s) { s.inventory.fingerprint = "other"; }) ==
          kTexts + kRun + kForms + kBuilt + kStocks - Names{"speed/models.json"});
    CHECK(change([](Study& s) { s.settings.seed = 2; }) == kTexts);
    CHECK(change([](Study& s) { s.settings.gamma = 0.8; }) == Names{"scores.json"});
    CHECK(change([](Study& s) { s.settings.quality.context = 256; }) == quality);
    CHECK(change([](Study& s) { s.settings.quality.chunks = 3; }) == quality);
    CHECK(change([](Study& s) { s.settings.quality.kld_chunks = 3; }) == quality);
    CHECK(change([](Study& s) { s.settings.speed.repetitions = 3; }) == speed);
    CHECK(change([](Study& s) { s.settings.speed.generated = 3; }) == speed);
    CHECK(change([](Study& s) { s.settings.speed.prompt = 3; }) == speed);
    CHECK(change([](Study& s) { s.settings.speed.depth = 3; }) == speed);
    CHECK(change([](Study& s) { s.settings.speed.energy = true; }) == speed);
    CHECK(change([](Study& s) { s.settings.run.threads = 1; }) == speed + kForms);
    CHECK(change([](Study& s) { s.settings.run.gpu_layers = 0; }) == kTexts + kRun + kForms);
    CHECK(change([](Study& s) { s.settings.run.split_mode = "row"; }) == kTexts + kRun + kForms);
    CHECK(change([](Study& s) { s.settings.run.offload_cache = false; }) == kTexts + kRun + kForms);
    CHECK(change([](Study& s) { s.settings.run.overrides = {{"exps", "CPU"}}; }) == kTexts + kRun + kForms);
    CHECK(change([](Study& s) { s.settings.run.cache.keys = "q8_0"; }) == speed);
    CHECK(change([](Study& s) { s.settings.run.cache.values = "q8_0"; }) == speed);
    CHECK(change([](Study& s) { s.settings.context = 4096; }).empty());
    CHECK(change([](Study& s) { s.settings.types.pop_back(); }) == kProfiles);
    CHECK(change([](Study& s) { s.settings.embedding_type = *parse_type("q8_0"); }) ==
          kBuilt + kProfiles + Names{"sensitivity.json", "quality/plan.json", "quality/look.json", "profile/cache.json"});
    CHECK(change([](Study& s) { s.inventory.importance = "a.gguf 2222"; }) == kProfiles);
    CHECK(change([](Study& s) { s.inventory.importance = "renamed.gguf 1111"; }).empty());
    CHECK(change([](Study& s) { s.settings.run.gpu_layers = -5; }).empty());  // all, too
}

TEST_CASE("a variant depends on its importance matrix or its file, and on nothing of that kind else", "[study]")
{
    Fixture fixture;
    Inventory& inventory = fixture.study->inventory;
    const Variant plain(*parse_type("q5_K"));
    const Variant weighted(*parse_type("q5_K"), true);
    Variant foreign(plain);
    foreign.name = "mine";
    foreign.foreign = std::make_shared<const Inventory>(inventory);
    const auto names = [&] {
        return std::vector{made_with(inventory, plain), made_with(inventory, weighted), made_with(inventory, foreign),
                           made_with(inventory, {plain, weighted}, {{"blk.0.attn", "q5_K"}}),
                           made_with(inventory, {plain, weighted}, {{"blk.0.attn", "q5_K+imatrix"}})};
    };
    const auto before = names();
    inventory.importance = "a.gguf 2222";
    auto after = names();
    CHECK(after[0] == before[0]);
    CHECK(after[1] != before[1]);
    CHECK(after[2] == before[2]);
    CHECK(after[3] == before[3]);
    CHECK(after[4] != before[4]);
    Inventory other = inventory;
    other.fingerprint = "other";
    foreign.foreign = std::make_shared<const Inventory>(other);
    CHECK(made_with(inventory, foreign) != before[2]);
}

TEST_CASE("a variant with error feedback depends on the Hessians and on the importance matrix", "[study]")
{
    Fixture fixture;
    Inventory& inventory = fixture.study->inventory;
    const Variant rounded = Variant::with_feedback(*parse_type("q5_K"), true);
    Variant lent(rounded);
    lent.name = "mine";
    lent.foreign = std::make_shared<const Inventory>(inventory);
    const auto names = [&] { return std::vector{made_with(inventory, rounded), made_with(inventory, lent)}; };
    inventory.hessian = "3333 covers 4 of 4 weights";
    const auto before = names();
    inventory.hessian = "4444 covers 4 of 4 weights";
    auto after = names();
    CHECK(after[0] != before[0]);
    CHECK(after[1] != before[1]);
    inventory.hessian = "3333 covers 4 of 4 weights";
    inventory.importance = "a.gguf 2222";
    after = names();
    CHECK(after[0] != before[0]);
    CHECK(after[1] != before[1]);
}

TEST_CASE("machines of one processor have names of their own", "[study]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "one", "0123456789abcdef0123456789abcdef\n"));
    REQUIRE(write_text(folder / "two", "fedcba9876543210fedcba9876543210\n"));
    CHECK(machine_identity(folder / "one") == machine_identity(folder / "one"));
    CHECK(machine_identity(folder / "one") != machine_identity(folder / "two"));
    const std::string none = machine_identity(folder / "none");
    CHECK(none.contains("processors"));
    CHECK(none.contains("GiB"));
    const Fixture fixture;
    CHECK(!Facts::of(*fixture.study).key(Artifact{"", on(Input::device)}).contains(machine_identity()));
}

}  // namespace
}  // namespace apreqel
