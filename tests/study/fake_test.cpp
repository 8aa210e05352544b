// The stages of a study in a world without libllama: every call fails once, is stopped once, and gives nonsense once.
#include "base/file.h"
#include "study/study.h"
#include "study/variants.h"
#include "support/fake_runtime.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <apreqel/refine.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace apreqel {
namespace {

constexpr SenseSettings kProbing{.chunks = 2};

/// A tiny model, a runtime, and workspaces as many as wanted.
struct Lab {
    explicit Lab(bool texts = true)
    {
        settings.types = {*parse_type("q4_0"), *parse_type("q5_0"), *parse_type("q8_0")};
        settings.embedding_type = *parse_type("q8_0");
        settings.quality = {.context = 16, .chunks = 4, .kld_chunks = 2};
        settings.speed = {.repetitions = 6, .generated = 1, .prompt = 4};
        if (!texts) return;
        settings.text = settings.calibration = folder / "text.txt";
        settings.prompts = folder / "prompts.txt";
        REQUIRE(write_text(settings.prompts, "some words\nand others\n"));
        std::string words;
        for (int i = 0; i < 100; ++i) words += std::format("word {}\n", i);
        REQUIRE(write_text(settings.text, words));
    }

    /// A study as a process that starts has it, in the workspace of that name.
    [[nodiscard]] Study study(const std::string& workspace = "workspace")
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

