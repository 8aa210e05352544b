#include "model/readiness.h"
#include "quantize/check_weights.h"

#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <gguf.h>
#include <algorithm>
#include <fstream>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

namespace {

Inventory tiny(const TempDir& folder, const TinyModelOptions& options)
{
    auto inventory = read_inventory(make_tiny_model(folder.path(), options));
    REQUIRE(inventory);
    return *inventory;
}

}  // namespace

TEST_CASE("what cannot be done with a model is known from its header", "[model]")
{
    const TempDir folder;
    CHECK(check_ready(tiny(folder, {}), "run", {Task::load, Task::text, Task::score, Task::quantize}));
    const Inventory parallel = tiny(folder, {.architecture = "falcon"});
    CHECK(check_ready(parallel, "profile", {Task::load, Task::text, Task::quantize}));
    const auto refused = check_ready(parallel, "run", {Task::score});
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, ContainsSubstring("read the same input"));
    const auto mute = [](gguf_context* metadata) { gguf_set_val_str(metadata, "tokenizer.ggml.model", "no_vocab"); };
    CHECK_FALSE(check_ready(tiny(folder, {.edit = mute}), "measure", {Task::text}));

    const auto changed = [&](const auto& change) {
        Inventory inventory = tiny(folder, {});
        const auto container = Container::read(*InputFile::open(inventory.files.front()));
        REQUIRE(container);
        change(inventory);
        inventory.obstacles.clear();
        find_obstacles(inventory, *container);
        return inventory;
    };
    const Inventory split = changed([](Inventory& inventory) { inventory.tensors[3].role = "ffn_gate.0"; });
    CHECK_FALSE(check_ready(split, "measure", {Task::load}));
    const Inventory odd = changed([](Inventory& inventory) {
        std::ranges::find(inventory.tensors, "blk.0.attn_q.weight", &Tensor::name)->type = QuantType{28};  // f64
    });
    CHECK_FALSE(check_ready(odd, "measure", {Task::load}));
    CHECK_FALSE(check_ready(odd, "quantize", {Task::quantize}));
}

TEST_CASE("blocks for multi-token prediction are no layers", "[model]")
{
    const TempDir folder;
    const auto nextn = [](gguf_context* metadata) { gguf_set_val_u32(metadata, "llama.nextn_predict_layers", 1); };
    const Inventory inventory = tiny(folder, {.blocks = 3, .edit = nextn});
    CHECK(inventory.extra_blocks == 1);
    CHECK(inventory.blocks == 2);
    CHECK(inventory.layers.size() == 4);
    CHECK(inventory.residual == Residual::sequential);
}

TEST_CASE("KV bytes are those of the metadata, or not known", "[model]")
{
    const TempDir folder;
    // 2 blocks × 2 heads × (64 + 64) columns × 2 bytes; a fused projection has the same.
    const TinyModelOptions fused{.architecture = "falcon"};
    CHECK(tiny(folder, {}).kv_bytes_per_token == 1024);
    CHECK(tiny(folder, fused).kv_bytes_per_token == 1024);
    for (const char* windowed : {"gemma2", "phi3", "mamba"})
        CHECK(tiny(folder, {.architecture = windowed}).kv_bytes_per_token == 0);
}

TEST_CASE("a weight that is not a number is found and named", "[model]")
{
    const TempDir folder;
    for (const int type : {0, 1, 30}) {
        const Inventory inventory = tiny(folder, {.type = type});
        Monitor monitor;
        CHECK(check_weights(inventory, 2, monitor));
        const auto tensor = std::ranges::find(inventory.tensors, "blk.1.ffn_up.weight", &Tensor::name);
        std::fstream file(inventory.files.front(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(tensor->offset + tensor->size_bytes - 4));
        file.write("\xff\xff\xff\xff", 4);
        file.close();
        const auto checked = check_weights(inventory, 2, monitor);
        REQUIRE_FALSE(checked);
        CHECK_THAT(checked.error().message, ContainsSubstring("blk.1.ffn_up.weight"));
    }
}
