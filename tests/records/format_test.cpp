#include "records/format.h"

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

TEST_CASE("the smallest profile and scores that docs/formats.md allows are enough", "[records]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "p.json", R"({"schema":"apreqel.profile/1","layers":64,"types":[
        {"type":"q4_K","memory_bytes":4500000000,"latency_ms":40.5,"perplexity":7.1}]})"));
    const auto profile = read_profile(folder / "p.json");
    REQUIRE(profile);
    CHECK(profile->model.layers == 64);
    CHECK(profile->model.types[0].bits_per_weight == 4.5);
    CHECK(measurement_of(*profile, "q4_K").speed.latency_ms.median == 40.5);
    REQUIRE(write_text(folder / "s.json", R"({"schema":"apreqel.scores/1","layers":[{"layer":"blk.0.attn","score":-12}]})"));
    const auto scores = read_scores(folder / "s.json");
    REQUIRE(scores);
    CHECK(scores->layers[0].score == -12);
    REQUIRE(
        write_text(folder / "plan.json", R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"}]})"));
    CHECK(read_plan(folder / "plan.json")->allocation[0].type == "q4_K");
}

TEST_CASE("a profile is read back as it was written", "[records]")
{
    Profile profile{.model = {.model = "abc",
                              .model_name = "<script>\"name\"",
                              .layers = 2,
                              .embedding_type = "q6_K",
                              .text = "t",
                              .version = "v"},
                    .device = {.model = "abc", .device = "cpu", .version = "v"}};
    profile.model.types.push_back({.type = "q3_K",
                                   .bits_per_weight = 3.4375,
                                   .memory_bytes = 123456789012,
                                   .file_bits_per_weight = 3.9,
                                   .quality = {.perplexity = 7.5,
                                               .perplexity_error = .1,
                                               .kld = .01,
                                               .kld_error = .001,
                                               .same_top = .9,
                                               .tokens = 100,
                                               .kld_tokens = 50},
                                   .fallbacks = {{"blk.0.attn", "blk.0.attn_q.weight", "q3_K", "q4_0"}}});
    profile.device.models.push_back({.name = "q3_K", .speed = {.latency_ms = {1.5, 1.4, 1.6, .96, {1.4, 1.5, 1.6}}}});
    const TempDir folder;
    REQUIRE(write_text(folder / "p.json", to_json(profile)));
    const auto read = read_profile(folder / "p.json");
    REQUIRE(read);
    CHECK(to_json(*read) == to_json(profile));
}

TEST_CASE("a damaged document names the field and the cause", "[records]")
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
              .contains("types[0].latency_ms must not be null"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"latency_ms":NaN,"perplexity":1)"))
              .contains("not JSON"));
    CHECK(error_of(read_profile, with_type(R"("type":"q4_K","memory_bytes":1,"latency_ms":1e999,"perplexity":1)")) != "");
    CHECK(error_of(read_profile, with_type(R"("type":4,"memory_bytes":1,"latency_ms":1,"perplexity":1)"))
              .contains("types[0].type must be a string"));
    CHECK(error_of(read_scores, R"({"schema":"apreqel.scores/1","layers":[{"layer":"blk.0.attn"}]})")
              .contains("layers[0].score is missing"));
    CHECK(error_of(read_plan, R"({"schema":"apreqel.plan/1"})").contains("allocation is missing"));
    CHECK(error_of(read_plan, R"({"schema":"apreqel.plan/1"} x)").contains("not JSON"));
}

std::string profile_with(const std::string& fields)
{
    return R"({"schema":"apreqel.profile/1","layers":2,"types":[{"type":"q4_K","memory_bytes":1,"perplexity":1)" + fields +
           "}]}";
}

std::string sensitivity_with(const std::string& fields) { return R"({"schema":"apreqel.sensitivity/2",)" + fields + "}"; }

constexpr std::string_view kProbe = R"({"memory_bytes":5,"kl_divergence":0.1,"measured":true})";

