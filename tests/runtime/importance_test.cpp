// Importance matrices collected here, against llama-imatrix.
#include "runtime/importance.h"

#include "gguf/container.h"
#include "runtime/inputs.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>

namespace apreqel {
namespace {

std::string words(int count)
{
    std::string text;
    for (int i = 0; i < count; ++i) text += std::format("word {} ", i * i);
    return text;
}

ImportanceMatrix collect(const std::filesystem::path& path, const std::string& text, const ImportanceSettings& settings)
{
    const auto model = LoadedModel::load(path, {.threads = 1});
    const auto inventory = read_inventory(path);
    REQUIRE(model);
    REQUIRE(inventory);
    const auto tokens = model->tokenize(text);
    REQUIRE(tokens);
    Monitor quiet;
    auto matrix = collect_importance(*model, *inventory, *tokens, settings, quiet);
    INFO((matrix ? "" : matrix.error().message));
    REQUIRE(matrix);
    return *matrix;
}

std::map<std::string, std::vector<float>> floats_of(const std::filesystem::path& path)
{
    const auto file = InputFile::open(path);
    REQUIRE(file);
    const auto container = Container::read(*file);
    REQUIRE(container);
    CHECK(container->text("general.type") == "imatrix");
    std::map<std::string, std::vector<float>> all;
    for (const StoredTensor& tensor : container->tensors()) {
        std::vector<float>& values = all[tensor.name];
        values.resize(tensor.size_bytes / sizeof(float));
        REQUIRE(file->read_at(tensor.offset, std::as_writable_bytes(std::span(values))));
    }
    return all;
}

struct Stock {
    std::string architecture;
    std::size_t context;
    std::string batches;
};

TEST_CASE("sums and counts are those of llama-imatrix", "[runtime]")
{
    APREQEL_NEEDS_TOOL("llama-imatrix");
    // By default the tool divides 512 tokens evenly over its sequences and ignores what is left if that is less than 16: of
    // 6 chunks of 256, the last token of each. -ub 2048 leaves none. With one sequence a batch it runs the very same batches.
    const Stock stock = GENERATE(Stock{"llama", 64, "-b 64"}, Stock{"llama", 96, "-b 96"}, Stock{"phi3", 64, "-b 64"},
                                 Stock{"gemma2", 64, "-b 64"}, Stock{"qwen3moe", 64, "-b 64"}, Stock{"mamba", 64, "-b 64"},
                                 Stock{"falcon", 64, "-b 64"}, Stock{"demo", 512, "-b 512"}, Stock{"demo", 256, "-ub 2048"});
    CAPTURE(stock.architecture, stock.context, stock.batches);
    const TempDir folder;
    const bool demo = stock.architecture == "demo";
    const auto model = demo ? demo_model() : make_tiny_model(folder.path(), {.architecture = stock.architecture});
    const std::string text = words(demo ? 1200 : 400);
    REQUIRE(write_text(folder / "text.txt", text + "\n"));  // the tool drops one newline at the end
    REQUIRE(
        run_tool(std::format("llama-imatrix -t 1 -m {} -f {} -o {} -c {} --chunks 6 {}", model.string(),
                             (folder / "text.txt").string(), (folder / "theirs.gguf").string(), stock.context, stock.batches)));
    REQUIRE(write_importance(folder / "ours.gguf", collect(model, text, {.context = stock.context, .chunks = 6})));

    const auto ours = floats_of(folder / "ours.gguf");
    const auto theirs = floats_of(folder / "theirs.gguf");
    std::size_t compared = 0;
    for (const auto& [name, values] : theirs) {
        if (!name.ends_with(".in_sum2") && !name.ends_with(".counts")) continue;
        CAPTURE(name);
        if (name.contains("ffn_gate_inp")) continue;  // the router is not quantized
        REQUIRE(ours.contains(name));
        const std::vector<float>& found = ours.at(name);
        REQUIRE(found.size() == values.size());
        ++compared;
        if (name.ends_with(".counts")) {
            CHECK(found == values);
            continue;
        }
        // The tool adds up in f32: every term may cost its sum half a unit in the last place, and so do square and storing.
        const std::vector<float>& counts = ours.at(name.substr(0, name.size() - 7) + "counts");
        const float most = std::ranges::max(counts);
        for (std::size_t i = 0; i < values.size(); ++i)
            REQUIRE(std::abs(found[i] - values[i]) <= values[i] * (most + 2) * 0x1p-24F);
    }
    CHECK(compared == ours.size());
}

TEST_CASE("all rows count, and weights with one input have one sum", "[runtime]")
{
    const std::string architecture = GENERATE("llama", "qwen3moe");
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.architecture = architecture});
    const std::string text = words(400);
    const ImportanceMatrix matrix = collect(model, text, {.context = 40, .chunks = 3});
    CHECK(matrix.chunks == 3);
    std::map<std::string, InputSums> sums;
    for (const InputSums& entry : matrix.tensors) sums[entry.tensor] = entry;
    for (const std::string block : {"blk.0.", "blk.1."}) {
        CHECK(sums.at(block + "attn_q.weight").squares == sums.at(block + "attn_k.weight").squares);
        CHECK(sums.at(block + "attn_q.weight").squares == sums.at(block + "attn_v.weight").squares);
        const std::string of_experts = architecture == "qwen3moe" ? "_exps.weight" : ".weight";
        const InputSums& down = sums.at(block + "ffn_down" + of_experts);
        CHECK(sums.at(block + "ffn_gate" + of_experts).squares == sums.at(block + "ffn_up" + of_experts).squares);
        CHECK(sums.at(block + "ffn_gate" + of_experts).inputs == down.inputs);
        const std::uint64_t used = architecture == "qwen3moe" ? 2 : 1;  // experts per token
        CHECK(std::accumulate(down.inputs.begin(), down.inputs.end(), std::uint64_t{0}) == 3 * 40 * used);
        CHECK(sums.at(block + "attn_output.weight").inputs == std::vector<std::uint64_t>{120});
    }
}

