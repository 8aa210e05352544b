#include "runtime/stock.h"
#include "runtime/runtime.h"

#include "base/file.h"
#include "model/importance.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>

#include <format>

namespace apreqel {
namespace {

TEST_CASE("a file type is made as llama-quantize makes it, byte for byte", "[runtime]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const TempDir folder;
    const auto source = read_inventory(demo_model());
    REQUIRE(source);
    REQUIRE(quantize_stock(*source, "q4_k_m", folder / "ours.gguf", 2));
    REQUIRE(run_tool(std::format("llama-quantize {} {} Q4_K_M", demo_model().string(), (folder / "theirs.gguf").string())));
    const auto ours = read_inventory(folder / "ours.gguf");
    const auto theirs = read_inventory(folder / "theirs.gguf");
    REQUIRE((ours && theirs));
    CHECK(ours->fingerprint == theirs->fingerprint);  // of metadata and weights
    CHECK(ours->size_bytes() < source->size_bytes() / 2);
}

TEST_CASE("a file type that cannot be made is an error that says why, and nothing is left behind", "[runtime]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 1, .width = 256, .ffn = 256, .vocabulary = 64, .type = 0});
    const auto source = read_inventory(model);
    REQUIRE(source);
    const auto made = quantize_stock(*source, "IQ2_XXS", folder / "out.gguf", 1);
    REQUIRE(!made);
    INFO(made.error().message);
    CHECK(made.error().message.contains("IQ2_XXS: ERROR: this quantization requires an importance matrix!"));
    CHECK(!quantize_stock(*source, "Q9_X", folder / "out.gguf", 1));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) CHECK(entry.path() == model);
    CHECK(parse_stock("iq4_xs") == "IQ4_XS");
    CHECK(parse_stock("F16").error().code == ErrorCode::usage);
}

}  // namespace
}  // namespace apreqel
