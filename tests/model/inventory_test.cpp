#include <apreqel/inventory.h>

#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <gguf.h>
#include <algorithm>
#include <cstring>
#include <random>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The roles of a layer, in file order.
std::vector<std::string> roles(const Inventory& inventory, std::string_view layer)
{
    std::vector<std::string> roles;
    for (const std::size_t tensor : inventory.layers.at(inventory.find_layer(layer).value()).tensors)
        roles.push_back(inventory.tensors[tensor].role);
    return roles;
}

TensorPlace place(const Inventory& inventory, std::string_view name)
{
    const auto tensor = std::ranges::find(inventory.tensors, name, &Tensor::name);
    REQUIRE(tensor != inventory.tensors.end());
    return tensor->place;
}

using Roles = std::vector<std::string>;

}  // namespace

TEST_CASE("the demo model is what its README says", "[model]")
{
    if (!std::filesystem::exists(demo_model())) SKIP("no demo model");
    const auto inventory = read_inventory(demo_model());
    REQUIRE(inventory);
    CHECK(inventory->architecture == "llama");
    CHECK(inventory->blocks == 8);
    CHECK(inventory->layers.size() == 16);
    CHECK(inventory->residual == Residual::sequential);
    CHECK(inventory->residual_reason.empty());
    CHECK(inventory->fingerprint.size() == 32);
}

TEST_CASE("a block has an attention layer and an FFN layer, in that order", "[model]")
{
    const TempDir folder;
    const Inventory inventory = tiny(folder, {.blocks = 3});
    REQUIRE(inventory.layers.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
        const Group& layer = inventory.layers[i];
        CHECK(layer.block == i / 2);
        CHECK(layer.part == (i % 2 == 0 ? kAttention : kFfn));
        CHECK(layer.name == "blk." + std::to_string(i / 2) + (i % 2 == 0 ? ".attn" : ".ffn"));
        CHECK(inventory.find_layer(layer.name) == i);
    }
    CHECK(roles(inventory, "blk.1.attn") == Roles{"attn_q", "attn_k", "attn_v", "attn_output"});
    CHECK(roles(inventory, "blk.1.ffn") == Roles{"ffn_gate", "ffn_down", "ffn_up"});
    CHECK(inventory.layers[0].parameters == 256 * 256 * 2 + 256 * 128 * 2);
    CHECK(inventory.layers[1].parameters == 256 * 512 * 3);
    CHECK_FALSE(inventory.find_layer("blk.3.attn"));
    CHECK(place(inventory, "token_embd.weight") == TensorPlace::embedding);
    CHECK(place(inventory, "output.weight") == TensorPlace::embedding);
    CHECK(place(inventory, "output_norm.weight") == TensorPlace::fixed);
    CHECK(place(inventory, "blk.0.attn_norm.weight") == TensorPlace::fixed);
    CHECK_FALSE(inventory.tied_embeddings);
    CHECK(inventory.name == "tiny model");
    CHECK(inventory.experts == 0);
}

TEST_CASE("fused tensors, q/k norms, biases and experts go where they belong", "[model]")
{
    const TempDir folder;
    const Inventory phi3 = tiny(folder, {.architecture = "phi3"});
    CHECK(roles(phi3, "blk.0.attn") == Roles{"attn_qkv", "attn_output"});
    CHECK(roles(phi3, "blk.0.ffn") == Roles{"ffn_down", "ffn_up"});

    const Inventory qwen3 = tiny(folder, {.architecture = "qwen3"});
    CHECK(place(qwen3, "blk.0.attn_q_norm.weight") == TensorPlace::fixed);
    CHECK(roles(qwen3, "blk.0.attn").size() == 4);

    const Inventory qwen2 = tiny(folder, {.architecture = "qwen2", .tied = true});
    CHECK(place(qwen2, "blk.0.attn_q.bias") == TensorPlace::fixed);
    CHECK(qwen2.tied_embeddings);

    const Inventory moe = tiny(folder, {.architecture = "qwen3moe"});
    CHECK(roles(moe, "blk.1.ffn") == Roles{"ffn_gate_exps", "ffn_down_exps", "ffn_up_exps"});
    CHECK(place(moe, "blk.1.ffn_gate_inp.weight") == TensorPlace::fixed);
    CHECK(moe.experts == 4);
    CHECK(moe.layers[1].parameters == 4 * 3 * 256 * 512);
    CHECK(moe.tensors[moe.layers[1].tensors[0]].rows() == 4 * 512);
}