std::string sensed_layers(std::string_view probe, std::string_view parameters = "9")
{
    return sensitivity_with(std::format(R"("types":["q4_K"],"groups":[{{"group":"blk.0.attn","parameters":{},"probes":[{}]}}])",
                                        parameters, probe));
}

TEST_CASE("a document nested beyond any record is refused, however deep", "[records]")
{
    for (const std::size_t depth : {65UL, 100'000UL, 1'000'000UL}) {
        CHECK(error_of(read_plan, std::string(depth, '[')).contains("nested more than 64 deep"));
        const std::string inside = std::string(depth, '[') + std::string(depth, ']');
        CHECK(error_of(read_profile, profile_with(",\"x\":" + inside)).contains("nested more than 64 deep"));
        CHECK(error_of(read_prompts, "ok\n{\"turns\":" + inside + "}\n").contains("line 2: nested more than 64 deep"));
        std::string objects;
        for (std::size_t d = 0; d < depth; ++d) objects += "{\"a\":";
        CHECK(error_of(read_scores, objects).contains("nested more than 64 deep"));
        const TempDir folder;
        REQUIRE(write_text(folder / "key.json", "{\"key\":" + inside));
        CHECK(read_key(folder / "key.json").empty());
    }
    CHECK(
        error_of(read_profile, profile_with(R"(,"latency_ms":1,"x":)" + std::string(60, '[') + std::string(60, ']'))).empty());
}

TEST_CASE("a field that is there twice is an error, not the last one's", "[records]")
{
    CHECK(error_of(read_profile, profile_with(R"(,"latency_ms":1,"latency_ms":2)")).contains("there twice: latency_ms"));
    CHECK(error_of(read_scores, R"({"schema":"apreqel.scores/1","a\u001b":1,"a\u001b":2})").contains("there twice: a\\x1b"));
    std::string many = R"({"schema":"apreqel.scores/1")";  // quadratic time would show
    for (int i = 0; i < 20'000; ++i) many += std::format(",\"{}\":{}", i, i);
    CHECK(error_of(read_scores, many + "}").contains("layers is missing"));
}

TEST_CASE("numbers are in the range of what they count, and no arithmetic overflows", "[records]")
{
    const auto latency = [](std::string_view number) {
        return error_of(read_profile, profile_with(std::format(R"(,"latency_ms":{})", number)));
    };
    CHECK(latency("1e400").contains("not JSON"));
    CHECK(latency("1e200").contains("types[0].latency_ms must be a number of at most 1e100"));
    CHECK(latency("0").contains("must be greater than 0"));
    CHECK(latency("1e-200").contains("must be greater than 0"));
    CHECK(latency("-1").contains("must be greater than 0"));
    CHECK(latency("\"1\"").contains("must be a number"));
    CHECK(latency("[1]").contains("must be a number"));
    CHECK(latency("1").empty());
    const auto layers = [](std::string_view number) {
        return error_of(read_profile, std::format(R"({{"schema":"apreqel.profile/1","layers":{},"types":[]}})", number));
    };
    for (const char* number : {"18446744073709551616", "-1", "0.5", "1e300", "9007199254740994"})
        CHECK(layers(number).contains("layers must be a whole number"));
    CHECK(layers("0").contains("layers must be greater than 0"));
    CHECK(layers("-0").contains("layers must be greater than 0"));
    CHECK(layers("2").contains("types must have at least one type"));
    const auto spread = [](std::string_view fields) {
        return error_of(read_profile, profile_with(std::format(R"(,"latency_ms":2{})", fields)));
    };
    CHECK(spread(R"(,"latency_ms_confidence":1.5)").contains("latency_ms_confidence must be from 0 to 1"));
    CHECK(spread(R"(,"latency_ms_interval":[3,1])").contains("latency_ms_interval must be in order"));
    CHECK(spread(R"(,"latency_ms_interval":[3])").contains("latency_ms_interval must have two bounds"));
    CHECK(spread(R"(,"latency_ms_samples":[2,-1])").contains("latency_ms_samples[1] must be greater than 0"));
    CHECK(spread(R"(,"same_top":-0.1)").contains("same_top must be from 0 to 1"));
    CHECK(spread(R"(,"perplexity_error":-1)").contains("perplexity_error must not be negative"));
}

TEST_CASE("lists and sums that do not fit each other are refused", "[records]")
{
    CHECK(
        error_of(read_scores, R"({"schema":"apreqel.scores/1","layers":[]})").contains("layers must have at least one layer"));
    CHECK(error_of(read_sensitivity, sensitivity_with(R"("types":["q4_K"],"groups":[])")).contains("at least one group"));
    CHECK(error_of(read_sensitivity, sensitivity_with(R"("types":[],"groups":[])")).contains("at least one type"));
    CHECK(error_of(read_sensitivity, sensitivity_with(R"("types":["a","a"],"groups":[])")).contains("a type twice"));
    CHECK(error_of(read_sensitivity, sensed_layers(kProbe)).empty());
    CHECK(error_of(read_sensitivity, sensed_layers("")).contains("groups[0].probes must be one for each type"));
    CHECK(error_of(read_sensitivity, sensed_layers(kProbe, "0")).contains("parameters must be greater than 0"));
    CHECK(error_of(read_sensitivity, sensed_layers(R"({"memory_bytes":1,"kl_divergence":-0.1,"measured":true})"))
              .contains("kl_divergence must not be negative"));
    CHECK(error_of(read_plan, R"({"schema":"apreqel.plan/1","allocation":[],"distribution":{},"types":[
        {"type":"a","memory_bytes":1,"latency_ms":1,"perplexity":1},{"type":"a","memory_bytes":1,"latency_ms":1,"perplexity":1}]})")
              .contains("types must not name a type twice"));
    CHECK(error_of(read_run, R"({"schema":"apreqel.run/1","plan":{"allocation":[]}})").contains("plan must have types"));
}

