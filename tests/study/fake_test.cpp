// The stages of a study in a world without libllama: every call fails once, is stopped once, and gives nonsense once.
#include "support/lab.h"

#include "base/file.h"
#include "study/variants.h"

#include <apreqel/contest.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace apreqel {
namespace {

const Verb kSense = [](const Study& study, const auto&) { return as_text(sense(study, kProbing)); };
const Verb kProfile = [](const Study& study, const auto&) { return as_text(profile(study)); };

Result<std::string> run_whole(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                              const std::filesystem::path& folder)
{
    auto text = as_text(run(study, request, sensing, folder / "mixed.gguf"));
    if (text) *text += digest({read_text(folder / "mixed.gguf").value()});
    return text;
}

const Verb kRunFront = [](const Study& study, const auto& folder) {
    return run_whole(study, front_request(), kProbing, folder);
};
const Verb kRunPaper = [](const Study& study, const auto& folder) {
    return run_whole(study, {.method = Method::paper, .weights = *parse_weights("balanced")}, kProbing, folder);
};
const Verb kRunTensors = [](const Study& study, const auto& folder) {
    PlanRequest request = front_request();
    request.mix_embedding = true;
    return run_whole(study, request, {.thorough = true, .chunks = 2, .granularity = Granularity::tensor}, folder);
};

TEST_CASE("a run goes on from any call that failed, ends the same, and measures nothing twice", "[study][fake]")
{
    const auto& [verb, front] = GENERATE(std::pair(kRunPaper, false), std::pair(kRunFront, true), std::pair(kRunTensors, true));
    Lab lab(front);
    const Whole whole = make_whole(lab, verb);
    CHECK(whole.work.at("evaluate") > 1);
    CHECK((whole.work.at("probe") > 0) == front);
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, verb, std::to_string(n), [&] { lab.runtime->faults.fail_at = n; });
        INFO("call " << n << ", " << (pair.first ? "" : pair.first.error().message));
        REQUIRE(!pair.first);
        CHECK(pair.first.error().message.contains("fake"));
        CHECK(pair.second == whole.result);
        for (const char* kind : {"sample", "score", "evaluate", "speed"}) {
            INFO(kind);
            CHECK(pair.first_work.at(kind) + pair.second_work.at(kind) == whole.work.at(kind));
        }
    }
}

TEST_CASE("a run that is stopped whenever it asks goes on and ends the same", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    Lab lab;
    const Whole whole = make_whole(lab, verb);
    CHECK(whole.asked > 150);
    for (std::size_t n = 1; n <= whole.asked; n += 11) {  // most of them ask within one file that is written
        const Interrupted pair = interrupt(lab, verb, std::to_string(n), [&] { lab.monitor.asked_at = n; });
        INFO("asked " << n << " times of " << whole.asked);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
    }
}

TEST_CASE("sense goes on from any call it was stopped at, with no probe made twice", "[study][fake]")
{
    Lab lab;
    const Whole whole = make_whole(lab, kSense);
    CHECK(whole.work.at("probe") == 1 + 3 * 5);  // nothing changed; three types of four layers and the embedding
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, kSense, std::to_string(n), [&] { lab.runtime->faults.stop_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
        const std::size_t kept = std::max<std::size_t>(pair.first_work.at("probe"), 1) - 1;
        CHECK(pair.second_work.at("probe") == whole.work.at("probe") - kept);
    }
}

TEST_CASE("profile goes on from any call it was stopped at, with nothing measured twice", "[study][fake]")
{
    Lab lab(false);
    lab.settings.mixes = GENERATE(Mixes::none, Mixes::with_embedding);
    const Whole whole = make_whole(lab, kProfile);
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, kProfile, std::to_string(n), [&] { lab.runtime->faults.stop_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.first.error().code == ErrorCode::interrupted);
        CHECK(pair.second == whole.result);
        for (const auto& [kind, count] : whole.work) {
            INFO(kind);
            CHECK(pair.first_work.at(kind) + pair.second_work.at(kind) == count);
        }
    }
}

TEST_CASE("a figure that is no number is an error and is not kept", "[study][fake]")
{
    const auto& verb = GENERATE(kRunPaper, kRunFront);
    Lab lab;
    const Whole whole = make_whole(lab, verb);
    std::size_t refused = 0;
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, verb, std::to_string(n), [&] { lab.runtime->faults.nan_at = n; });
        INFO("call " << n);
        if (pair.first)
            CHECK(*pair.first == whole.result);  // a call without figures
        else
            CHECK(pair.first.error().message.contains("not a finite number"));
        refused += pair.first ? 0 : 1;
        CHECK(pair.second == whole.result);
    }
    std::size_t measured = 0;
    for (const auto& [kind, count] : whole.work) measured += count;
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