TEST_CASE("the residual stream is recognized", "[model]")
{
    const TempDir folder;
    for (const std::string sequential : {"llama", "qwen2", "phi3", "qwen3", "gemma2", "qwen3moe"}) {
        CAPTURE(sequential);
        CHECK(tiny(folder, {.architecture = sequential}).residual == Residual::sequential);
    }
    for (const std::string parallel : {"command-r", "falcon"}) {
        CAPTURE(parallel);
        const Inventory inventory = tiny(folder, {.architecture = parallel});
        CHECK(inventory.residual == Residual::parallel);
        CHECK_FALSE(inventory.residual_reason.empty());
    }
    const Inventory mamba = tiny(folder, {.architecture = "mamba"});
    CHECK(mamba.residual == Residual::other);
    CHECK_THAT(mamba.residual_reason, ContainsSubstring("recurrent"));
    CHECK(mamba.layers.size() == 2);  // no FFN in its blocks
    CHECK(place(mamba, "blk.0.ssm_conv1d.weight") == TensorPlace::fixed);
    CHECK(place(mamba, "blk.0.ssm_a") == TensorPlace::fixed);
}

TEST_CASE("the fingerprint follows the weights and metadata, not the path", "[model]")
{
    const TempDir folder;
    const Inventory one = tiny(folder, {});
    CHECK(tiny(folder, {.file = "copy.gguf"}).fingerprint == one.fingerprint);
    CHECK(tiny(folder, {.seed = 2, .file = "seed.gguf"}).fingerprint != one.fingerprint);
    CHECK(tiny(folder, {.context = 256, .file = "context.gguf"}).fingerprint != one.fingerprint);
    const auto changed = make_tiny_model(folder.path(), {.file = "changed.gguf"});
    std::string bytes = slurp(changed);
    bytes[one.tensors.back().offset] ^= 1;
    spill(changed, bytes);
    CHECK(read_inventory(changed).value().fingerprint != one.fingerprint);
}

TEST_CASE("a split model is read from its first part", "[model]")
{
    APREQEL_NEEDS_TOOL("llama-gguf-split");
    const TempDir folder;
    const auto whole = make_tiny_model(folder.path(), {});
    REQUIRE(run_tool("llama-gguf-split --split --split-max-tensors 8 " + whole.string() + " " + (folder / "part").string()));
    const auto parts = read_inventory(folder / "part-00001-of-00003.gguf");
    REQUIRE(parts);
    CHECK(parts->files.size() == 3);
    CHECK(parts->tensors.size() == read_inventory(whole)->tensors.size());
    CHECK(parts->fingerprint == read_inventory(whole)->fingerprint);

    const auto second = read_inventory(folder / "part-00002-of-00003.gguf");
    REQUIRE_FALSE(second);
    CHECK_THAT(second.error().hint, ContainsSubstring("part-00001-of-00003.gguf"));

    std::filesystem::copy_file(folder / "part-00001-of-00003.gguf", folder / "renamed.gguf");
    CHECK_THAT(read_inventory(folder / "renamed.gguf").error().message, ContainsSubstring("-00001-of-00003.gguf"));

    std::filesystem::copy_file(folder / "part-00002-of-00003.gguf", folder / "part-00003-of-00003.gguf",
                               std::filesystem::copy_options::overwrite_existing);
    CHECK_THAT(read_inventory(folder / "part-00001-of-00003.gguf").error().message, ContainsSubstring("part 3 of 3"));
    std::filesystem::remove(folder / "part-00002-of-00003.gguf");
    const auto missing = read_inventory(folder / "part-00001-of-00003.gguf");
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().message, ContainsSubstring("part-00002-of-00003.gguf"));
    CHECK_THAT(missing.error().hint, ContainsSubstring("3 files"));
}

TEST_CASE("what is no model is refused in one line", "[model]")
{
    const TempDir folder;
    CHECK_THAT(read_inventory(folder / "none.gguf").error().message, ContainsSubstring("No such file"));
    CHECK_THAT(read_inventory(folder.path()).error().message, ContainsSubstring("not a regular file"));
    const auto edited = [&](const std::function<void(gguf_context*)>& edit) {
        const auto inventory = read_inventory(make_tiny_model(folder.path(), {.edit = edit}));
        REQUIRE_FALSE(inventory);
        CHECK_FALSE(inventory.error().message.contains('\n'));
        return inventory.error().message;
    };
    CHECK_THAT(edited([](gguf_context* gguf) { gguf_remove_key(gguf, "general.architecture"); }),
               ContainsSubstring("general.architecture"));
    CHECK_THAT(edited([](gguf_context* gguf) { gguf_set_val_u32(gguf, "general.architecture", 1); }),
               ContainsSubstring("general.architecture"));
    CHECK_THAT(edited([](gguf_context* gguf) { gguf_set_val_str(gguf, "general.architecture", "\x1b[31m"); }),
               ContainsSubstring("not a name"));
    CHECK_THAT(edited([](gguf_context* gguf) { gguf_set_val_str(gguf, "general.architecture", "clip"); }),
               ContainsSubstring("not a language model"));
    CHECK_THAT(edited([](gguf_context* gguf) { gguf_set_val_u32(gguf, "llama.block_count", 9); }),
               ContainsSubstring("9 blocks declared, 2 found"));
}

