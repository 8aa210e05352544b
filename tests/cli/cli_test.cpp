// The program as its users meet it: arguments in; stdout, stderr and an exit code out. APREQEL_UPDATE_GOLDEN=1 rewrites
// the expected outputs in golden/.
#include "base/file.h"
#include "support/compare.h"
#include "support/quantized_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <apreqel/inventory.h>
#include <apreqel/json.h>

#include <gguf.h>
#include <catch2/catch_test_macros.hpp>

#include <sys/wait.h>
#include <algorithm>
#include <cstdlib>
#include <format>
#include <string>
#include <vector>

namespace apreqel {
namespace {

struct Outcome {
    int exit_code;
    std::string out;
    std::string err;
};

std::string quoted(const std::string& argument) { return "'" + argument + "'"; }

/// Runs apreqel in `folder`.
Outcome apreqel(const TempDir& folder, const std::vector<std::string>& arguments, const std::string& redirect = "")
{
    std::string command = std::format("cd {} && {}", quoted(folder.path().string()), quoted(APREQEL_PROGRAM));
    for (const std::string& argument : arguments) command += " " + quoted(argument);
    const TempDir streams;
    command += std::format(" >{} 2>{} </dev/null {}", (streams / "out").string(), (streams / "err").string(), redirect);
    const int status = std::system(command.c_str());
    const auto out = read_text(streams / "out");
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out ? *out : "",
            read_text(streams / "err").value()};
}

void check_golden(const std::string& name, const std::string& found)
{
    const std::filesystem::path path = std::filesystem::path(APREQEL_GOLDEN) / name;
    if (std::getenv("APREQEL_UPDATE_GOLDEN") != nullptr) REQUIRE(write_text(path, found));
    INFO(path.string());
    CHECK(read_text(path).value_or("no such golden file") == found);
}

/// One line that says what is wrong, perhaps a hint, and nothing on stdout.
void check_error(const Outcome& outcome, int exit_code, const std::string& cause)
{
    INFO(outcome.err);
    CHECK(outcome.exit_code == exit_code);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.starts_with("apreqel: error: "));
    CHECK(outcome.err.contains(cause));
    std::string rest = outcome.err.substr(outcome.err.find('\n') + 1);
    CHECK((rest.empty() || (rest.starts_with("hint: ") && rest.find('\n') == rest.size() - 1)));
}

const char* const kProfile = R"({"schema":"apreqel.profile/1","layers":4,"types":[
 {"type":"q3_K","memory_bytes":3600000000,"latency_ms":61.5,"perplexity":8.13},
 {"type":"q4_K","memory_bytes":4600000000,"latency_ms":42.1,"perplexity":7.55},
 {"type":"q8_0","memory_bytes":8400000000,"latency_ms":66.0,"perplexity":7.31}]})";
const char* const kScores = R"({"schema":"apreqel.scores/1","layers":[
 {"layer":"blk.0.attn","score":-120},{"layer":"blk.0.ffn","score":300},
 {"layer":"blk.1.attn","score":-300,"mean_similarity":0.97},{"layer":"blk.1.ffn","score":-300,"mean_similarity":0.95}]})";

TEST_CASE("help teaches every verb", "[cli]")
{
    const TempDir folder;
    const auto help = apreqel(folder, {"--help"});
    CHECK(help.exit_code == 0);
    CHECK(help.err.empty());
    check_golden("help.txt", help.out);
    for (const std::string verb : {"inspect", "score", "profile", "plan", "quantize", "measure", "run", "study", "sense",
                                   "imatrix", "report", "bench", "merge"}) {
        const auto text = apreqel(folder, {verb, "--help"});
        CHECK(text.exit_code == 0);
        check_golden("help-" + verb + ".txt", text.out);
    }
    CHECK(apreqel(folder, {"--version"}).out.starts_with("apreqel "));
}

TEST_CASE("a multimodal projector is shown, quantized as a whole, and refused by all other verbs", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.file = "mmproj.gguf",
                                    .edit = [](gguf_context* gguf) { gguf_set_val_str(gguf, "general.type", "mmproj"); }});
    const auto shown = apreqel(folder, {"inspect", "mmproj.gguf"});
    CHECK(shown.exit_code == 0);
    CHECK(shown.out.contains("a multimodal projector (mmproj)"));
    for (const char* verb : {"score", "profile", "sense", "study", "measure"})
        check_error(apreqel(folder, {verb, "mmproj.gguf"}), 1, "a multimodal projector (mmproj), not a language model");
    for (const char* verb : {"run", "imatrix"})
        check_error(apreqel(folder, {verb, "mmproj.gguf", "-o", "out.gguf"}), 1, "not a language model");
    check_error(apreqel(folder, {"quantize", "mmproj.gguf", "-o", "out.gguf"}), 2, "--plan FILE is needed");
    CHECK(apreqel(folder, {"quantize", "mmproj.gguf", "--type", "q8_0", "-o", "out.gguf"}).exit_code == 0);
    CHECK(std::filesystem::exists(folder / "out.gguf"));
    make_tiny_model(folder.path(), {});
    check_error(apreqel(folder, {"quantize", "llama.gguf", "--type", "q8_0", "-o", "other.gguf"}), 1,
                "not a multimodal projector");
}

TEST_CASE("plan explains itself from files alone", "[cli]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "profile.json", kProfile));
    REQUIRE(write_text(folder / "scores.json", kScores));
    const auto table = apreqel(folder, {"plan", "--profile", "profile.json", "--scores", "scores.json", "-w", "0.3,0.3,0.4",
                                        "-o", "plan.json", "--tensor-types", "types.txt"});
    CHECK(table.exit_code == 0);
    CHECK(table.err.empty());
    check_golden("plan.txt", table.out);
    check_golden("plan.json", read_text(folder / "plan.json").value());
    check_golden("plan-types.txt", read_text(folder / "types.txt").value());
    const auto json = apreqel(folder, {"plan", "-C", ".", "-w", "0.3,0.3,0.4", "--json"});
    CHECK(json.out == read_text(folder / "plan.json").value());
}

TEST_CASE("a plan takes another device's speeds, and no other model's", "[cli]")
{
    const TempDir folder;
    std::string profile = kProfile;
    profile.insert(profile.find("\"layers\""), R"("model":"abc",)");
    REQUIRE(write_text(folder / "profile.json", profile));
    REQUIRE(write_text(folder / "scores.json", kScores));
    const auto device = [&](const char* model) {
        return std::format(R"({{"schema":"apreqel.device/1","model":"{}","models":[{{"name":"q3_K","latency_ms":1}},
                              {{"name":"q4_K","latency_ms":2}},{{"name":"q8_0","latency_ms":3}}]}})",
                           model);
    };
    REQUIRE(write_text(folder / "board.json", device("abc")));
    REQUIRE(write_text(folder / "other.json", device("def")));
    const auto fastest = apreqel(folder, {"plan", "-C", ".", "-w", "0,1,0", "--device", "board.json"});
    CHECK(fastest.out.contains("q3_K × 4"));
    CHECK(apreqel(folder, {"plan", "-C", ".", "-w", "0,1,0"}).out.contains("q4_K × 4"));
    check_error(apreqel(folder, {"plan", "-C", ".", "-w", "0,1,0", "--device", "other.json"}), 1, "are of def (other.json)");
}

