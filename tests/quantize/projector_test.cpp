// Multimodal projectors: no language models, and all their weights take one type.
#include "base/file.h"
#include "study/study.h"
#include "support/compare.h"
#include "support/temp_dir.h"
#include "support/tool.h"

#include <ggml-cpp.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>

namespace apreqel {
namespace {

using Catch::Matchers::ContainsSubstring;

/// A vision encoder of one block, as llama.cpp's converter names its tensors; all weights differ.
std::filesystem::path make_projector(const std::filesystem::path& folder)
{
    const gguf_context_ptr gguf(gguf_init_empty());
    gguf_set_val_str(gguf.get(), "general.architecture", "clip");
    gguf_set_val_str(gguf.get(), "general.type", "mmproj");
    gguf_set_val_str(gguf.get(), "general.name", "eyes");
    gguf_set_val_bool(gguf.get(), "clip.has_vision_encoder", true);
    const ggml_context_ptr context(ggml_init({.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = false}));
    const auto add = [&](const char* name, std::int64_t columns, std::int64_t rows, std::int64_t planes = 1,
                         std::int64_t last = 1) {
        ggml_tensor* const tensor = ggml_new_tensor_4d(context.get(), GGML_TYPE_F32, columns, rows, planes, last);
        ggml_set_name(tensor, name);
        auto* const values = static_cast<float*>(tensor->data);
        for (std::int64_t i = 0; i < ggml_nelements(tensor); ++i) values[i] = static_cast<float>(i * 7919 % 1009) / 1009 - 0.5F;
        gguf_add_tensor(gguf.get(), tensor);
    };
    add("v.patch_embd.weight", 14, 14, 3, 64);
    add("v.position_embd.weight", 64, 16);
    add("v.blk.0.attn_q.weight", 64, 64);
    add("v.blk.0.ffn_down.weight", 96, 64);
    add("v.blk.0.ln1.weight", 64, 1);
    add("mm.0.weight", 64, 32);
    const auto path = folder / "mmproj.gguf";
    REQUIRE(gguf_write_to_file(gguf.get(), path.c_str(), false));
    return path;
}

TEST_CASE("a multimodal projector is known as one, and no language model", "[quantize]")
{
    const TempDir folder;
    const auto path = make_projector(folder.path());
    CHECK(is_projector(path).value());
    const auto model = read_inventory(path);
    REQUIRE_FALSE(model);
    CHECK_THAT(model.error().message, ContainsSubstring("multimodal projector (mmproj)"));
    CHECK_THAT(model.error().hint, ContainsSubstring("--type q8_0"));
    const auto projector = read_projector(path);
    REQUIRE(projector);
    CHECK(projector->name == "eyes");
    CHECK(projector->layers.empty());
    CHECK(embedding_group(*projector).parameters == 64 * 64 + 96 * 64 + 64 * 32);
}

TEST_CASE("a projector is quantized as llama-quantize --pure does", "[quantize]")
{
    const TempDir folder;
    const Inventory projector = read_projector(make_projector(folder.path())).value();
    Monitor quiet;
    for (const auto& [type, file_type] : {std::pair("q8_0", "Q8_0"), std::pair("q4_K", "Q4_K_S")}) {
        CAPTURE(type);
        const auto ours = folder / (std::string(type) + ".gguf");
        const auto weight = projector_quantized_to(projector, *parse_type(type));
        REQUIRE(weight);
        REQUIRE(quantize_projector(projector, *parse_type(type), ours, 1, quiet));
        CHECK(std::filesystem::file_size(ours) == weight->file_bytes);
        CHECK(weight->fallbacks.size() == (std::string(type) == "q4_K" ? 3 : 0));
        CHECK(is_projector(ours).value());
        const auto again = quantize_projector(*read_projector(ours), *parse_type(type), folder / "twice.gguf", 1, quiet);
        REQUIRE_FALSE(again);
        CHECK_THAT(again.error().message, ContainsSubstring("already"));
        if (!have_tool("llama-quantize")) continue;
        REQUIRE(run_tool(std::format("llama-quantize --pure {} {} {}", projector.files.front().string(),
                                     (folder / "theirs.gguf").string(), file_type)));
        CHECK(different_tensor(ours, folder / "theirs.gguf") == "");
    }
}

}  // namespace
}  // namespace apreqel
