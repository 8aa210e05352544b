#include "study/format.h"

#include "base/file.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

/// The error of reading `text` with `read`, or "" if it can be read.
template <typename Read>
std::string error_of(Read read, const std::string& text)
{
    const TempDir folder;
    REQUIRE(write_text(folder / "in.json", text));
    const auto result = read(folder / "in.json");
    if (result) return "";
    CHECK(result.error().message.contains("in.json"));
    CHECK(!result.error().message.contains('\n'));
    return result.error().message;
}

TEST_CASE("the smallest profile and scores that docs/formats.md allows are enough", "[study]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "p.json", R"({"schema":"apreqel.profile/1","layers":64,"types":[
        {"type":"q4_K","memory_bytes":4500000000,"latency_ms":40.5,"perplexity":7.1}]})"));
    const auto profile = read_profile(folder / "p.json");
    REQUIRE(profile);
    CHECK(profile->layers == 64);
    CHECK(profile->types[0].bits_per_weight == 4.5);
    CHECK(profile->types[0].measurement.speed.latency_ms.median == 40.5);
    REQUIRE(write_text(folder / "s.json", R"({"schema":"apreqel.scores/1","layers":[{"layer":"blk.0.attn","score":-12}]})"));
    const auto scores = read_scores(folder / "s.json");
    REQUIRE(scores);
    CHECK(scores->layers[0].score == -12);
    REQUIRE(
        write_text(folder / "plan.json", R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"}]})"));
    CHECK(read_plan(folder / "plan.json")->allocation[0].type == "q4_K");
}

TEST_CASE("a profile is read back as it was written", "[study]")
{
    Profile profile{.model = "abc",
                    .model_name = "<script>\"name\"",
                    .layers = 2,
                    .embedding_type = "q6_K",
                    .device = "cpu",
                    .text = "t",
                    .version = "v"};
    UniformVariant variant{
        .type = "q3_K", .bits_per_weight = 3.4375, .fallbacks = {{"blk.0.attn", "blk.0.attn_q.weight", "q3_K", "q4_0"}}};
    variant.measurement = {.name = "q3_K",
                           .memory_bytes = 123456789012,
                           .bits_per_weight = 3.9,
                           .quality = {.perplexity = 7.5,
                                       .perplexity_error = .1,
                                       .kld = .01,
                                       .kld_error = .001,
                                       .same_top = .9,
                                       .tokens = 100,
                                       .kld_tokens = 50},
                           .speed = {.latency_ms = {1.5, 1.4, 1.6, .96, {1.4, 1.5, 1.6}}, .prompt_tokens_per_second = {}}};
    profile.types.push_back(variant);
    const TempDir folder;
    REQUIRE(write_text(folder / "p.json", to_json(profile)));
    const auto read = read_profile(folder / "p.json");
    REQUIRE(read);
    CHECK(to_json(*read) == to_json(profile));
}

TEST_CASE("a damaged document names the field and the cause", "[study]")
{
    CHECK(error_of(read_profile, "").contains("not JSON"));
    CHECK(error_of(read_profile, "{\"schema\":").contains("not JSON"));
    CHECK(error_of(read_profile, "[]").contains("schema is none"));
    CHECK(error_of(read_profile, R"({"schema":"apreqel.scores/1"})").contains("schema is apreqel.scores/1"));
    CHECK(error_of(read_profile, R"({"schema":"apreqel.profile/1","types":[]})").contains("layers is missing"));
    CHECK(error_of(read_profile, R"({"schema":"apreqel.profile/1","layers":-3,"types":[]})")
              .contains("layers must be a whole number"));
    CHECK(error_of(read_profile, R"({"schema":"apreqel.profile/1","layers":2,"types":{}})").contains("types must be a list"));
    const auto with_type = [](const std::string& fields) {
        return R"({"schema":"apreqel.profile/1","layers":2,"types":[{)" + fields + "}]}";
    };
    CHECK(
        error_of(read_profile, with_type(R"("type":"q9_Z","memory_bytes":1,"latency_ms":1,"perplexity":1)")).contains("q9_Z"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"perplexity":1)"))
              .contains("types[0].latency_ms is missing"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"latency_ms":null,"perplexity":1)"))
              .contains("latency_ms must be a number"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"latency_ms":NaN,"perplexity":1)"))
              .contains("not JSON"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"latency_ms":1e999,"perplexity":1)")) != "");
    CHECK(error_of(read_profile, with_type(R"("type":4,"memory_bytes":1,"latency_ms":1,"perplexity":1)"))
              .contains("types[0].type must be a string"));
    CHECK(error_of(read_scores, R"({"schema":"apreqel.scores/1","layers":[{"layer":"blk.0.attn"}]})")
              .contains("layers[0].score is missing"));
    CHECK(error_of(read_plan, R"({"schema":"apreqel.plan/1"})").contains("allocation is missing"));
    CHECK(error_of(read_plan, std::string(100000, '[')).contains("not JSON"));
}

TEST_CASE("prompts are lines or JSON lines", "[study]")
{
    const TempDir folder;
    REQUIRE(write_text(
        folder / "p",
        "first\r\n\n  second \n{\"prompt\":\"third\\nline\"}\n{\"turns\":[\"fourth\",\"x\"]}\n{\"text\":\"fifth\"}"));
    CHECK(read_prompts(folder / "p") == std::vector<std::string>{"first", "  second ", "third\nline", "fourth", "fifth"});
    CHECK(error_of(read_prompts, "ok\n{\"question\":\"?\"}\n").contains("line 2"));
    CHECK(error_of(read_prompts, "\n \n").contains("no prompts"));
    const std::vector<std::string> prompts{"a\nb", "{\"c\"", ""};
    REQUIRE(write_text(folder / "jsonl", prompts_jsonl(prompts)));
    CHECK(read_prompts(folder / "jsonl") == prompts);
}

}  // namespace
}  // namespace apreqel