TEST_CASE("a study without a metric, or of other models than it has, is refused", "[records]")
{
    const std::string measured = R"("memory_bytes":9,"latency_ms":1,"perplexity":2)";
    const auto profile =
        parse_profile(R"({"schema":"apreqel.profile/1","layers":1,"types":[{"type":"q4_K",)" + measured + "}]}");
    REQUIRE(profile);
    const auto study = [&](const std::string& type, const std::string& model, const std::string& index) {
        const auto read = parse_evaluation(
            R"({"schema":"apreqel.study/1","reference":{"name":"r","memory_bytes":9},"uniform":[{"name":")" + type + "\"," +
                measured +
                R"(}],"settings":[{"category":"c","weights":{"memory":1,"latency":0,"accuracy":0},"distribution":{},"closeness":1,
                "estimate":{"memory_bytes":1,"latency_ms":1,"perplexity":1}}],"models":[{"name":"m","allocation":{},)" +
                model + R"(}],"orders":[{"order":"o","models":[)" + index + "]}]}",
            *profile, Scores{});
        return read ? "" : read.error().message;
    };
    CHECK(study("q4_K", measured, "0") == "");
    CHECK(study("q8_0", measured, "0").contains("uniform are not types of the profile"));
    CHECK(study("q4_K", R"("memory_bytes":9,"perplexity":2)", "0").contains("models must have latency_ms and perplexity"));
    CHECK(study("q4_K", measured, "1").contains("orders[0].models must be indices of the models"));
    CHECK(study("q4_K", measured, "0,0").contains("orders[0].models must be one for each setting"));
    CHECK(study("q4_K", measured, "").contains("orders[0].models must be one for each setting"));
}