TEST_CASE("names that terminals and JSON cannot show give way to the file name", "[model]")
{
    const TempDir folder;
    const auto named = [&](const char* name) {
        return tiny(folder, {.edit = [&](gguf_context* gguf) { gguf_set_val_str(gguf, "general.name", name); }}).name;
    };
    CHECK(named("My model") == "My model");
    CHECK(named("\x1b]0;owned\x07") == "llama");
    CHECK(named("\xff\xfe") == "llama");
    CHECK(named("") == "llama");
}

TEST_CASE("no damage to a header does more than cause an error", "[model]")
{
    const TempDir folder;
    const std::string architecture = GENERATE("llama", "qwen3moe");
    const Inventory intact = tiny(
        folder, {.architecture = architecture, .blocks = 1, .width = 32, .experts = 4, .vocabulary = 16, .file = "model.gguf"});
    const std::string bytes = slurp(folder / "model.gguf");
    const std::size_t header = intact.tensors.front().offset;
    std::mt19937_64 random(7);
    const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    int accepted = 0;
    for (int round = 0; round < 1500; ++round) {
        std::string damaged = bytes;
        for (std::size_t i = 0; i <= below(2); ++i) {
            const std::size_t at = below(header - 8);
            switch (below(3)) {
                case 0: damaged[at] = static_cast<char>(random()); break;
                case 1: damaged[at] = static_cast<char>(damaged[at] + 1); break;
                default: std::memset(&damaged[at], below(2) == 0 ? 0 : 0xff, 1 + below(8)); break;
            }
        }
        if (below(10) == 0) damaged.resize(below(damaged.size()));
        spill(folder / "model.gguf", damaged);
        const auto inventory = read_inventory(folder / "model.gguf");
        if (inventory) {
            ++accepted;
            continue;
        }
        REQUIRE(std::ranges::all_of(inventory.error().message, [](char c) { return c >= 0x20 && c < 0x7f; }));
    }
    CHECK(accepted > 0);
}

TEST_CASE("layers fall into tensors, gate and up together", "[model]")
{
    const TempDir folder;
    const auto names = [&](const std::string& architecture) {
        const Inventory inventory = tiny(folder, {.architecture = architecture, .blocks = 1});
        std::vector<std::string> found;
        std::vector<std::size_t> tensors;
        for (const Group& group : groups_of(inventory, Granularity::tensor)) {
            found.push_back(group.name);
            tensors.append_range(group.tensors);
        }
        std::ranges::sort(found);
        // Every tensor of every layer is in one group, and the embedding's are in theirs.
        std::vector<std::size_t> expected;
        for (const Group& layer : inventory.layers) expected.append_range(layer.tensors);
        expected.append_range(embedding_group(inventory).tensors);
        std::ranges::sort(tensors);
        std::ranges::sort(expected);
        CHECK(tensors == expected);
        return found;
    };
    CHECK(names("llama") == Roles{"blk.0.attn_k", "blk.0.attn_output", "blk.0.attn_q", "blk.0.attn_v", "blk.0.ffn_down",
                                  "blk.0.ffn_gate+ffn_up", "embedding"});
    CHECK(names("phi3") == Roles{"blk.0.attn_output", "blk.0.attn_qkv", "blk.0.ffn_down", "blk.0.ffn_up", "embedding"});
    CHECK(std::ranges::contains(names("qwen3moe"), "blk.0.ffn_gate_exps+ffn_up_exps"));
    const Inventory tied = tiny(folder, {.tied = true});
    CHECK(embedding_group(tied).tensors.size() == 1);
    CHECK(embedding_group(tiny(folder, {})).tensors.size() == 2);
    CHECK(groups_of(tied, Granularity::layer).size() == tied.layers.size() + 1);
}