TEST_CASE("a sense that was short of time is completed to what it would have been", "[study][fake]")
{
    Lab lab;
    const Whole whole = make_whole(lab, kSense);
    SenseSettings less = kProbing;
    less.minutes = 1e-12;
    lab.runtime->start_again();
    const auto partial = sense(lab.study(), less);
    REQUIRE(partial);
    const std::size_t made = lab.runtime->done("probe");
    CHECK(made == 1 + 1);  // what the embedding is fixed to is measured in any case
    CHECK(partial->groups[0].probes[2].measured == false);
    CHECK(partial->groups[0].probes[2].kld > 0);
    lab.runtime->start_again();
    const auto completed = sense(lab.study(), kProbing);
    REQUIRE(completed);
    CHECK(to_json(*completed) == whole.result);
    CHECK(lab.runtime->done("probe") == whole.work.at("probe") - (made - 1));
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
    const auto harm = GENERATE(
        as<void (*)(const std::filesystem::path&)>(),
        [](const std::filesystem::path& path) { std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2); },
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
        return as_text(sense(weighted, kProbing)).transform([&](std::string text) {
            return weighted.inventory.importance + text;
        });
    };
    const Whole whole = make_whole(lab, verb);
    for (const std::size_t n : whole.calls) {
        const Interrupted pair = interrupt(lab, verb, std::to_string(n), [&] { lab.runtime->faults.fail_at = n; });
        INFO("call " << n);
        REQUIRE(!pair.first);
        CHECK(pair.second == whole.result);
        CHECK(pair.first_work.at("sample") + pair.second_work.at("sample") == whole.work.at("sample"));
        CHECK(pair.first_work.at("collect") + pair.second_work.at("collect") == 1);
    }
}

TEST_CASE("an evaluation goes on from any call that failed and measures no model twice", "[study][fake]")
{
    const auto rivals = GENERATE(std::vector<std::string>{}, std::vector<std::string>{"Q4_0"});
    Lab lab;
    lab.settings.types.pop_back();
    const Verb verb = [&](const Study& study, const auto&) {
        return as_text(evaluate(study, {.ablation = false, .sense = kProbing, .rivals = rivals}));
    };
    const Whole whole = make_whole(lab, verb);
    for (std::size_t c = 0; c < whole.calls.size(); c += 7) {
        const Interrupted pair = interrupt(lab, verb, std::to_string(c), [&] { lab.runtime->faults.fail_at = whole.calls[c]; });
        INFO("call " << whole.calls[c]);
        REQUIRE(!pair.first);
        CHECK(pair.second == whole.result);
        for (const char* kind : {"score", "evaluate"})
            CHECK(pair.first_work.at(kind) + pair.second_work.at(kind) == whole.work.at(kind));
        // A contest is timed again where the mix was built for the evaluation meanwhile: its notes, and so the file, are others.
        const std::size_t timed = pair.first_work.at("speed") + pair.second_work.at("speed");
        CHECK(timed >= whole.work.at("speed"));
        CHECK(timed <= whole.work.at("speed") + rivals.size());
    }
    REQUIRE(verb(lab.study(), lab.folder.path()));
    for (const ModelFile& variant : variant_files(lab.study())) std::filesystem::remove(variant.path);
    CHECK(verb(lab.study(), lab.folder.path()) == whole.result);
}

TEST_CASE("an evaluation measures rivals in the rounds of its models, and what the front has beside each", "[study][fake]")
{
    Lab lab;
    const auto evaluation = evaluate(
        lab.study(), {.ablation = false, .sense = kProbing, .rivals = {"Q4_K_M", "q5_0", "Q8_0"}, .asked_for_rivals = false});
    if (!evaluation) FAIL(evaluation.error().message);
    const ModelSet& set = evaluation->sets.back();
    REQUIRE(set.rivals.size() == 2);  // the world of this test makes no file types of several types
    CHECK(set.rivals[0].name == "Q5_0");
    CHECK(set.rivals[1].name == "Q8_0");
    REQUIRE(set.models.size() == 2);
    CHECK(lab.runtime->done("evaluate Q5_0") == 1);  // what the profile measured is the same file as Q8_0
    for (std::size_t r = 0; r < 2; ++r) {
        const Measurement& ours = evaluation->models[set.models[r]].measurement;
        CHECK(ours.quality.kld_tokens > 0);
        CHECK(ours.speed.latency_ms.samples.size() == set.rivals[r].speed.latency_ms.samples.size());
        CHECK(set.candidates[r].estimate[kMemory] == static_cast<double>(ours.memory_bytes));
        CHECK(contest(ours, set.rivals[r], evaluation->reference.quality).no_larger());
        CHECK(contest(ours, set.rivals[r], evaluation->reference.quality).no_slower());
    }
    CHECK(evaluation->models[set.models[0]].measurement.memory_bytes < set.rivals[1].memory_bytes);
    for (const auto& entry : std::filesystem::directory_iterator(lab.folder / "workspace/rivals"))
        CHECK((entry.path().extension() == ".json" || entry.path().string().contains(".shape")));  // their files are gone
    const auto read = read_evaluation(lab.folder / "workspace/study.json", evaluation->profile, evaluation->scores);
    REQUIRE(read);
    CHECK(to_json(*read) == to_json(*evaluation));
}

TEST_CASE("an evaluation that cannot have rivals says so before anything is measured", "[study][fake]")
{
    Lab lab;
    const auto refused = [&](const EvaluationSettings& settings) {
        const auto evaluation = evaluate(lab.study(), settings);
        REQUIRE(!evaluation);
        CHECK(evaluation.error().code == ErrorCode::usage);
        CHECK(lab.runtime->calls.empty());
        return evaluation.error().message;
    };
    CHECK(refused({.rivals = {"Q4_9"}}).contains("Q4_9"));
    CHECK(refused({.front = false, .rivals = {"Q4_0"}}).contains("front method"));
    lab.settings.quality.kld_chunks = 0;
    CHECK(refused({.rivals = {"Q4_0"}}).contains("KL divergence"));
}

}  // namespace
}  // namespace apreqel
