// A model that is quantized already as the source of smaller ones.
#include "quantize/assign_types.h"
#include "quantize/check_weights.h"
#include "quantize/layout.h"
#include "quantize/write_models.h"

#include "gguf/container.h"
#include "model/readiness.h"
#include "support/compare.h"
#include "support/quantized_model.h"
#include "support/temp_dir.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <fstream>

namespace apreqel {
namespace {

Variant variant(const std::string& name) { return parse_variant(name, false).value(); }

ModelSpec spec_of(const std::filesystem::path& path, TypeAssignment assignment)
{
    return {.path = path, .types = std::move(assignment.types), .notes = {}, .origins = std::move(assignment.origins)};
}

void write(const Inventory& inventory, const ModelSpec& spec)
{
    Monitor monitor;
    const auto written = write_models(inventory, std::span(&spec, 1), {}, 2, monitor);
    INFO((written ? "" : written.error().message));
    REQUIRE(written);
}

TEST_CASE("a quantized model is refused with the way to take it, and taken when asked", "[quantize]")
{
    const TempDir folder;
    const auto file = make_quantized_model(folder.path(), "q8_0");
    const Inventory refused = read_inventory(file).value();
    CHECK(!refused.from_quantized());
    const auto ready = check_ready(refused, "run", {Task::quantize});
    REQUIRE(!ready);
    CHECK(ready.error().message.contains("is q8_0 already"));
    CHECK(ready.error().hint.contains("--from-quantized"));
    CHECK(storage_of(refused.tensors[refused.layers.front().tensors.front()], variant("q4_K")).obstacle.contains("already"));

    const Inventory taken = read_inventory(file, true).value();
    CHECK(taken.from_quantized());
    CHECK(check_ready(taken, "run", {Task::load, Task::text, Task::score, Task::quantize}));
    CHECK(taken.name == refused.name + " (q8_0)");
    CHECK(taken.fingerprint == refused.fingerprint);
    CHECK(read_inventory(make_quantized_model(folder.path(), "mix"), true)->name.ends_with(" (q4_K, q6_K)"));

    const Inventory full = read_inventory(make_tiny_model(folder.path()), true).value();
    CHECK(!full.from_quantized());
    CHECK(full.name == read_inventory(full.files.front())->name);
}

TEST_CASE("what is in no type that libggml reads back is not taken", "[quantize]")
{
    const TempDir folder;
    Inventory inventory = read_inventory(make_quantized_model(folder.path(), "q8_0"), true).value();
    Tensor& tensor = inventory.tensors[inventory.layers.front().tensors.front()];
    tensor.type = QuantType{28};  // f64
    tensor.requantize = false;
    const auto refused = check_full_precision(inventory);
    REQUIRE(!refused);
    CHECK(refused.error().hint.empty());
}

TEST_CASE("layers that stay as they are keep their bytes, others are llama-quantize's", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const std::string types = GENERATE("q8_0", "mix");
    CAPTURE(types);
    const TempDir folder;
    const auto file = make_quantized_model(folder.path(), types);
    const Inventory inventory = read_inventory(file, true).value();
    for (const std::string name : {"q4_0", "q3_K", "q2_K"}) {
        CAPTURE(name);
        REQUIRE(run_tool(std::format("llama-quantize --pure --allow-requantize {} {} {} 2", file.string(),
                                     (folder / "theirs.gguf").string(), name == "q3_K" ? "Q3_K_S" : name)));
        write(inventory, spec_of(folder / "ours.gguf", assign_types(inventory, variant(name), variant(name))));
        CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf").empty());
    }
    // One layer in another type.
    std::vector<Variant> layers(inventory.layers.size(), variant("source"));
    layers[1] = variant("q3_K");
    write(inventory, spec_of(folder / "mixed.gguf", assign_types(inventory, layers, variant("source"))));
    const Inventory mixed = read_inventory(folder / "mixed.gguf").value();
    REQUIRE(run_tool(std::format("llama-quantize --pure --allow-requantize {} {} Q3_K_S 2", file.string(),
                                 (folder / "theirs.gguf").string())));
    const Inventory theirs = read_inventory(folder / "theirs.gguf").value();
    const auto bytes = [](const Inventory& model, const std::string& name) {
        const Tensor& tensor = *std::ranges::find(model.tensors, name, &Tensor::name);
        std::string read(tensor.size_bytes, '\0');
        REQUIRE(InputFile::open(model.files.front())->read_at(tensor.offset, std::as_writable_bytes(std::span(read))));
        return type_name(tensor.type) + read;
    };
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const std::string& name = inventory.tensors[t].name;
        CAPTURE(name);
        CHECK(bytes(mixed, name) == bytes(std::ranges::contains(inventory.layers[1].tensors, t) ? theirs : inventory, name));
    }
    const auto container = Container::read(*InputFile::open(folder / "mixed.gguf"));
    REQUIRE(container);
    CHECK(container->text(kQuantizedSourceKey) == inventory.name);
    CHECK(container->text(kSourceKey) == inventory.fingerprint);
}

TEST_CASE("no tensor of a quantized model becomes larger", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_quantized_model(folder.path(), "mix"), true).value();
    const Group& attention = inventory.layers[0];  // attn_v is q6_K, all else q4_K
    const Group& ffn = inventory.layers[3];        // all q4_K
    const TypeAssignment q5 = assign_types(inventory, variant("q5_K"), variant("q5_K"));
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        CAPTURE(tensor.name);
        CHECK(type_name(q5.types[t]) == (type_name(tensor.type) == "q6_K" ? "q5_K" : type_name(tensor.type)));
    }
    CHECK(q5.fallbacks.empty());
    CHECK(can_store(inventory, attention, variant("q5_K")));
    CHECK(!can_store(inventory, ffn, variant("q5_K")));
    CHECK(!can_store(inventory, ffn, variant("q4_K")));
    CHECK(can_store(inventory, ffn, variant("q4_0")));  // as large, perhaps faster
    CHECK(!can_store(inventory, attention, variant("q8_0")));
    CHECK(can_store(inventory, attention, variant("source")));
    // By what is stored: the source is above all.
    const double source = bits_per_weight(inventory, variant("source"));
    for (const char* name : {"q2_K", "q3_K", "q4_K", "q5_K"}) CHECK(bits_per_weight(inventory, variant(name)) < source);
    CHECK(bits_per_weight(inventory, variant("q8_0")) == source);
}

TEST_CASE("a scale that is no number is found in a quantized model", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_quantized_model(folder.path(), "mix"), true).value();
    Monitor monitor;
    REQUIRE(check_weights(inventory, 2, monitor));
    const Tensor& tensor = *std::ranges::find(inventory.tensors, "blk.1.attn_q.weight", &Tensor::name);
    REQUIRE(type_name(tensor.type) == "q4_K");
    std::fstream file(inventory.files.front(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(tensor.offset + tensor.size_bytes - 144));  // the last block begins with its scale
    file.write("\x00\x7e", 2);
    file.close();
    const auto checked = check_weights(inventory, 2, monitor);
    REQUIRE(!checked);
    CHECK(checked.error().message.contains("blk.1.attn_q.weight"));
}

}  // namespace
}  // namespace apreqel
