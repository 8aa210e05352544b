#include "model/readiness.h"
#include "quantize/assign_types.h"
#include "quantize/check_weights.h"

#include "support/compare.h"
#include "support/inventory.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <gguf.h>
#include <algorithm>
#include <fstream>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

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

    // They have one type in every variant, q8_0 unless it is set, and none is a tensor that would be refused.
    const auto type_of = [](const Inventory& model, std::string_view name) {
        const auto tensor = std::ranges::find(model.tensors, name, &Tensor::name) - model.tensors.begin();
        return type_name(assign_types(model, *parse_type("q3_K"), *parse_type("q6_K")).types[static_cast<std::size_t>(tensor)]);
    };
    CHECK(type_of(inventory, "blk.1.attn_q.weight") == "q3_K");
    CHECK(type_of(inventory, "blk.2.attn_q.weight") == "q8_0");
    CHECK(type_of(inventory, "blk.2.attn_norm.weight") == "f32");
    Inventory set = inventory;
    set.inert_type = *parse_type("q4_K");
    CHECK(type_of(set, "blk.2.attn_q.weight") == "q4_K");
    Recorder monitor;
    report_ungrouped(inventory, monitor);
    REQUIRE(monitor.warnings.size() == 1);
    CHECK_THAT(monitor.warnings.front(), ContainsSubstring("7 tensors") && ContainsSubstring("q8_0"));
}

TEST_CASE("tensors that libllama has no name for are kept, and named", "[model]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path(), {});
    std::string bytes = slurp(path);
    for (std::size_t at = bytes.find("blk.1.attn_q.weight"); at != std::string::npos;
         at = bytes.find("blk.1.attn_q.weight", at))
        bytes.replace(at, 12, "blk.1.novel_");
    spill(path, bytes);
    const auto inventory = read_inventory(path);
    REQUIRE(inventory);
    CHECK(inventory->unknown == std::vector<std::string>{"blk.1.novel_.weight"});
    CHECK(std::ranges::find(inventory->tensors, "blk.1.novel_.weight", &Tensor::name)->place == TensorPlace::fixed);
    Recorder monitor;
    report_ungrouped(*inventory, monitor);
    REQUIRE(monitor.warnings.size() == 1);
    CHECK_THAT(monitor.warnings.front(), ContainsSubstring("blk.1.novel_.weight"));
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