TEST_CASE("a sensitivity is spread over machines and merged to the same bytes", "[cli][slow]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.file = "m.gguf"});
    std::string words;
    for (int i = 0; i < 600; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", words));
    const auto sense = [&](const std::string& workspace, const std::vector<std::string>& more) {
        std::vector<std::string> all{"sense", "m.gguf", "--calibration", "text.txt", "--types", "q3_K,q4_K", "-C", workspace};
        all.append_range(more);
        return apreqel(folder, all);
    };
    CHECK(sense("one", {}).exit_code == 0);
    const std::string whole = read_text(folder / "one/sensitivity.json").value();
    for (const int count : {1, 2, 3}) {
        std::vector<std::string> merge{"merge", "-o", std::format("of{}.json", count)};
        for (int number = 1; number <= count; ++number) {
            const std::string share = std::format("{}/{}", number, count);
            merge.push_back(std::format("shard-{}-{}.json", number, count));
            CHECK(sense("work" + merge.back(), {"--shard", share, "-o", merge.back()}).exit_code == 0);
        }
        CHECK(apreqel(folder, merge).exit_code == 0);
        CHECK(read_text(folder / merge[2]).value() == whole);
    }
    check_error(apreqel(folder, {"merge", "shard-1-3.json", "shard-3-3.json", "-o", "x.json"}), 1, "shard 2 of 3 is missing");
    check_error(apreqel(folder, {"merge", "of1.json", "-o", "x.json"}), 1, "apreqel.shard/1");
    check_error(sense("bad", {"--shard", "4/3", "-o", "x.json"}), 2, "4/3 is not NUMBER/COUNT");
    check_error(sense("bad", {"--shard", "1/3"}), 2, "--shard requires --output");
    check_error(sense("bad", {"-o", "x.json"}), 2, "--output requires --shard");
    const auto finished = sense("last", {"--with", "shard-1-2.json", "shard-2-2.json"});
    CHECK(finished.exit_code == 0);
    CHECK(!finished.err.contains("probes ("));  // none was made
    CHECK(read_text(folder / "last/sensitivity.json").value() == whole);
    check_error(sense("last", {"--with", "shard-1-2.json", "shard-2-2.json", "--form", "f32"}), 1, "it is of form f16");
}

TEST_CASE("a model is timed where it is not, and planned from its shape", "[cli]")
{
    const TempDir folder;
    const TempDir device;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    CHECK(apreqel(folder, {"inspect", "m.gguf", "-o", "shape.json"}).exit_code == 0);
    check_error(apreqel(folder, {"inspect", "m.gguf", "-o", "shape.json"}), 2, "shape.json: it exists");
    std::filesystem::rename(folder / "shape.json", device / "shape.json");
    const auto bench = [&](const std::string& output, const std::vector<std::string>& more) {
        std::vector<std::string> flags{"bench", "shape.json", "-o",     output, "--types", "q4_0,q8_0", "--embedding-type",
                                       "q8_0",  "--workload", "8:4@16", "-t",   "1"};
        flags.append_range(more);
        return apreqel(device, flags);
    };
    const auto timed = bench("latency.json", {"--kv-context", "4096"});
    INFO(timed.err);
    CHECK(timed.exit_code == 0);
    CHECK(timed.out.contains("embedding and output: q8_0 in every type; 3 mixes"));
    CHECK(timed.out.contains("\nq4_0 "));
    CHECK(timed.out.contains("context of 4096 tokens: KV cache 2.00 MiB (K f16, V f16), buffers "));
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(device.path())) ++files;
    CHECK(files == 2);  // the shape and the times
    REQUIRE(write_text(folder / "text.txt", std::string(16000, 'a')));
    const auto sense = apreqel(folder, {"sense", "m.gguf", "--types", "q4_0,q8_0", "--embedding-type", "q8_0", "--calibration",
                                        "text.txt", "-t", "1", "-q"});
    INFO(sense.err);
    REQUIRE(sense.exit_code == 0);
    std::filesystem::rename(folder / "m.gguf.apreqel" / "sensitivity.json", device / "sensitivity.json");
    const auto plan = [&](std::vector<std::string> more) {
        more.insert(more.begin(), {"plan", "--shape", "shape.json", "--sensitivity", "sensitivity.json"});
        return apreqel(device, more);
    };
    const auto lightest = plan({"--device", "latency.json", "-w", "1,0,0", "--no-mix-embedding"});
    CHECK(lightest.exit_code == 0);
    CHECK(lightest.out.contains("q4_0 × 2"));
    CHECK(lightest.out.contains("memory: that of the weights alone"));
    // What the device reported counts, and of other contexts what is reported of the shape here.
    const auto beside = plan({"--device", "latency.json", "--kv-context", "4096"});
    CHECK(beside.out.contains("context of 4096 tokens: KV cache 2.00 MiB (K f16, V f16), buffers "));
    CHECK(beside.out.contains("weights  KV cache"));
    CHECK(plan({"--device", "latency.json", "--kv-context", "8192"}).out.contains("8192 tokens: KV cache 4.00 MiB"));
    CHECK(plan({"--device", "latency.json", "--max-memory", "2MiB"}).exit_code == 0);
    check_error(plan({"--device", "latency.json", "--max-memory", "2MiB", "--kv-context", "4096"}), 3, "the context included");
    check_error(plan({"--device", "latency.json", "--cache-type-k", "q8_0"}), 2,
                "a KV cache of f16 and f16, not of q8_0 and f16");
    CHECK(bench("quantized.json", {"--cache-type-k", "q8_0", "--cache-type-v", "Q4_0"}).exit_code == 0);
    CHECK(read_text(device / "quantized.json").value().contains("\"cache_type_v\": \"q4_0\""));
    check_error(plan({"--device", "latency.json", "--device", "quantized.json"}), 1, "other types of KV cache");
    CHECK(bench("slow.json", {"--devices", "none", "--no-kv-offload", "--override-tensor", "ffn=CPU,attn=CPU"}).exit_code == 0);
    CHECK(plan({"--device", "latency.json", "--device", "slow.json", "--json"}).out.contains("the slowest of: "));
    CHECK(plan({"--device", "latency.json", "--device", "slow.json", "--device-weights", "1,2", "--json"})
              .out.contains("the weighted mean of: "));
    check_error(plan({"--device", "latency.json", "--max-ttft", "1us"}), 3, "prompt latency");
    CHECK(plan({"--device", "latency.json", "--max-ttft", "1000s"}).exit_code == 0);
    check_error(plan({}), 2, "--shape says nothing of speed");
    check_error(plan({"--device", "latency.json", "--method", "paper"}), 2, "--method paper needs");
    check_error(plan({"--device", "latency.json", "--device-weights", "1,2"}), 2, "2 --device-weights for 1 --device");
    check_error(plan({"--device", "latency.json", "--device-weights", "1", "--max-ttft", "1s"}), 2, "keeps no limit of time");
}