TEST_CASE("an importance matrix is the same however its chunks are divided into batches", "[runtime]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.context = 2048});
    const std::string text = words(2000);
    const ImportanceMatrix first = collect(model, text, {.context = 1100, .chunks = 1});  // 512 + 512 + 76
    const ImportanceMatrix both = collect(model, text, {.context = 1100, .chunks = 2});
    REQUIRE(first.tensors.size() == 14);
    for (std::size_t t = 0; t < first.tensors.size(); ++t) {
        CHECK(first.tensors[t].inputs.front() == 1100);
        CHECK(both.tensors[t].inputs.front() == 2200);
        for (std::size_t c = 0; c < first.tensors[t].squares.size(); ++c)
            REQUIRE(both.tensors[t].squares[c] > first.tensors[t].squares[c]);
    }
}

TEST_CASE("weights on another device are known by the name of the original", "[runtime]")
{
    CHECK(name_of_original("blk.0.attn_q.weight") == "blk.0.attn_q.weight");
    CHECK(name_of_original("CUDA0#blk.0.attn_q.weight#0") == "blk.0.attn_q.weight");
    CHECK(name_of_original("RPC0[host#1]#blk.0.attn_q.weight#12").contains("blk.0.attn_q.weight"));
    CHECK(name_of_original("CUDA0#blk.0.attn_q.weight") == "blk.0.attn_q.weight");
    CHECK(name_of_original("#").empty());
}

TEST_CASE("a text too short and inputs that are not finite are errors", "[runtime]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path());
    const auto inventory = read_inventory(path).value();
    Monitor quiet;
    const auto model = LoadedModel::load(path, {.threads = 1});
    REQUIRE(model);
    const std::vector<Token> tokens(63, 5);
    const auto refused = collect_importance(*model, inventory, tokens, {.context = 64}, quiet);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::usage);
    CHECK(refused.error().message.contains("63 tokens, at least 64"));
    CHECK(collect_importance(*model, inventory, tokens, {.context = 63}, quiet));

    const Tensor& norm = *std::ranges::find(inventory.tensors, "blk.1.ffn_norm.weight", &Tensor::name);
    const float infinite = INFINITY;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(norm.offset));
    file.write(reinterpret_cast<const char*>(&infinite), sizeof infinite);
    file.close();
    const auto damaged = LoadedModel::load(path, {.threads = 1});
    REQUIRE(damaged);
    const auto failed = collect_importance(*damaged, inventory, tokens, {.context = 63}, quiet);
    REQUIRE(!failed);
    CHECK(failed.error().message.contains("not finite"));
}

TEST_CASE("one count for all matrices of a tensor is read as llama-quantize reads it", "[runtime]")
{
    const TempDir folder;
    auto inventory = read_inventory(make_tiny_model(folder.path(), {.architecture = "qwen3moe"})).value();
    const Tensor& tensor = *std::ranges::find(inventory.tensors, "blk.0.ffn_up_exps.weight", &Tensor::name);
    const auto values = static_cast<std::size_t>(tensor.columns() * tensor.shape[2]);
    ImportanceMatrix matrix{.tensors = {{tensor.name, std::vector<double>(values, 6), {3}}}, .text = "t"};
    matrix.tensors.front().squares.back() = 12;
    REQUIRE(write_importance(folder / "i.gguf", matrix));
    REQUIRE(read_importance(folder / "i.gguf", inventory, "imatrix.gguf"));
    CHECK(inventory.importance.starts_with("imatrix.gguf "));
    CHECK(tensor.importance->front() == 2);
    CHECK(tensor.importance->back() == 4);
}

}  // namespace
}  // namespace apreqel