    TempDir folder;
    std::filesystem::path model = make_tiny_model(
        folder.path(), {.blocks = 2, .width = 32, .ffn = 64, .vocabulary = 64, .type = 0, .file = "model.gguf"});
    StudySettings settings{};
    std::shared_ptr<FakeRuntime> runtime = std::make_shared<FakeRuntime>();
    FakeMonitor monitor{*runtime};
};

PlanRequest front_request() { return {.method = Method::front, .weights = *parse_weights("balanced")}; }
PlanRequest paper_request() { return {.method = Method::paper, .weights = *parse_weights("balanced")}; }

/// A verb: what it gives, as text. What it writes for the user goes into the folder.
using Verb = std::function<Result<std::string>(const Study& study, const std::filesystem::path& folder)>;

Result<std::string> as_text(const auto& result)
{
    if (!result) return std::unexpected(result.error());
    return to_json(*result);
}

const Verb kSense = [](const Study& study, const auto&) { return as_text(sense(study, kProbing)); };
const Verb kProfile = [](const Study& study, const auto&) { return as_text(profile(study)); };

Verb run_verb(const PlanRequest& request)
{
    return [=](const Study& study, const std::filesystem::path& folder) -> Result<std::string> {
        auto text = as_text(run(study, request, kProbing, folder / "mixed.gguf"));
        if (text) *text += digest({read_text(folder / "mixed.gguf").value()});
        return text;
    };
}

const Verb kRunFront = run_verb(front_request());
const Verb kRunPaper = run_verb(paper_request());

std::size_t files_in(const std::filesystem::path& folder)
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// A verb that something befell, and then once more in the same workspace.
struct Pair {
    Result<std::string> first;
    std::map<std::string, std::size_t> done_at_first;
    std::string second;
    std::map<std::string, std::size_t> done;
};

/// What is not done again.
const std::vector<std::string> kWork{"sample", "score", "collect", "record", "evaluate", "probe", "speed"};

std::map<std::string, std::size_t> work_of(const FakeRuntime& runtime)
{
    std::map<std::string, std::size_t> work;
    for (const std::string& kind : kWork) work[kind] = runtime.done(kind);
    return work;
}

/// `set` says what befalls. Whatever it is, there is no half-written file afterwards.
Pair interrupted(Lab& lab, const Verb& verb, const std::string& name, const std::function<void()>& set)
{
    lab.runtime->start_again();
    lab.monitor.asked = lab.monitor.asked_at = 0;
    set();
    const auto folder = lab.folder / ("out " + name);
    std::filesystem::create_directory(folder);
    Result<std::string> first = verb(lab.study(name), folder);
    if (!first) CHECK(files_in(folder) == 0);
    const auto done = work_of(*lab.runtime);
    lab.runtime->start_again();
    lab.monitor.asked = lab.monitor.asked_at = 0;
    auto second = verb(lab.study(name), folder);
    if (!second) FAIL(second.error().message);
    CHECK(files_in(lab.folder / name / "mixes") == 0);
    std::filesystem::remove_all(lab.folder / name);
    std::filesystem::remove_all(folder);
    return {.first = std::move(first), .done_at_first = done, .second = std::move(*second), .done = work_of(*lab.runtime)};
}

/// A verb that nothing befalls, in a workspace of its own.
struct Whole {
    std::string result;
    std::map<std::string, std::size_t> done;
    std::vector<std::size_t> calls;  ///< from 1 on, but for those like the one before
    std::size_t asked;
};

Whole uninterrupted(Lab& lab, const Verb& verb)
{
    lab.runtime->start_again();
    lab.monitor.asked = lab.monitor.asked_at = 0;
    const auto folder = lab.folder / "out whole";
    std::filesystem::create_directory(folder);
    auto result = verb(lab.study("whole"), folder);
    if (!result) FAIL(result.error().message);
    std::filesystem::remove_all(lab.folder / "whole");
    std::filesystem::remove_all(folder);
    const std::vector<std::string>& made = lab.runtime->calls;
    std::vector<std::size_t> calls;
    for (std::size_t c = 0; c < made.size(); ++c)
        if (c == 0 || made[c] != made[c - 1] || made[c] == "probe") calls.push_back(c + 1);
    return {.result = std::move(*result), .done = work_of(*lab.runtime), .calls = calls, .asked = lab.monitor.asked};
}

TEST_CASE("a run goes on from any call that failed, ends the same, and measures nothing twice", "[study][fake]")
{
    const auto& [verb, front] = GENERATE(std::pair(kRunPaper, false), std::pair(kRunFront, true));
    Lab lab(false);
    const Whole whole = uninterrupted(lab, verb);
    CHECK(whole.done.at("evaluate") > 3);
    CHECK((whole.done.at("probe") > 0) == front);
    for (const std::size_t n : whole.calls) {
        const Pair pair = interrupted(lab, verb, std::to_string(n), [&] { lab.runtime->faults.fail_at = n; });
        INFO("call " << n << ", " << (pair.first ? "" : pair.first.error().message));
        REQUIRE(!pair.first);
        CHECK(pair.first.error().message.contains("fake"));
        CHECK(pair.second == whole.result);
        for (const char* kind : {"sample", "score", "evaluate", "speed"}) {
            INFO(kind);
            CHECK(pair.done_at_first.at(kind) + pair.done.at(kind) == whole.done.at(kind));
        }
    }
}

TEST_CASE("a run that is stopped whenever it asks goes on and ends the same", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    Lab lab;
    const Whole whole = uninterrupted(lab, verb);
    CHECK(whole.asked > 300);
    for (std::size_t n = 1; n <= whole.asked; n += 11) {  // most of them ask within one file that is written
        const Pair pair = interrupted(lab, verb, std::to_string(n), [&] { lab.monitor.asked_at = n; });
        INFO("asked " << n << " times of " << whole.asked);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
    }
}

TEST_CASE("sense goes on from any call it was stopped at, with no probe made twice", "[study][fake]")
{
    Lab lab;
    const Whole whole = uninterrupted(lab, kSense);
    CHECK(whole.done.at("probe") == 1 + 3 * 5);  // nothing changed; three types of four layers and the embedding
    for (const std::size_t n : whole.calls) {
        const Pair pair = interrupted(lab, kSense, std::to_string(n), [&] { lab.runtime->faults.stop_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
        const std::size_t kept = std::max<std::size_t>(pair.done_at_first.at("probe"), 1) - 1;
        CHECK(pair.done.at("probe") == whole.done.at("probe") - kept);
    }
}

TEST_CASE("profile goes on from any call it was stopped at, with nothing measured twice", "[study][fake]")
{
    Lab lab(false);
    lab.settings.mixes = GENERATE(Mixes::none, Mixes::with_embedding);
    const Whole whole = uninterrupted(lab, kProfile);
    for (const std::size_t n : whole.calls) {
        const Pair pair = interrupted(lab, kProfile, std::to_string(n), [&] { lab.runtime->faults.stop_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
        for (const std::string& kind : kWork) {
            INFO(kind);
            CHECK(pair.done_at_first.at(kind) + pair.done.at(kind) == whole.done.at(kind));
        }
    }
}

TEST_CASE("a figure that is no number is an error and is not kept", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    Lab lab;
    const Whole whole = uninterrupted(lab, verb);
    std::size_t refused = 0;
    for (const std::size_t n : whole.calls) {
        const Pair pair = interrupted(lab, verb, std::to_string(n), [&] { lab.runtime->faults.nan_at = n; });
        INFO("call " << n);
        if (pair.first)
            CHECK(*pair.first == whole.result);  // a call without figures
        else
            CHECK(pair.first.error().message.contains("not a finite number"));
        refused += pair.first ? 0 : 1;
        CHECK(pair.second == whole.result);
    }
    std::size_t measured = 0;
    for (const auto& [kind, count] : whole.done) measured += count;
    CHECK(refused == measured);
}

TEST_CASE("a finished run is not measured again, and a changed input makes exactly what depends on it again", "[study][fake]")
{
    Lab lab;
    const auto everything = [&] {
        lab.runtime->start_again();
        const Study study = lab.study();
        REQUIRE(score(study));
        REQUIRE(profile(study));
        REQUIRE(sense(study, kProbing));
        std::set<std::string> made;
        for (const auto& [kind, count] : work_of(*lab.runtime))
            if (count > 0) made.insert(kind);
        return made;
    };
    using Made = std::set<std::string>;
    const auto text = [&](const char* name) {
        REQUIRE(write_text(lab.folder / name, read_text(lab.folder / "text.txt").value() + name));
        return lab.folder / name;
    };
    // A probe is compared with full precision, which is recorded for it.
    const Made probed{"record", "probe"};
    const Made all{"score", "record", "evaluate", "probe", "speed"};
    CHECK(everything() == all);
    CHECK(everything().empty());
    const std::vector<std::pair<std::function<void()>, Made>> changes{
        {[&] { lab.settings.speed.repetitions = 7; }, {"speed"}},
        {[&] { lab.settings.run.threads = 2; }, {"speed"}},
        {[&] { lab.runtime->here.machine = "another"; }, {"speed"}},
        {[&] { lab.settings.gamma = 0.8; }, {"score"}},
        {[&] { lab.settings.prompts = text("prompts.txt"); }, {"score"}},
        {[&] { lab.settings.text = text("evaluation.txt"); }, {"record", "evaluate"}},
        {[&] { lab.settings.quality.kld_chunks = 3; }, {"record", "evaluate"}},
        {[&] { lab.settings.calibration = text("calibration.txt"); }, probed},
        {[&] { lab.settings.embedding_type = *parse_type("q5_1"); }, {"evaluate", "speed", "record", "probe"}},
        {[&] { lab.settings.types.erase(lab.settings.types.begin()); }, {"speed"}},  // others were in its rounds
        {[&] { lab.settings.mixes = Mixes::layers; }, {"speed"}},
        {[&] { lab.runtime->here.offloading = "all"; }, all},
        {[&] { lab.runtime->here.libllama = "another"; }, all},
        {[&] { lab.settings.remeasure = true; }, all}};
    for (std::size_t c = 0; c < changes.size(); ++c) {
        INFO("change " << c);
        changes[c].first();
        CHECK(everything() == changes[c].second);
    }
}

TEST_CASE("a sense of fewer types, or of more, keeps what was learnt", "[study][fake]")
{
    Lab lab;
    const std::vector<Variant> three = lab.settings.types;
    const auto sensed = [&](std::vector<Variant> types, std::size_t probes) {
        lab.runtime->start_again();
        lab.settings.types = std::move(types);
        const auto result = sense(lab.study(), kProbing);
        REQUIRE(result);
        CHECK(lab.runtime->done("probe") == probes);
        return *result;
    };
    const auto same = [](const Sensitivity& left, const Sensitivity& right, const std::string& type) {
        const auto place = [&](const Sensitivity& of) {
            return static_cast<std::size_t>(std::ranges::find(of.types, type) - of.types.begin());
        };
        return std::ranges::equal(left.groups, right.groups, [&](const auto& one, const auto& other) {
            return one.probes[place(left)].kld == other.probes[place(right)].kld;
        });
    };
    const Sensitivity whole = sensed(three, 16);
    const Sensitivity fewer = sensed({three[1]}, 0);
    CHECK(fewer.types == std::vector<std::string>{"q5_0", "q8_0", "q4_0"});  // the embedding is fixed to q8_0
    const Sensitivity more = sensed({three[0], three[1], three[2], *parse_type("q4_1")}, 1 + 5);
    for (const std::string& type : whole.types) {
        INFO(type);
        CHECK(same(whole, fewer, type));
        CHECK(same(whole, more, type));
    }
    CHECK(more.separability.pairs > whole.separability.pairs);
    CHECK(to_json(sensed(three, 0)).contains("q4_1"));
}

TEST_CASE("probes predict what files measure, in a world where they add up", "[study][fake]")
{
    Lab lab;
    const Study study = lab.study();
    const auto sensitivity = sense(study, kProbing);
    const auto profiled = profile(study);
    REQUIRE((sensitivity && profiled));
    for (std::size_t q = 0; q < 3; ++q) {
        double sum = 0;
        for (const GroupSensitivity& group : sensitivity->groups) sum += group.probes[group.fixed_type.empty() ? q : 2].kld;
        CHECK(std::abs(sum / profiled->model.types[q].quality.kld - 1) < 1e-5);
    }
}

TEST_CASE("measuring again measures each thing once", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    Lab lab;
    const auto work = [&] {
        lab.runtime->start_again();
        const auto result = verb(lab.study(), lab.folder.path());
        if (!result) FAIL(result.error().message);
        return work_of(*lab.runtime);
    };
    const auto first = work();
    lab.settings.remeasure = true;
    for (const auto& [kind, count] : work()) {
        INFO(kind);
        CHECK(count == (kind == "sample" ? 0 : first.at(kind)));
    }
}

TEST_CASE("a sense that was short of time, or fast, is completed to what it would have been", "[study][fake]")
{
    Lab lab;
    const Whole whole = uninterrupted(lab, kSense);
    SenseSettings less = kProbing;
    const bool fast = GENERATE(false, true);
    if (fast)
        less.fast = true;
    else
        less.minutes = 1e-12;
    lab.runtime->start_again();
    const auto partial = sense(lab.study(), less);
    REQUIRE(partial);
    const std::size_t made = lab.runtime->done("probe");
    CHECK(made == (fast ? 1 + 1 + 2 * 5 : 1 + 1));  // what the embedding is fixed to is measured in any case
    CHECK(partial->groups[0].probes[2].measured == false);
    CHECK(partial->groups[0].probes[2].kld > 0);
    lab.runtime->start_again();
    const auto completed = sense(lab.study(), kProbing);
    REQUIRE(completed);
    CHECK(to_json(*completed) == whole.result);
    CHECK(lab.runtime->done("probe") == whole.done.at("probe") - (made - 1));
}

/// Every artifact of a workspace, in an order.
std::set<std::filesystem::path> artifacts_in(const std::filesystem::path& workspace)
{
    std::set<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(workspace)) {
        const std::string name = entry.path().filename().string();
        if (entry.is_regular_file() && !name.starts_with(".") && !name.ends_with(".damaged") && name != "lock")
            paths.insert(entry.path());
    }
    return paths;
}

TEST_CASE("whichever artifact of a run is damaged or gone, the same command ends the same", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    const auto harm = GENERATE(as<void (*)(const std::filesystem::path&)>(),
                               [](const std::filesystem::path& path) {
                                   std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
                               },
                               [](const std::filesystem::path& path) { std::filesystem::remove(path); });
    Lab lab(false);
    const auto result = [&] {
        lab.runtime->start_again();
        auto text = verb(lab.study(), lab.folder.path());
        if (!text) FAIL(text.error().message);
        return *text;
    };
    const std::string whole = result();
    const auto made = artifacts_in(lab.folder / "workspace");
    CHECK(made.size() > 12);
    for (const auto& path : made) {
        INFO(path);
        harm(path);
        CHECK(result() == whole);
        auto work = work_of(*lab.runtime);
        work["record"] = work["probe"] = 0;  // a probe is compared with what is recorded for it
        std::size_t again = 0;
        for (const auto& [kind, count] : work) again += count;
        CHECK(again <= 1);
    }
}

TEST_CASE("an importance matrix is collected once, and again from any call that failed", "[study][fake]")
{
    Lab lab(false);
    const Verb verb = [](const Study& study, const auto&) -> Result<std::string> {
        Study weighted = study;
        if (auto collected = use_own_importance(weighted); !collected) return std::unexpected(collected.error());
        weighted.settings.types = {Variant(*parse_type("q4_0"), true), *parse_type("q8_0")};
        return as_text(sense(weighted, kProbing)).transform([&](std::string text) { return weighted.inventory.importance + text; });
    };
    const Whole whole = uninterrupted(lab, verb);
    for (const std::size_t n : whole.calls) {
        const Pair pair = interrupted(lab, verb, std::to_string(n), [&] { lab.runtime->faults.fail_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.second == whole.result);
        CHECK(pair.done_at_first.at("sample") + pair.done.at("sample") == whole.done.at("sample"));
        CHECK(pair.done_at_first.at("collect") + pair.done.at("collect") == 1);
    }
}

TEST_CASE("an evaluation goes on from any call that failed and measures no model twice", "[study][fake]")
{
    Lab lab;
    lab.settings.types.pop_back();
    const Verb verb = [](const Study& study, const auto&) {
        return as_text(evaluate(study, {.ablation = false, .sense = kProbing}));
    };
    const Whole whole = uninterrupted(lab, verb);
    for (std::size_t c = 0; c < whole.calls.size(); c += 7) {
        const Pair pair = interrupted(lab, verb, std::to_string(c), [&] { lab.runtime->faults.fail_at = whole.calls[c]; });
        INFO("call " << whole.calls[c]);
        REQUIRE(!pair.first);
        CHECK(pair.second == whole.result);
        for (const char* kind : {"score", "evaluate", "speed"})
            CHECK(pair.done_at_first.at(kind) + pair.done.at(kind) == whole.done.at(kind));
    }
    REQUIRE(verb(lab.study(), lab.folder.path()));
    for (const ModelFile& variant : variant_files(lab.study())) std::filesystem::remove(variant.path);
    CHECK(verb(lab.study(), lab.folder.path()) == whole.result);
}

/// What the front method ships in a world where mixes are not as their parts say.
struct Shipped {
    RunResult result;
    std::size_t speeds;  ///< rounds of latency
};

Shipped ship(Lab& lab, const PlanRequest& request)
{
    lab.runtime->start_again();
    auto result = run(lab.study(), request, kProbing, lab.folder / "mixed.gguf");
    if (!result) FAIL(result.error().message);
    return {std::move(*result), lab.runtime->done("speed")};
}

TEST_CASE("a plan that measures as predicted is shipped at once", "[study][fake]")
{
    Lab lab;
    const Shipped shipped = ship(lab, front_request());
    CHECK(shipped.result.tried.empty());
    CHECK(shipped.result.instead.empty());
    CHECK(shipped.result.limits_kept);
    CHECK(shipped.speeds == 2);  // of the profile and of the mix
    CHECK(read_inventory(lab.folder / "mixed.gguf")->size_bytes() == shipped.result.mix.memory_bytes);
}

TEST_CASE("where every mix measures worse than predicted, others are tried and a uniform type is shipped", "[study][fake]")
{
    Lab lab;
    lab.runtime->world.mixed_latency = 4;
    lab.runtime->world.mixed_divergence = 4;
    const Shipped shipped = ship(lab, front_request());
    CHECK(!shipped.result.instead.empty());
    CHECK(!shipped.result.tried.empty());
    CHECK(shipped.result.tried.size() <= kMostAttempts);
    CHECK(shipped.speeds == 1 + shipped.result.tried.size());
    for (const GroupType& entry : shipped.result.plan.allocation) CHECK(entry.type == shipped.result.instead);
    // The file is that type's variant, but for what it says of its making.
    const auto written = read_inventory(lab.folder / "mixed.gguf");
    REQUIRE(written);
    const auto uniform = std::ranges::find(shipped.result.uniform, shipped.result.instead, &Measurement::name);
    REQUIRE(uniform != shipped.result.uniform.end());
    CHECK(written->size_bytes() == uniform->memory_bytes);
}

TEST_CASE("a limit that a plan breaks when it is measured is kept by what is shipped, or said to be broken", "[study][fake]")
{
    Lab lab;
    const auto profiled = profile(lab.study());
    REQUIRE(profiled);
    const std::vector<Metrics> types = type_metrics(*profiled);
    PlanRequest request = front_request();
    // Slower than the fastest type and faster than the next; better than the fastest one: only a mix can be both.
    request.limits.most[kLatency] = (types[0][kLatency] + 3 * types[1][kLatency]) / 4;
    request.limits.most[kDivergence] = types[0][kDivergence] * 0.95;
    const Shipped predicted = ship(lab, request);
    CHECK(predicted.result.limits_kept);
    CHECK(predicted.result.instead.empty());
    CHECK(predicted.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 1.012;  // a little: another mix is within it
    const Shipped slower = ship(lab, request);
    CHECK(!slower.result.tried.empty());
    CHECK(slower.result.tried.front().speed.latency_ms.median > request.limits.most[kLatency]);
    CHECK(slower.result.limits_kept);
    CHECK(slower.result.mix.speed.latency_ms.median <= request.limits.most[kLatency]);

    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->world.mixed_latency = 4;
    CHECK(!ship(lab, request).result.limits_kept);
}

TEST_CASE("a machine that slows down after the profile does not make a plan look wrong", "[study][fake]")
{
    Lab lab;
    const Shipped steady = ship(lab, front_request());
    std::filesystem::remove_all(lab.folder / "workspace");
    lab.runtime->start_again();
    REQUIRE(profile(lab.study()));
    lab.runtime->start_again();
    lab.runtime->faults.slow_from = 1;
    const auto slowed = run(lab.study(), front_request(), kProbing, lab.folder / "mixed.gguf");
    REQUIRE(slowed);
    CHECK(slowed->tried.empty());
    CHECK(slowed->mix.speed.latency_ms.median > 1.9 * steady.result.mix.speed.latency_ms.median);
    CHECK(std::ranges::equal(slowed->plan.allocation, steady.result.plan.allocation, {}, &GroupType::type, &GroupType::type));
}

}  // namespace
}  // namespace apreqel
