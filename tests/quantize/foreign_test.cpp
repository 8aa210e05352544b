// Variants that were made elsewhere.
#include "base/file.h"
#include "quantize/variant.h"
#include "quantize/write_models.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace apreqel {
namespace {

TEST_CASE("a file made by llama-quantize is spliced in as it is", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 3});
    const auto theirs = folder / "theirs.gguf";
    REQUIRE(run_tool(std::format("llama-quantize {} {} Q4_K_M", model.string(), theirs.string())));  // a mix of q4_K and q6_K
    const Inventory source = read_inventory(model).value();
    const auto foreign = read_foreign_variant("stock", theirs, source);
    REQUIRE(foreign);
    CHECK(bits_per_weight(source, *foreign) > 4.5);
    CHECK(bits_per_weight(source, *foreign) < 6.5625);

    const Variant own(type("q8_0"));
    std::vector<Variant> layers(source.layers.size(), own);
    layers[1] = layers[4] = *foreign;
    const TypeAssignment assignment = assign_types(source, layers, type("q6_K"));
    Monitor monitor;
    const ModelSpec spec{folder / "mix.gguf", assignment.types, {}, assignment.origins};
    REQUIRE(write_models(source, {&spec, 1}, {}, 2, monitor));
    const Inventory mix = read_inventory(folder / "mix.gguf").value();
    const Inventory stock = read_inventory(theirs).value();
    for (std::size_t l = 0; l < source.layers.size(); ++l) {
        for (const std::size_t t : source.layers[l].tensors) {
            const Tensor& written = mix.tensors[t];
            INFO(written.name);
            if (!layers[l].foreign) {
                CHECK(type_name(written.type) == "q8_0");
                continue;
            }
            const Tensor& other = *std::ranges::find(stock.tensors, written.name, &Tensor::name);
            REQUIRE(written.type == other.type);
            std::vector<std::byte> a(written.size_bytes);
            std::vector<std::byte> b(other.size_bytes);
            REQUIRE(InputFile::open(folder / "mix.gguf")->read_at(written.offset, a));
            REQUIRE(InputFile::open(theirs)->read_at(other.offset, b));
            CHECK(a == b);
        }
    }
}

TEST_CASE("a file that does not fit the model is refused as a variant", "[quantize]")
{
    const TempDir folder;
    const Inventory source = read_inventory(make_tiny_model(folder.path())).value();
    const auto message = [&](const TinyModelOptions& options, const char* name = "other") {
        const auto path = make_tiny_model(folder.path(), options);
        const auto variant = read_foreign_variant(name, path, source);
        return variant ? std::string() : variant.error().message;
    };
    CHECK(message({.file = "same.gguf"}).empty());
    CHECK(message({.architecture = "qwen3", .file = "a.gguf"}).contains("architecture"));
    CHECK(message({.ffn = 256, .file = "b.gguf"}).contains("shape"));
    CHECK(message({.blocks = 1, .file = "c.gguf"}).contains("blk.1"));
    CHECK(message({.seed = 2, .file = "d.gguf"}).contains("norm"));  // other weights, other norms
    CHECK(message({.file = "e.gguf"}, "q4_K").contains("name of a type"));
    CHECK(message({.file = "f.gguf"}, "a b").contains("letters"));
    CHECK(!read_foreign_variant("none", folder / "none.gguf", source));
}

TEST_CASE("a damaged file is refused as a variant", "[quantize]")
{
    const TempDir folder;
    const Inventory source = read_inventory(make_tiny_model(folder.path(), {.type = 0})).value();
    const auto damage = [&](const std::filesystem::path& path, const std::string& bytes) {
        std::string content = slurp(path);
        const Inventory inventory = read_inventory(path).value();
        const Tensor& tensor = *std::ranges::find(inventory.tensors, "blk.1.ffn_up.weight", &Tensor::name);
        spill(path, content.replace(tensor.offset + 4000, bytes.size(), bytes));
        const auto variant = read_foreign_variant("theirs", path, source);
        return variant ? std::string() : variant.error().message;
    };
    // Of a file that this program wrote, every byte is known.
    Monitor monitor;
    const ModelSpec spec{folder / "ours.gguf", assign_types(source, type("q4_K"), type("q6_K")).types, {}};
    REQUIRE(write_models(source, {&spec, 1}, {}, 2, monitor));
    REQUIRE(read_foreign_variant("theirs", folder / "ours.gguf", source));
    CHECK(damage(folder / "ours.gguf", "x").contains("blk.1.ffn_up.weight is not as it was written"));
    // Of another, a weight that is not a number is seen.
    const auto other = make_tiny_model(folder.path(), {.type = 0, .file = "other.gguf"});
    REQUIRE(read_foreign_variant("theirs", other, source));
    CHECK(damage(other, "\xff\xff\xff\x7f").contains("blk.1.ffn_up.weight has weights that are infinite or not a number"));
}

}  // namespace
}  // namespace apreqel