/// Sets a variable of the environment for as long as it lives.
struct Environment {
    Environment(const char* variable, const std::string& value) : name(variable) { ::setenv(name, value.c_str(), 1); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() { ::unsetenv(name); }
    const char* name;
};

TEST_CASE("the energy of a token is measured, told, kept and planned by", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    const auto bench = [&](const std::string& output) {
        return apreqel(folder, {"bench", "shape.json", "-o", output, "--types", "q4_0,q8_0", "--embedding-type", "q8_0",
                                "--generate", "4", "-r", "6", "-t", "1", "--energy", "-q"});
    };
    CHECK(apreqel(folder, {"inspect", "m.gguf", "-o", "shape.json"}).exit_code == 0);
    const TempDir sysfs;
    const Environment elsewhere("APREQEL_SYSFS", sysfs.path().string());
    check_error(bench("latency.json"), 1, "energy: nothing on this machine tells it");

    const auto chip = sysfs / "class" / "hwmon" / "hwmon0";
    std::filesystem::create_directories(chip);
    REQUIRE(write_text(chip / "name", "ina219\n"));
    REQUIRE(write_text(chip / "power1_input", "2500000\n"));
    const auto timed = bench("latency.json");
    INFO(timed.err);
    REQUIRE(timed.exit_code == 0);
    CHECK(timed.out.contains("\nenergy "));
    CHECK(timed.out.ends_with("counted: hwmon ina219 power1; 2.5 W of it when idle before, not subtracted\n"));
    const auto kept = read_text(folder / "latency.json");
    REQUIRE(kept);
    CHECK(kept->contains("\"energy_j\""));
    CHECK(kept->contains("\"idle_power_w\""));
}

TEST_CASE("a context takes what libllama reports, also where a header does not tell", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    make_tiny_model(folder.path(), {.architecture = "gemma2", .file = "windowed.gguf"});
    const auto inspect = [&](const char* model, std::vector<std::string> more) {
        more.insert(more.begin(), {"inspect", model});
        return apreqel(folder, more);
    };
    CHECK(inspect("m.gguf", {}).out.contains("KV cache: 512 B a token in f16; --kv-context N tells what a context takes"));
    // 128 keys and 128 values a token: 34 bytes for 32 of them in q8_0, 18 in q4_0.
    const auto counted =
        inspect("m.gguf", {"--kv-context", "8192", "--cache-type-k", "q8_0", "--cache-type-v", "q4_0", "--json"});
    CHECK(counted.out.contains(std::format("\"cache_bytes\": {},", 8192 * 4 * (34 + 18))));
    CHECK(inspect("windowed.gguf", {}).out.contains("KV cache: not the same for every token"));
    CHECK(inspect("windowed.gguf", {"--kv-context", "4096"}).out.contains("context of 4096 tokens: KV cache "));
}

TEST_CASE("the types of the KV cache are measured and planned with those of the layers", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    REQUIRE(write_text(folder / "text.txt", std::string(16000, 'a')));
    const auto apart = [&](std::vector<std::string> words, std::vector<std::string> more) {
        words.append_range(more);
        return apreqel(folder, words);
    };
    const std::vector<std::string> types{"--types", "q4_0,q8_0", "--embedding-type", "q8_0", "--calibration", "text.txt", "-t",
                                         "1",       "-q"};
    const std::vector<std::string> context{"--kv-context", "4096", "--mix-kv"};
    REQUIRE(apart({"sense", "m.gguf"}, types).exit_code == 0);
    std::vector<std::string> profiled{"profile", "m.gguf", "--shape", "--generate", "4", "-r", "6"};
    profiled.append_range(types);
    const auto costs = apart(profiled, context);
    INFO(costs.err);
    REQUIRE(costs.exit_code == 0);
    CHECK(costs.out.contains("The KV cache of 4096 tokens"));
    CHECK(costs.out.contains("K q8_0"));
    CHECK(costs.out.contains("V iq4_nl"));
    const std::vector<std::string> plan{"plan", "-C", "m.gguf.apreqel", "--method", "front", "-w", "accuracy=1"};
    // 256 values a token: 512 bytes in f16, 272 in q8_0; all weights in q8_0 take less than 1.4 MiB.
    const auto small = apart(plan, {"--kv-context", "4096", "--mix-kv", "--max-memory", "9MiB", "--json"});
    INFO(small.err);
    CHECK(small.exit_code == 0);
    CHECK(small.out.contains("\"type_k\": "));
    CHECK(small.out.contains("\"cache_is_chosen\": true"));
    const auto shown = apart(plan, context);
    CHECK(shown.out.contains(", K f16, V f16"));
    CHECK(shown.out.contains("the KV cache is chosen with the weights"));
    CHECK_FALSE(apart(plan, {"--kv-context", "4096"}).out.contains(", K f16"));
    CHECK(apreqel(folder, {"report", "m.gguf", "-o", "report.html"}).exit_code == 0);
    check_error(apart(plan, {"--mix-kv"}), 2, "add --kv-context N");
    check_error(apart(plan, {"--mix-kv", "--kv-context", "512"}), 2, "profile --shape --mix-kv --kv-context 512");
    check_error(apart(plan, {"--mix-kv", "--kv-context", "4096", "--cache-type-k", "q8_0"}), 2, "leave out --cache-type-k");
    check_error(apart({"run", "m.gguf", "-o", "out.gguf", "--method", "paper"}, context), 2, "for the front method");
    check_error(apart({"profile", "m.gguf"}, context), 2, "add --shape");
}

TEST_CASE("a place or type that there is none of is a usage error", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    const std::vector<std::pair<std::string, std::string>> wrong{{"--devices", "CUDA77"},
                                                                 {"--split-mode", "column"},
                                                                 {"--override-tensor", "exps"},
                                                                 {"--override-tensor", "a=CUDA77"},
                                                                 {"--override-tensor", "(=CPU"}};
    for (const auto& [flag, value] : wrong) {
        CAPTURE(flag, value);
        const std::string named = value.substr(value == "a=CUDA77" ? 2 : 0);
        check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", flag, value}), 2, named);
        check_error(apreqel(folder, {"bench", "shape.json", "-o", "out.json", flag, value}), 2, named);
    }
    for (const char* flag : {"--cache-type-k", "--cache-type-v"})
        check_error(apreqel(folder, {"inspect", "m.gguf", "--kv-context", "512", flag, "q3_K"}), 2, "q8_0");
    CHECK(!std::filesystem::exists(folder / "m.gguf.apreqel"));
}

TEST_CASE("a workload that is none is a usage error", "[cli]")
{
    const TempDir folder;
    for (const char* workload :
         {"", "512", "512:", ":128", "512:0", "512:128@", "512:128@x", "512:128@1 2", "-1:128", "9999999:1"}) {
        CAPTURE(workload);
        check_error(apreqel(folder, {"bench", "shape.json", "-o", "out.json", std::string("--workload=") + workload}), 2,
                    "--workload");
    }
    check_error(apreqel(folder, {"bench", "shape.json", "-o", "out.json", "--workload", "1:1", "--generate", "2"}), 2,
                "excludes");
}

TEST_CASE("what a method cannot weigh or limit is refused before anything is measured", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    const auto run = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), {"run", "m.gguf", "-o", "out.gguf"});
        return apreqel(folder, flags);
    };
    check_error(run({"--method", "paper", "--weights", "memory=.5,prompt=.5"}), 2, "does not weigh prompt latency");
    check_error(run({"--method", "paper", "--max-memory", "1GiB"}), 2, "knows no limits");
    check_error(run({"--method", "paper", "--mix-embedding"}), 2, "does not mix the embedding");
    check_error(run({"--method", "paper", "--rounding", "gptq"}), 2, "rounds to the nearest");
    // By default it is the front that chooses. Its importance matrix is not collected for what is refused.
    check_error(run({"--weights", "prompt=1", "--prompt-tokens", "0"}), 2, "a prompt must be timed");
    check_error(run({"--kld-chunks", "0"}), 2, "the front method chooses by KL divergence");
    check_error(run({"--method", "front", "--weights", "prompt=1", "--prompt-tokens", "0"}), 2, "a prompt must be timed");
    check_error(run({"--method", "front", "--max-prompt-latency", "1ms", "--prompt-tokens", "0"}), 2, "a prompt must be timed");
}

