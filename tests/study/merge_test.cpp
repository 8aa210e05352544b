// A sensitivity that is spread over machines: each has a workspace of its own.
#include "study/merge.h"

#include "base/file.h"
#include "study/probe_choice.h"
#include "support/lab.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

namespace apreqel {
namespace {

/// A model of several blocks, and text enough for anchors.
struct Machines : Lab {
    Machines()
    {
        model = make_tiny_model(folder.path(),
                                {.blocks = 8, .width = 32, .ffn = 64, .vocabulary = 64, .type = 0, .file = "deep.gguf"});
        std::string words;
        for (int i = 0; i < 3000; ++i) words += std::format("word {}\n", i * i);
        REQUIRE(write_text(settings.text, words));
    }

    /// What one machine writes.
    std::string whole(const SenseSettings& sensing)
    {
        REQUIRE(sense(study("one"), sensing));
        return read_text(folder / "one" / "sensitivity.json").value();
    }

    /// A shard, written and read back.
    ShardFile shard(Share share, const SenseSettings& sensing)
    {
        const std::string place =
            std::format("machine {} of {} in round {}", share.number, share.count, sensing.joined ? 2 : 1);
        const auto made = sense_shard(study(place), sensing, share);
        if (!made) FAIL(made.error().message);
        return {place, parse_shard(to_json(*made)).value()};
    }

