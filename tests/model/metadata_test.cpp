// Metadata that stops libllama 0.7.0 with an assertion (each was seen to), refused before it gets there.
#include <apreqel/inventory.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <gguf.h>
#include <cmath>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Case {
    std::string architecture;
    std::string key;
    std::function<void(gguf_context*, const char*)> edit;
};

auto u32(std::uint32_t value)
{
    return [=](gguf_context* gguf, const char* key) { gguf_set_val_u32(gguf, key, value); };
}

auto f32(float value)
{
    return [=](gguf_context* gguf, const char* key) { gguf_set_val_f32(gguf, key, value); };
}

auto u32s(std::vector<std::uint32_t> values)
{
    return [=](gguf_context* gguf, const char* key) {
        gguf_set_arr_data(gguf, key, GGUF_TYPE_UINT32, values.data(), values.size());
    };
}

void twins(gguf_context* gguf, const char* key)
{
    const char* tokens[] = {"same", "same"};
    gguf_set_arr_str(gguf, key, tokens, 2);
}

void text(gguf_context* gguf, const char* key) { gguf_set_val_str(gguf, key, "text"); }

}  // namespace

TEST_CASE("metadata that would stop libllama is refused, with the key named", "[model]")
{
    const std::vector<Case> cases{
        {"llama", "llama.embedding_length", u32(0)},
        {"llama", "llama.attention.layer_norm_rms_epsilon", f32(-1)},
        {"llama", "llama.attention.layer_norm_rms_epsilon", f32(NAN)},
        {"llama", "llama.expert_count", u32(4)},
        {"llama", "llama.expert_count", u32(100000)},
        {"llama", "llama.expert_used_count", u32(2)},
        {"llama", "llama.expert_used_count", u32s({1, 1})},
        {"llama", "llama.expert_group_count", u32(1)},
        {"llama", "llama.nextn_predict_layers", u32(3)},
        {"llama", "llama.rope.dimension_count", u32(65536)},
        {"llama", "llama.rope.dimension_count", u32(7)},
        {"qwen3moe", "qwen3moe.expert_used_count", u32(0)},
        {"qwen3moe", "qwen3moe.expert_used_count", u32(5)},
        {"qwen3moe", "qwen3moe.expert_group_count", u32(3)},
        {"qwen3moe", "qwen3moe.expert_group_count", u32(2)},
        {"qwen3moe", "qwen3moe.rope.dimension_count", u32(32)},
        {"gemma2", "gemma2.rope.dimension_count_swa", u32(0)},
        {"gemma2", "gemma2.rope.dimension_count_swa", u32(255)},
        {"command-r", "command-r.rope.dimension_count", u32(0)},
        {"qwen2", "qwen2.attention.key_length", u32(0)},
        {"phi3", "phi3.rope.dimension_count", u32(0)},
        {"phi3", "phi3.attention.key_length", u32(255)},
        {"llama", "tokenizer.ggml.tokens", twins},
        {"llama", "tokenizer.ggml.tokens", text},
        {"llama", "tokenizer.ggml.scores", u32s({1, 2})},
        {"llama", "tokenizer.ggml.token_type", text},
        {"llama", "tokenizer.ggml.merges", u32(1)},
        {"llama", "tokenizer.ggml.precompiled_charsmap", twins},
    };
    const TempDir folder;
    for (const Case& hostile : cases) {
        CAPTURE(hostile.architecture, hostile.key);
        const auto edit = [&](gguf_context* gguf) { hostile.edit(gguf, hostile.key.c_str()); };
        const auto inventory =
            read_inventory(make_tiny_model(folder.path(), {.architecture = hostile.architecture, .edit = edit}));
        REQUIRE_FALSE(inventory);
        const bool expert = hostile.key.contains("expert_count");  // it disagrees with expert_used_count, which is named
        CHECK_THAT(inventory.error().message, ContainsSubstring(expert ? "expert" : hostile.key));
    }
}

TEST_CASE("unusual but sound metadata is accepted", "[model]")
{
    const std::vector<Case> cases{
        {"qwen3moe", "qwen3moe.expert_used_count", u32s({2, 1})},
        {"llama", "llama.attention.head_count_kv", u32s({2, 2})},
        {"llama", "llama.rope.dimension_count", u32(32)},
        {"llama", "some.other.key", text},
    };
    const TempDir folder;
    for (const Case& unusual : cases) {
        CAPTURE(unusual.key);
        const auto edit = [&](gguf_context* gguf) { unusual.edit(gguf, unusual.key.c_str()); };
        CHECK(read_inventory(make_tiny_model(folder.path(), {.architecture = unusual.architecture, .edit = edit})));
    }
}