TEST_CASE("inspect shows the demo model to the byte", "[cli]")
{
    const TempDir folder;
    const auto shown = apreqel(folder, {"inspect", demo_model().string()});
    CHECK(shown.exit_code == 0);
    check_golden("inspect.txt", shown.out);
}

TEST_CASE("what becomes of the paper's types is told once where they do not fit, not of types that were named", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .width = 224, .file = "odd.gguf"});
    REQUIRE(write_text(folder / "short.txt", "few words"));
    const auto profile = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), {"profile", "odd.gguf", "-q", "--text", "short.txt"});
        return apreqel(folder, flags).err;
    };
    const std::string told = profile({});
    const std::string line = "q3_K, q4_K, q5_K, q6_K do not fit rows of 224, 448 weights: in 7 of 7 tensors they become";
    CHECK(told.contains(line));
    CHECK(told.find(line) == told.rfind(line));
    CHECK(told.contains("--types mxfp4,q4_0,iq4_nl,q4_1,q5_0,q5_1,q8_0 fit\n"));
    CHECK(!profile({"--types", "q4_K"}).contains("do not fit"));
    CHECK(!profile({"--types", "q4_0"}).contains("do not fit"));
}

TEST_CASE("plan's method follows from what there is", "[cli]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "profile.json", kProfile));
    REQUIRE(write_text(folder / "sensitivity.json", "{"));
    check_error(apreqel(folder, {"plan", "-C", "."}), 1, "sensitivity.json: not JSON");
    check_error(apreqel(folder, {"plan", "-C", ".", "--method", "paper"}), 1, "scores.json");
    REQUIRE(write_text(folder / "scores.json", kScores));
    CHECK(apreqel(folder, {"plan", "-C", "."}).exit_code == 0);
    check_error(apreqel(folder, {"plan", "-C", ".", "--method", "front"}), 1, "sensitivity.json: not JSON");
}

TEST_CASE("inspect prints what falls back and what is not supported", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .width = 224, .heads = 4, .file = "odd.gguf"});
    const auto odd = apreqel(folder, {"inspect", "odd.gguf", "--types", "q3_K,q8_0"});
    CHECK(odd.out.contains("attn_output, ffn_gate, ffn_up cannot be q3_K (rows of 224): q4_0\n"));
    CHECK(odd.out.contains("Types that fit: mxfp4,q4_0,iq4_nl,q4_1,q5_0,q5_1,q8_0\nq3_K, q4_K, q5_K, q6_K do not fit"));
    const auto usual = apreqel(folder, {"inspect", "odd.gguf"});
    CHECK(usual.out.contains("\nmxfp4 "));
    CHECK(!usual.out.contains("cannot be"));
    make_tiny_model(folder.path(), {.architecture = "command-r", .blocks = 1, .file = "parallel.gguf"});
    CHECK(apreqel(folder, {"inspect", "parallel.gguf"}).out.contains("Not supported: score"));
    check_error(apreqel(folder, {"score", "parallel.gguf"}), 1, "its layers cannot be scored: attention and FFN");
}

TEST_CASE("a wrong command line is a usage error", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    check_error(apreqel(folder, {}), 2, "required");
    check_error(apreqel(folder, {"fly"}), 2, "fly");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "--wings"}), 2, "--wings");
    check_error(apreqel(folder, {"run", "m.gguf"}), 2, "--output");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "-w", "0,0,0"}), 2, "all are 0");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "-w", "-1,2,3"}), 2, "not a number of 0 or more");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "--types", "q4_K,q9_9"}), 2, "q9_9");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "--types", "q4_K,Q4_K"}), 2, "listed twice");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "--types", "iq2_xxs", "--imatrix", "none"}), 2,
                "importance matrix");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "out.gguf", "--types", "iq2_xxs", "--method", "paper"}), 2,
                "importance matrix");
    check_error(apreqel(folder, {"plan", "--profile", "p.json"}), 2, "--scores FILE is needed");
    check_error(apreqel(folder, {"profile", "m.gguf", "--threads", "0"}), 2, "--threads");
}

TEST_CASE("bad files are errors that name the file, and leave nothing behind", "[cli]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "text.gguf", "not a model"));
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    std::filesystem::copy_file(model, folder / "cut.gguf");
    std::filesystem::resize_file(folder / "cut.gguf", std::filesystem::file_size(model) / 2);
    check_error(apreqel(folder, {"run", "absent.gguf", "-o", "out.gguf"}), 1, "absent.gguf: No such file");
    check_error(apreqel(folder, {"run", "text.gguf", "-o", "out.gguf"}), 1, "text.gguf");
    check_error(apreqel(folder, {"run", "cut.gguf", "-o", "out.gguf"}), 1, "cut.gguf");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "m.gguf", "--force"}), 2, "m.gguf");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "no/out.gguf"}), 1, "no/out.gguf");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "text.gguf"}), 2, "it exists");
    check_error(apreqel(folder, {"profile", "m.gguf", "--text", "absent.txt"}), 1, "absent.txt");
    check_error(apreqel(folder, {"score", "m.gguf", "--prompts", "absent.txt"}), 1, "absent.txt");
    REQUIRE(write_text(folder / "short.txt", "few words"));
    check_error(apreqel(folder, {"profile", "m.gguf", "-q", "--text", "short.txt", "--types", "q4_K"}), 2,
                "at least 1024 are needed");
    REQUIRE(write_text(folder / "profile.json", "{"));
    REQUIRE(write_text(folder / "scores.json", kScores));
    check_error(apreqel(folder, {"plan", "-C", "."}), 1, "profile.json: not JSON");
    REQUIRE(
        write_text(folder / "plan.json", R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.9.attn","type":"q4_K"}]})"));
    check_error(apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "-o", "out.gguf"}), 1, "blk.9.attn");
    CHECK(!std::filesystem::exists(folder / "out.gguf"));
    CHECK(read_text(folder / "text.gguf") == "not a model");
}

TEST_CASE("a quantized source is refused, and can still be inspected", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    REQUIRE(write_text(
        folder / "plan.json",
        R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q8_0"}]})"));
    const auto made = apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "-o", "small.gguf", "-q"});
    CHECK(made.exit_code == 0);
    CHECK(made.out.contains(std::format("{} bytes", std::filesystem::file_size(folder / "small.gguf"))));
    CHECK(apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "--dry-run"}).out ==
          std::format("{} bytes\n", std::filesystem::file_size(folder / "small.gguf")));
    check_error(apreqel(folder, {"profile", "small.gguf"}), 1, "small.gguf: it cannot be quantized: token_embd.weight is");
    check_error(apreqel(folder, {"quantize", "small.gguf", "--plan", "plan.json", "-o", "smaller.gguf"}), 1,
                "small.gguf: it cannot be quantized: token_embd.weight is");
    CHECK(apreqel(folder, {"inspect", "small.gguf"}).out.contains("quantized already"));
}