    std::vector<ShardFile> shards(std::size_t count, const SenseSettings& sensing)
    {
        std::vector<ShardFile> all;
        for (std::size_t number = 1; number <= count; ++number) all.push_back(shard({number, count}, sensing));
        return all;
    }
};

/// The file that merge writes.
std::string merged(const SensitivityShard& joined)
{
    const auto sensitivity = merge(joined);
    if (!sensitivity) FAIL(sensitivity.error().message);
    return to_json(*sensitivity, joined.key);
}

TEST_CASE("shards that are merged give the file of one machine, to the byte", "[study][fake]")
{
    Machines lab;
    const std::size_t count = GENERATE(1, 2, 3, 50);  // more than there are probes of some steps
    const SenseSettings sensing = GENERATE(SenseSettings{}, kProbing);
    const std::string whole = lab.whole(sensing);
    std::size_t probes = lab.runtime->done("probe");
    lab.runtime->start_again();
    std::vector<ShardFile> shards = lab.shards(count, sensing);
    probes += count - 1;  // each machine's one that changes nothing
    CHECK(lab.runtime->done("probe") <= probes);
    CHECK(lab.runtime->done("probe") + count >= probes);
    std::ranges::reverse(shards);  // their order is of no consequence
    CHECK(merged(join(shards).value()) == whole);
}

TEST_CASE("a second type that is asked for is spread in a second round, to the same bytes", "[study][fake]")
{
    Machines lab;
    lab.runtime->world.exponent = 1.3;  // so the factor from error to divergence differs between types
    const std::string whole = lab.whole({});
    const std::size_t count = GENERATE(1, 2, 3);
    std::vector<ShardFile> all = lab.shards(3, {});
    SenseSettings second{.joined = join(all).value()};
    const auto early = merge(*second.joined);
    REQUIRE(!early);
    CHECK(early.error().message.contains("more probes are needed, "));
    CHECK(early.error().hint.contains("sense MODEL --with SHARD"));
    const std::vector<ShardFile> rest = lab.shards(count, second);
    CHECK(merged(join(rest).value()) == whole);
    all.append_range(rest);  // those of the first round do no harm
    CHECK(merged(join(all).value()) == whole);
    second.joined = join(rest).value();
    const auto nothing = sense_shard(lab.study("idle"), second, {1, 2});
    REQUIRE(nothing);  // the second type is known everywhere: nothing is probed twice
    CHECK(merged(join(std::vector<ShardFile>{{"a", *nothing}, {"b", sense_shard(lab.study("idle"), second, {2, 2}).value()}})
                     .value()) == whole);
}

TEST_CASE("one machine finishes what shards began, to the same bytes", "[study][fake]")
{
    Machines lab;
    lab.runtime->world.exponent = 1.5;  // so far from what is promised that some probes are made again, too
    const std::string whole = lab.whole({});
    const auto begun = join(lab.shards(2, {})).value();
    REQUIRE(sense(lab.study("first"), {.joined = begun}));
    CHECK(read_text(lab.folder / "first" / "sensitivity.json").value() == whole);

    const auto joined = join(lab.shards(2, {.joined = begun})).value();
    const auto early = merge(joined);
    REQUIRE(!early);
    CHECK(early.error().message.contains("probes that are unlike those around them"));
    lab.runtime->start_again();
    REQUIRE(sense(lab.study("last"), {.joined = joined}));
    CHECK(lab.runtime->done("probe") <= 1 + kAgain);  // one of them changes nothing
    CHECK(read_text(lab.folder / "last" / "sensitivity.json").value() == whole);
    const auto late = sense_shard(lab.study("last"), {}, {1, 2});
    REQUIRE(!late);
    CHECK(late.error().message.contains("nothing to spread: the workspace has the whole sensitivity"));
}

TEST_CASE("where no second type is needed, there is no second round", "[study][fake]")
{
    Machines lab;
    const auto none = sense_shard(lab.study("again"), {.joined = join(lab.shards(2, {})).value()}, {1, 2});
    REQUIRE(!none);
    CHECK(none.error().message.contains("asks for no second type"));
}

TEST_CASE("a shard that was stopped goes on where it was, and ends the same", "[study][fake]")
{
    Machines lab;
    const Verb verb = [](const Study& study, const auto&) { return as_text(sense_shard(study, {}, {2, 2})); };
    const Whole whole = make_whole(lab, verb);
    const Interrupted pair =
        interrupt(lab, verb, "stopped", [&] { lab.runtime->faults.stop_at = whole.calls[whole.calls.size() / 2]; });
    REQUIRE(!pair.first);
    CHECK(pair.second == whole.result);
    CHECK(pair.second_work.at("probe") < whole.work.at("probe"));
}

TEST_CASE("shards of different sensitivities are refused, and in what they differ is said", "[study][fake]")
{
    Machines lab;
    const ShardFile first = lab.shard({1, 2}, {});
    const auto refusal = [&](const ShardFile& other) {
        const auto joined = join(std::vector{first, other});
        REQUIRE(!joined);
        INFO(joined.error().message);
        CHECK(!joined.error().hint.empty());
        return joined.error().message;
    };
    const StudySettings usual = lab.settings;
    lab.settings.form = *parse_type("f16");
    CHECK(refusal(lab.shard({2, 2}, {})).contains("form f16, machine 1 of 2 in round 1 is of form f32"));
    lab.settings = usual;
    REQUIRE(write_text(lab.folder / "other.txt", read_text(usual.text).value() + "more"));
    lab.settings.calibration = lab.folder / "other.txt";
    CHECK(refusal(lab.shard({2, 2}, {})).contains("it is of calibration "));
    lab.settings = usual;
    lab.settings.types.pop_back();
    CHECK(refusal(lab.shard({2, 2}, {})).contains("it is of types q4_0,q5_0,q8_0"));
    lab.settings = usual;
    CHECK(refusal(lab.shard({2, 2}, {.granularity = Granularity::tensor})).contains("granularity"));
    CHECK(refusal(lab.shard({2, 2}, kProbing)).contains("probing context 16 chunks 2"));
    lab.runtime->here.offloading = "all on a card";
    CHECK(refusal(lab.shard({2, 2}, {})).contains("all on a card"));
    lab.runtime->here.offloading = "none";
    lab.model = make_tiny_model(
        lab.folder.path(), {.blocks = 8, .width = 32, .ffn = 64, .vocabulary = 64, .type = 0, .seed = 2, .file = "b.gguf"});
    CHECK(refusal(lab.shard({2, 2}, {})).contains("it is of model "));
}

TEST_CASE("missing shards are named", "[study][fake]")
{
    Machines lab;
    std::vector<ShardFile> shards = lab.shards(4, {});
    const auto refusal = [](const std::vector<ShardFile>& some) {
        const auto joined = join(some);
        REQUIRE(!joined);
        return joined.error().message;
    };
    CHECK(refusal({shards[0], shards[2], shards[3]}) == "merge: shard 2 of 4 is missing");
    CHECK(refusal({shards[2], shards[2]}) == "merge: shards 1, 2, 4 of 4 are missing");
    CHECK(refusal({shards[0], lab.shard({2, 3}, {})}).contains("it is one of 3 shards"));
    ShardFile hollow = shards[0];
    hollow.shard.share = {.number = 1, .count = 1};
    const auto empty = merge(join(std::vector{hollow}).value());
    REQUIRE(!empty);
    CHECK(empty.error().message.contains("are in none of the shards"));
    hollow.shard.share = {.number = 1, .count = std::size_t{1} << 50};
    CHECK(refusal({hollow}) == "merge: shards 2, 3, 4, 5, 6, 7, 8, 9, … of 1125899906842624 are missing");
    CHECK(sense_shard(lab.study("timed"), {.minutes = 1}, {1, 2}).error().code == ErrorCode::usage);
}

}  // namespace
}  // namespace apreqel
