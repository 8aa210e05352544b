// Tiny models with random weights, complete enough for stock llama.cpp to run them. Same options, same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

struct gguf_context;

namespace apreqel {

struct TinyModelOptions {
    std::string architecture = "llama";  ///< llama, qwen2, phi3, qwen3, gemma2, qwen3moe, command-r, falcon, mamba
    std::int64_t blocks = 2;
    std::int64_t width = 256;  ///< embedding_length; 224 is no multiple of a K type's block
    std::int64_t ffn = 0;      ///< feed_forward_length, 0: twice the width
    std::int64_t heads = 4;
    std::int64_t kv_heads = 2;
    std::int64_t experts = 4;
    std::int64_t vocabulary = 320;
    std::int64_t context = 512;
    int type = 1;  ///< ggml_type of the matrices: 0 F32, 1 F16, 30 BF16
    bool tied = false;
    std::uint64_t seed = 1;
    std::string file = {};                         ///< file name, default "ARCHITECTURE.gguf"
    std::function<void(gguf_context*)> edit = {};  ///< changes the metadata before the file is written
};

/// Writes the model into `folder` and returns its path.
std::filesystem::path make_tiny_model(const std::filesystem::path& folder, const TinyModelOptions& options = {});

}  // namespace apreqel