TEST_CASE("a layout of one model quantizes another of its family, with nothing measured, and no model of another", "[cli]")
{
    const TempDir folder;
    std::string profile = kProfile;
    REQUIRE(write_text(folder / "profile.json", profile));
    REQUIRE(write_text(folder / "scores.json", kScores));
    const std::vector<std::string> plan{"plan", "-C", ".", "-w", "0.3,0.3,0.4", "--layout", "m.layout.json"};
    check_error(apreqel(folder, plan), 1, "the architecture of its model is not known");
    CHECK(!std::filesystem::exists(folder / "m.layout.json"));
    profile.insert(profile.find("\"layers\""), R"("model":"abc","model_name":"the first","architecture":"llama",)");
    REQUIRE(write_text(folder / "profile.json", profile));
    auto with_plan = plan;
    with_plan.insert(with_plan.end(), {"-o", "plan.json"});
    CHECK(apreqel(folder, with_plan).exit_code == 0);
    check_error(apreqel(folder, plan), 2, "m.layout.json: it exists");
    const std::string layout = read_text(folder / "m.layout.json").value();
    CHECK(layout.contains("\"schema\": \"apreqel.layout/1\""));
    CHECK(layout.contains("\"model_name\": \"the first\""));
    CHECK(!layout.contains("abc"));
    check_error(apreqel(folder, {"plan", "-C", ".", "--spread", "3", "--method", "front", "--layout", "x.json"}), 2,
                "--spread");

    make_tiny_model(folder.path(), {.seed = 5, .file = "other.gguf"});
    const auto made = apreqel(folder, {"quantize", "other.gguf", "--plan", "m.layout.json", "-o", "by-layout.gguf", "-q"});
    CHECK(made.exit_code == 0);
    CHECK(made.err.empty());
    CHECK(!std::filesystem::exists(folder / "other.gguf.apreqel"));
    // The plan itself is of that one model.
    check_error(apreqel(folder, {"quantize", "other.gguf", "--plan", "plan.json", "-o", "x.gguf"}), 1, "for another model");
    std::string own = read_text(folder / "plan.json").value();
    own.replace(own.find("\"abc\""), 5, "\"\"");
    REQUIRE(write_text(folder / "own.json", own));
    CHECK(apreqel(folder, {"quantize", "other.gguf", "--plan", "own.json", "-o", "by-plan.gguf", "-q"}).exit_code == 0);
    CHECK(different_tensor(folder / "by-layout.gguf", folder / "by-plan.gguf").empty());

    make_tiny_model(folder.path(), {.architecture = "qwen2", .file = "qwen2.gguf"});
    make_tiny_model(folder.path(), {.blocks = 3, .file = "deeper.gguf"});
    make_tiny_model(folder.path(), {.width = 224, .file = "narrow.gguf"});
    for (const auto& [model, cause] : {std::pair("qwen2.gguf", "for models of architecture llama, this is qwen2"),
                                       std::pair("deeper.gguf", "for models of 2 blocks, this has 3"),
                                       std::pair("narrow.gguf", "as its rows have 224 weights")})
        check_error(apreqel(folder, {"quantize", model, "--plan", "m.layout.json", "-o", "x.gguf", "-q"}), 1, cause);
    std::string weighed = layout;
    weighed.replace(weighed.find("q4_K\""), 4, "q4_K+imatrix");
    REQUIRE(write_text(folder / "weighed.json", weighed));
    const auto without = apreqel(folder, {"quantize", "other.gguf", "--plan", "weighed.json", "-o", "x.gguf", "-q"});
    check_error(without, 2, "needs an importance matrix");
    CHECK(without.err.contains("--imatrix auto"));
    CHECK(!std::filesystem::exists(folder / "x.gguf"));
}

TEST_CASE("a file in a folder is named by convention, and has a card and a Modelfile that name it", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf", .edit = [](gguf_context* metadata) {
                                        gguf_set_val_str(metadata, "general.basename", "Tiny Model");
                                        gguf_set_val_str(metadata, "general.size_label", "1M");
                                        gguf_set_val_str(metadata, "general.license", "mit");
                                    }});
    REQUIRE(write_text(
        folder / "plan.json",
        R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q8_0"}]})"));
    const std::vector<std::string> quantize{"quantize", "m.gguf", "--plan", "plan.json", "-q", "-o"};
    const auto with = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), quantize.begin(), quantize.end());
        return apreqel(folder, flags);
    };
    const auto made = with({"made/here/", "--card", "README.md", "--modelfile", "made/Modelfile"});
    INFO(made.err);
    REQUIRE(made.exit_code == 0);
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "made/here"))
        files.push_back(entry.path().filename());
    REQUIRE(files.size() == 1);
    const std::string& file = files.front();
    CHECK(made.out.starts_with("made/here/" + file + ": "));
    const auto inventory = read_inventory(folder / "made/here" / file).value();
    CHECK(file == std::format("Tiny-Model-1M-APQ-{:.1f}bpw.gguf",
                              8 * static_cast<double>(inventory.size_bytes()) / static_cast<double>(inventory.parameters())));
    const std::string card = read_text(folder / "README.md").value();
    CHECK(card.starts_with("---\nlicense: \"mit\"\n"));
    CHECK(card.contains("`" + file + "` is tiny model (llama, "));
    CHECK(card.contains("| ffn | 0: q8\\_0 |\n"));
    CHECK(card.contains(
        "apreqel quantize m.gguf --plan plan.json -q -o made/here/ --card README.md --modelfile made/Modelfile\n"));
    CHECK(read_text(folder / "made/Modelfile").value() ==
          "FROM ./here/" + file +
              "\n# The model has no chat template: it completes text.\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n");

    // Nothing is replaced that was not asked for, and nothing written where something cannot be.
    check_error(with({"made/here"}), 2, file + ": it exists");
    CHECK(with({"made/here", "--force"}).exit_code == 0);
    check_error(with({"new.gguf", "--card", "README.md"}), 2, "README.md: it exists");
    check_error(with({"new.gguf", "--card", "c", "--modelfile", "./c"}), 2, "asked for twice");
    check_error(with({"new.gguf", "--card", "new.gguf"}), 2, "asked for twice");
    check_error(with({"new.gguf", "--card", "absent/c.md"}), 1, "absent/c.md: its folder is not there");
    check_error(with({"new\".gguf", "--modelfile", "M"}), 1, "a Modelfile cannot name such a file");
    CHECK(!std::filesystem::exists(folder / "new.gguf"));
    CHECK(!std::filesystem::exists(folder / "M"));
}