TEST_CASE("names with control characters are refused, and shown escaped", "[records]")
{
    const std::string error = error_of(read_profile, R"({"schema":"apreqel.profile/1","layers":2,"types":[
        {"type":"q3_K+\u001b]0;owned\u0007","memory_bytes":1,"latency_ms":1,"perplexity":1}]})");
    CHECK(error.contains(R"(types[0].type must be a name without control characters, it is "q3_K+\x1b]0;owned\x07")"));
    const auto layer = [](std::string_view name) {
        return error_of(read_scores,
                        std::format(R"({{"schema":"apreqel.scores/1","layers":[{{"layer":"{}","score":1}}]}})", name));
    };
    CHECK(layer(R"(blk.0\n.*=q2_K\nblk.attn)").contains(R"("blk.0\n.*=q2_K\nblk.attn")"));
    CHECK(layer("blk.0|.*=q2_K.attn").contains("letters, digits and . _ + -"));  // it would be a regular expression
    CHECK(layer("").contains("layers[0].layer must not be empty"));
    CHECK(layer("\xff").contains("not JSON"));
    CHECK(layer("blk.0.ffn_gate+ffn_up").empty());
    CHECK(error_of(read_plan, R"({"schema":"apreqel.plan/1","model":"a\u009b","allocation":[]})").contains("model must be"));
    CHECK(error_of(read_plan, "{\"schema\":\"x\\u001b[2J\\ny\"}").contains("its schema is x\\x1b[2J\\ny,"));
    CHECK(layer(std::string(100'000, '\'')).size() < 400);
}

TEST_CASE("texts for people lose their control characters", "[records]")
{
    const auto profile = parse_profile(R"({"schema":"apreqel.profile/1","layers":2,"model_name":"m\u001b[31m\r\nfake",
        "device":"\u009b2J","text":"a\tb","types":[{"type":"q4_K","memory_bytes":1,"latency_ms":1,"perplexity":1}]})");
    REQUIRE(profile);
    CHECK(profile->model.model_name == "m\uFFFD[31m\uFFFD\uFFFDfake");
    CHECK(profile->device.device == "\uFFFD2J");
    CHECK(profile->model.text == "a\uFFFDb");
    Scores scores{.model_name = "\x1b \x7f \u009b", .layers = {{.layer = "blk.0.attn"}}};
    CHECK(to_json(scores).contains(R"("\u001b \u007f \u009b")"));
}

TEST_CASE("what is no file to read is named", "[records]")
{
    const TempDir folder;
    CHECK(read_profile(folder / "none").error().message.contains("none: No such file"));
    CHECK(read_profile(folder.path()).error().message.contains("not a regular file"));
    REQUIRE(write_text(folder / "big", ""));
    std::filesystem::resize_file(folder / "big", 2ULL << 30U);  // a hole: nothing is on disk
    CHECK(read_profile(folder / "big").error().message.contains("2147483648 bytes, more than the 67108864 allowed"));
    CHECK(read_prompts(folder / "big").error().message.contains("2147483648 bytes, more than"));
    CHECK(read_key(folder / "big").empty());
    CHECK(error_of(read_scores, "[" + std::string(5000, '1') + "]").contains("not JSON: number overflow"));
    std::string values = "[1";
    for (int i = 0; i < 2'000'000; ++i) values += ",1";
    CHECK(error_of(read_scores, values + "]").contains("more than 2000000 values"));
}

TEST_CASE("a type that ggml does not know must say its bits", "[records]")
{
    const auto typed = [](std::string_view fields) {
        return error_of(read_profile, std::format(R"({{"schema":"apreqel.profile/1","layers":2,"types":[
            {{"type":"mine","memory_bytes":1,"latency_ms":1,"perplexity":1{}}}]}})",
                                                  fields));
    };
    CHECK(typed("").contains("types[0].bits_per_weight is missing, and mine is no type of ggml"));
    CHECK(typed(R"(,"bits_per_weight":4)").empty());
}

TEST_CASE("prompts are lines or JSON lines", "[records]")
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