TEST_CASE("run names its file when it knows what it is, adds a number where that is taken, and writes all that goes with it",
          "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 2, .file = "m.gguf"});
    std::string words;
    for (int i = 0; i < 900; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", words));
    const std::vector<std::string> run{"run",      "m.gguf",   "--types",       "q4_K,q8_0", "--imatrix", "none",
                                       "--text",   "text.txt", "--calibration", "text.txt",  "--context", "32",
                                       "--chunks", "2",        "--generate",    "2",         "-r",        "2",
                                       "-q",       "-o",       "made/"};
    const auto with = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), run.begin(), run.end());
        return apreqel(folder, flags);
    };
    const auto first = with({"--card", "card.md", "--modelfile", "made/Modelfile", "--layout", "m.layout.json"});
    INFO(first.err);
    REQUIRE(first.exit_code == 0);
    REQUIRE(with({}).exit_code == 0);
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "made")) files.push_back(entry.path().filename());
    std::ranges::sort(files);
    REQUIRE(files.size() == 3);  // and the Modelfile
    CHECK(files[1].starts_with("tiny-model-APQ-"));
    CHECK(std::ranges::count_if(files, [](const std::string& file) { return file.ends_with("bpw.gguf"); }) == 1);
    CHECK(std::ranges::count_if(files, [](const std::string& file) { return file.ends_with("bpw-2.gguf"); }) == 1);
    const std::string card = read_text(folder / "card.md").value();
    CHECK(card.contains("| **tiny-model-APQ-"));
    CHECK(card.contains("In one session on "));
    CHECK(card.contains("Text: text.txt."));
    CHECK(card.contains("| full precision |"));
    CHECK(read_text(folder / "m.gguf.apreqel/run.json").value().contains("bpw-2.gguf\""));
    CHECK(read_text(folder / "m.layout.json").value().contains("\"text\": \"text.txt\""));
    make_tiny_model(folder.path(), {.blocks = 2, .seed = 3, .file = "sibling.gguf"});
    CHECK(apreqel(folder, {"quantize", "sibling.gguf", "--plan", "m.layout.json", "-o", "s.gguf", "-q"}).exit_code == 0);
}

TEST_CASE("measure compares files side by side and stock llama.cpp loads what was made", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    REQUIRE(write_text(
        folder / "plan.json",
        R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q8_0"}]})"));
    REQUIRE(apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "-o", "small.gguf"}).exit_code == 0);
    std::string text;
    for (int i = 0; i < 400; ++i) text += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", text));
    const std::vector<std::string> settings{"--text",     "text.txt", "--context",       "32", "-r", "2",
                                            "--generate", "2",        "--prompt-tokens", "4",  "-q"};
    std::vector<std::string> arguments{"measure", "small.gguf", "--reference", "m.gguf", "--json"};
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    const auto measured = apreqel(folder, arguments);
    CHECK(measured.exit_code == 0);
    CHECK(measured.out.contains("\"schema\": \"apreqel.measurements/1\""));
    CHECK(measured.out.contains("\"kl_divergence\""));
    arguments = {"measure", "small.gguf", "-C", "other"};
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    const auto alone = apreqel(folder, arguments);
    CHECK(alone.exit_code == 0);
    CHECK(alone.err.contains("KL divergence is not measured"));

    APREQEL_NEEDS_TOOL("llama-perplexity");
    const std::string path = (folder / "small.gguf").string();
    CHECK(run_tool(std::format("llama-perplexity -m {} -f {} -c 32 --chunks 2", path, (folder / "text.txt").string())));
}

TEST_CASE("an importance matrix is collected, named or made on the way, and lets every type be used", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .context = 64, .file = "m.gguf"});
    const auto no_words = [](gguf_context* metadata) { gguf_set_val_str(metadata, "tokenizer.ggml.model", "no_vocab"); };
    make_tiny_model(folder.path(), {.blocks = 1, .file = "mute.gguf", .edit = no_words});
    std::string text;
    for (int i = 0; i < 400; ++i) text += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", text));
    REQUIRE(write_text(folder / "short.txt", "few words"));
    REQUIRE(write_text(
        folder / "plan.json",
        R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"iq2_xs"},{"layer":"blk.0.ffn","type":"q3_K"}]})"));

    const auto made = apreqel(folder, {"imatrix", "m.gguf", "-o", "i.gguf", "--calibration", "text.txt", "--context", "32"});
    CHECK(made.exit_code == 0);
    CHECK(made.out.starts_with("i.gguf: 7 tensors, "));
    const auto again = apreqel(folder, {"imatrix", "m.gguf", "-o", "i.gguf", "--calibration", "text.txt"});
    check_error(again, 2, "it exists");
    const auto json = apreqel(folder, {"imatrix", "m.gguf", "-o", "j.gguf", "--calibration", "text.txt", "--context", "32",
                                       "--chunks", "2", "--json", "-q"});
    CHECK(json.err.empty());
    CHECK(json.out.contains("\"schema\": \"apreqel.imatrix/1\""));
    CHECK(json.out.contains("\"chunks\": 2"));
    check_error(apreqel(folder, {"imatrix", "m.gguf", "-o", "k.gguf", "--calibration", "short.txt"}), 2,
                "at least 512 are needed");
    check_error(apreqel(folder, {"imatrix", "mute.gguf", "-o", "k.gguf", "--calibration", "text.txt"}), 1, "no tokenizer");
    check_error(apreqel(folder, {"imatrix", "mute.gguf", "-o", "k.gguf"}), 1, "no tokenizer");
    check_error(apreqel(folder, {"imatrix", "m.gguf", "-o", "k.gguf", "--calibration", "absent.txt"}), 1, "absent.txt");
    CHECK(!std::filesystem::exists(folder / "k.gguf"));

    const std::vector<std::string> quantize{"quantize", "m.gguf", "--plan", "plan.json", "-q"};
    const auto with = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), quantize.begin(), quantize.end());
        return apreqel(folder, flags);
    };
    check_error(with({"-o", "out.gguf"}), 2, "needs an importance matrix");
    CHECK(with({"-o", "named.gguf", "--imatrix", "i.gguf"}).exit_code == 0);
    CHECK(with({"-o", "auto.gguf", "--imatrix", "auto", "--calibration", "text.txt"}).exit_code == 0);
    CHECK(with({"-o", "sampled.gguf", "--imatrix", "auto"}).exit_code == 0);
    std::filesystem::resize_file(folder / "i.gguf", std::filesystem::file_size(folder / "i.gguf") - 100);
    check_error(with({"-o", "out.gguf", "--imatrix", "i.gguf"}), 1, "i.gguf");
    check_error(with({"-o", "out.gguf", "--calibration", "text.txt"}), 2, "--imatrix auto");
    check_error(with({"-o", "out.gguf", "--imatrix", "auto", "--calibration", "absent.txt"}), 1, "absent.txt");
    check_error(with({"-o", "out.gguf", "--imatrix", "auto", "--calibration", "short.txt"}), 2, "at least 512 are needed");
    CHECK(!std::filesystem::exists(folder / "out.gguf"));
    check_error(apreqel(folder, {"inspect", "m.gguf", "--imatrix", "auto"}), 2, "would run the model");

    const auto profiled =
        apreqel(folder, {"profile", "m.gguf", "--types", "iq2_xs,q3_K", "--imatrix", "auto", "--text", "text.txt", "--context",
                         "32", "-r", "1", "--generate", "2", "--prompt-tokens", "0", "-q"});
    INFO(profiled.err);
    CHECK(profiled.exit_code == 0);
    CHECK(profiled.out.contains("iq2_xs+imatrix"));
}

TEST_CASE("a study measures every setting, goes on where it was, and leaves no models behind", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 2, .file = "m.gguf"});
    std::string text;
    for (int i = 0; i < 400; ++i) text += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", text));
    REQUIRE(write_text(folder / "prompts.txt", "one two\nthree four\n"));
    const std::vector<std::string> study{"study",       "m.gguf",     "--text",     "text.txt",  "--prompts",
                                         "prompts.txt", "--types",    "q4_0,q8_0",  "--context", "32",
                                         "-r",          "3",          "--generate", "2",         "--prompt-tokens",
                                         "0",           "--markdown", "tables.md",  "--csv",     "all.csv"};
    const auto first = apreqel(folder, study);
    CHECK(first.exit_code == 0);
    CHECK(first.out.contains("Hypervolume"));
    CHECK(first.out.contains("random 5"));
    CHECK(std::filesystem::is_empty(folder / "m.gguf.apreqel" / "mixes"));
    const std::string json = read_text(folder / "m.gguf.apreqel" / "study.json").value();
    CHECK(json.contains("\"schema\": \"apreqel.study/1\""));
    const std::string csv = read_text(folder / "all.csv").value();
    std::size_t of_front = 0;
    for (std::size_t at = csv.find("\n\"front"); at != std::string::npos; at = csv.find("\n\"front", at + 1)) ++of_front;
    CHECK(of_front > 0);  // of one set or another: what the times of so few tokens are is chance
    CHECK(static_cast<std::size_t>(std::ranges::count(csv, '\n')) == 1 + 2 + 10 * 28 + of_front);
    CHECK(read_text(folder / "tables.md").value().contains("| contribution |"));

    std::vector<std::string> again = study;
    again.push_back("--force");
    const auto second = apreqel(folder, again);
    CHECK(second.out == first.out);
    CHECK(!second.err.contains("perplexity"));
    CHECK(apreqel(folder, study).exit_code == 2);  // the tables exist

    // What a study leaves is enough to plan and to report.
    const auto plan = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), {"plan", "-C", "m.gguf.apreqel"});
        return apreqel(folder, flags);
    };
    CHECK(plan({"--method", "front", "--max-memory", "1GiB", "--max-perplexity-increase", "50%"}).exit_code == 0);
    const auto impossible = plan({"--method", "front", "--max-memory", "1KiB"});
    CHECK(impossible.exit_code == 3);
    CHECK(impossible.err.contains("the nearest has"));
    CHECK(plan({"--max-memory", "1GiB"}).exit_code == 2);  // the paper's method knows no limits
    CHECK(plan({"--mix-embedding"}).exit_code == 2);
    CHECK(plan({"--spread", "3"}).exit_code == 2);
    CHECK(plan({"--method", "front", "--mix-embedding"}).out.contains("embedding: "));
    // What the times of so few tokens are is chance, and one type can be the worst in everything.
    Profile profile = read_profile(folder / "m.gguf.apreqel" / "profile.json").value();
    double latency = 0;
    for (TimedModel& model : profile.device.models)
        model.speed.latency_ms = {.median = model.allocation.empty() ? ++latency : 1.5, .low = 1, .high = 2};
    REQUIRE(write_text(folder / "profile.json", to_json(profile)));
    const std::vector<std::string> evenly{"--method", "front", "--spread", "3", "--profile", "profile.json", "-o", "ladder"};
    const auto spread = plan(evenly);
    INFO(spread.err);
    CHECK(spread.exit_code == 0);
    CHECK(apreqel(folder, {"quantize", "m.gguf", "--plan", "ladder/plan-01.json", "-o", "rung.gguf", "-q"}).exit_code == 0);
    CHECK(plan(evenly).exit_code == 2);  // they exist
    CHECK(apreqel(folder, {"report", "m.gguf"}).exit_code == 0);
    CHECK(read_text(folder / "m.gguf.apreqel" / "report.html").value().contains("Orders of layers"));
    CHECK(apreqel(folder, {"report", "m.gguf", "-o", "all.csv"}).exit_code == 2);  // it exists
    std::string other = read_text(folder / "m.gguf.apreqel" / "profile.json").value();
    other.replace(other.find("\"model\": \"") + 10, 4, "0000");
    REQUIRE(write_text(folder / "m.gguf.apreqel" / "profile.json", other));
    const auto mixed_up = apreqel(folder, {"report", "m.gguf"});
    CHECK(mixed_up.exit_code == 1);
    CHECK(mixed_up.err.contains("different models"));
    CHECK(apreqel(folder, {"report", "none.gguf"}).err.contains("nothing to report yet"));

    const auto one =
        apreqel(folder, {"study", "m.gguf", "--text", "text.txt", "--prompts", "prompts.txt", "--types", "q8_0", "--context",
                         "32", "-r", "2", "--generate", "2", "--prompt-tokens", "0", "--no-ablation", "-q"});
    CHECK(one.exit_code == 0);
    CHECK(one.out.contains("no gain to state"));
}

TEST_CASE("a study beside file types measures each with ours, in tables, files and the report", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    std::string text;
    for (int i = 0; i < 400; ++i) text += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", text));
    REQUIRE(write_text(folder / "prompts.txt", "one two\nthree four\n"));
    const auto study = [&](std::vector<std::string> flags) {
        flags.insert(flags.begin(), {"study",
                                     "m.gguf",
                                     "--text",
                                     "text.txt",
                                     "--calibration",
                                     "text.txt",
                                     "--prompts",
                                     "prompts.txt",
                                     "--types",
                                     "q4_0,q8_0",
                                     "--context",
                                     "32",
                                     "-r",
                                     "6",
                                     "--generate",
                                     "2",
                                     "--prompt-tokens",
                                     "0",
                                     "--no-ablation",
                                     "-q"});
        return apreqel(folder, flags);
    };
    CHECK(study({"--stock", "--no-front"}).exit_code == 2);
    CHECK(study({"--stock", "--kld-chunks", "0"}).exit_code == 2);
    const auto unknown = study({"--beat", "Q4_9"});
    CHECK(unknown.exit_code == 2);
    CHECK(unknown.err.contains("Q4_K_M"));
    const auto done = study({"--beat", "q4_0", "--beat", "Q8_0", "--imatrix", "none", "--csv", "all.csv"});
    REQUIRE(done.exit_code == 0);
    CHECK(done.out.contains("Beside each rival"));
    CHECK(done.out.contains("better in everything: "));
    const std::string csv = read_text(folder / "all.csv").value();
    CHECK(csv.contains("\nrival,,,,,Q4_0,"));
    CHECK(csv.contains("\nrival,,,,,Q8_0,"));
    CHECK(csv.contains("\n\"beside rivals\",,,,,"));
    CHECK(read_text(folder / "m.gguf.apreqel/study.json").value().contains("\"no_larger\""));
    CHECK(apreqel(folder, {"report", "m.gguf"}).exit_code == 0);
    CHECK(read_text(folder / "m.gguf.apreqel/report.html").value().contains("Beside each rival"));
}

TEST_CASE("every verb prints one JSON object with a schema", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .width = 224, .file = "m.gguf"});
    REQUIRE(write_text(
        folder / "plan.json",
        R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q8_0"}]})"));
    const auto made = apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "-o", "out.gguf", "--json", "-q"});
    CHECK(made.out.starts_with("{\n  \"schema\": \"apreqel.quantized/1\""));
    CHECK(made.out.contains("\"columns\": 224"));
    const auto dry = apreqel(folder, {"quantize", "m.gguf", "--plan", "plan.json", "--dry-run", "--json"});
    CHECK(dry.out.contains(std::format("\"file_bytes\": {}", std::filesystem::file_size(folder / "out.gguf"))));
    REQUIRE(write_text(folder / "scores.json", kScores));
    const auto report = apreqel(folder, {"report", "-C", ".", "-o", "page.html", "--json"});
    CHECK(report.out == "{\n  \"schema\": \"apreqel.report/1\",\n  \"output\": \"page.html\"\n}\n");
}

TEST_CASE("one thing has one name, and the old one tells it", "[cli]")
{
    const TempDir folder;
    check_error(apreqel(folder, {"imatrix", "m.gguf", "-o", "i.gguf", "--text", "t"}), 2, "called --calibration");
    check_error(apreqel(folder, {"sense", "m.gguf", "--text", "t"}), 2, "called --calibration");
    check_error(apreqel(folder, {"run", "m.gguf", "-o", "o.gguf", "--device", "CUDA0"}), 2, "called --devices");
    check_error(apreqel(folder, {"inspect", "m.gguf", "--context", "512"}), 2, "called --kv-context");
    check_error(apreqel(folder, {"bench", "shape.json", "-o", "l.json", "--context", "512"}), 2, "called --kv-context");
    check_error(apreqel(folder, {"plan", "--context", "512"}), 2, "called --kv-context");
}

TEST_CASE("numbers and lists are read as people type them, and nonsense is refused", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    CHECK(apreqel(folder, {"inspect", "m.gguf", "--types", "q4_K, q8_0"}).exit_code == 0);
    check_error(apreqel(folder, {"inspect", "m.gguf", "--types", "q4_K,,q8_0"}), 2, "empty");
    for (const std::string nonsense : {"nan", "inf", "-1", "1e999", "4 apples"}) {
        for (const std::string flag : {"--max-memory", "--max-latency", "--min-speed", "--max-kld", "--max-perplexity-increase",
                                       "--kv-context", "--runners-up", "--spread"})
            check_error(apreqel(folder, {"plan", "--method", "front", flag, nonsense}), 2, flag);
    }
}

TEST_CASE("names from files reach neither the terminal nor another file", "[cli]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "p.json", kProfile));
    std::string scores = kScores;
    scores.replace(scores.find("blk.0.attn"), 10, "blk.0\\n.*=q2_K\\nblk.attn");
    REQUIRE(write_text(folder / "s.json", scores));
    const auto forged = apreqel(folder, {"plan", "--profile", "p.json", "--scores", "s.json", "--tensor-types", "types"});
    check_error(forged, 1, "must be a name without control characters");
    CHECK(!std::filesystem::exists(folder / "types"));
    REQUIRE(write_text(folder / "q.json", R"({"schema":"x\u001b[2J\ny"})"));
    const auto escape = apreqel(folder, {"plan", "--profile", "q.json", "--scores", "s.json"});
    check_error(escape, 1, "x\\x1b[2J\\ny");
    CHECK(!escape.err.contains('\x1b'));
}

TEST_CASE("a result that cannot be written is an error, and a reader that goes away is none", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    CHECK(apreqel(folder, {"inspect", "m.gguf"}, ">/dev/full").exit_code == 1);
    // 4 writes to a pipe that has lost its only reader, 3.
    const std::string command = std::format("cd {} && mkfifo p && exec 3<>p 4>p 3<&- && {} inspect m.gguf >&4; echo $? >status",
                                            folder.path().string(), APREQEL_PROGRAM);
    REQUIRE(std::system(command.c_str()) == 0);
    CHECK(read_text(folder / "status") == "0\n");
}

TEST_CASE("a workspace that another process writes to is left alone, by the verbs that write there", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    std::filesystem::create_directories(folder / "w");
    REQUIRE(write_text(folder / "text.txt", std::string(4000, 'x')));
    REQUIRE(write_text(folder / "w" / "profile.json", kProfile));
    REQUIRE(write_text(folder / "w" / "scores.json", kScores));
    // As the other process would, with the tool of util-linux: it locks the file while the command runs.
    APREQEL_NEEDS_TOOL("flock");
    const auto locked = [&](const std::string& arguments, int exit_code) {
        return run_tool(std::format("cd {} && flock w/lock sh -c '{} {}; test $? = {}'", quoted(folder.path().string()),
                                    APREQEL_PROGRAM, arguments, exit_code));
    };
    for (const char* writing : {"score m.gguf --prompts text.txt", "profile m.gguf --text text.txt", "sense m.gguf",
                                "measure m.gguf --text text.txt", "run m.gguf -o o.gguf", "study m.gguf",
                                "imatrix m.gguf -o i.gguf", "quantize m.gguf --plan plan.json --imatrix auto -o o.gguf"}) {
        INFO(writing);
        REQUIRE(write_text(folder / "plan.json", R"({"schema":"apreqel.plan/1","allocation":[
            {"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q4_K"}]})"));
        CHECK(locked(std::string(writing) + " -C w", 1));
        CHECK(!std::filesystem::exists(folder / "w" / "reference.expected"));
    }
    for (const char* reading : {"plan", "report", "quantize m.gguf --plan plan.json -o o.gguf"}) {
        INFO(reading);
        CHECK(locked(std::string(reading) + " -C w", 0));
    }
}

TEST_CASE("a quantized model is taken where the flag says so", "[cli]")
{
    const TempDir folder;
    make_quantized_model(folder.path(), "q8_0", {.blocks = 1});
    REQUIRE(write_text(folder / "plan.json",
                       R"({"schema":"apreqel.plan/1","embedding_type":"source",)"
                       R"("allocation":[{"layer":"blk.0.attn","type":"source"},{"layer":"blk.0.ffn","type":"q4_K"}]})"));
    for (const std::vector<std::string>& verb : {std::vector<std::string>{"run", "q8_0.gguf", "-o", "out.gguf"},
                                                 {"quantize", "q8_0.gguf", "--plan", "plan.json", "--dry-run"},
                                                 {"quantize", "q8_0.gguf", "--plan", "plan.json", "-o", "out.gguf"}}) {
        const auto refused = apreqel(folder, verb);
        check_error(refused, 1, "is q8_0 already");
        CHECK(refused.err.contains("--from-quantized"));
    }
    CHECK(apreqel(folder, {"inspect", "q8_0.gguf"}).out.contains("or add --from-quantized"));
    const auto shown = apreqel(folder, {"inspect", "q8_0.gguf", "--from-quantized", "--types", "q4_0,q8_0"});
    CHECK(shown.exit_code == 0);
    CHECK(shown.out.contains("\nsource "));
    CHECK(!shown.out.contains("\nq8_0 "));  // another name for what it is
    CHECK(shown.err.contains("would be smaller in q8_0"));
    CHECK(shown.out.contains("Not supported: study."));
    check_error(apreqel(folder, {"run", "q8_0.gguf", "--from-quantized", "--types", "q8_0", "-o", "out.gguf"}), 2,
                "none makes any tensor");

    const auto written =
        apreqel(folder, {"quantize", "q8_0.gguf", "--from-quantized", "--plan", "plan.json", "-o", "out.gguf"});
    INFO(written.err);
    CHECK(written.exit_code == 0);
    CHECK(std::filesystem::file_size(folder / "out.gguf") < std::filesystem::file_size(folder / "q8_0.gguf"));
}

}  // namespace
}  // namespace apreqel
