// Tiny models as they are found quantized.
#pragma once

#include "support/tiny_model.h"

#include <filesystem>
#include <string>

namespace apreqel {

/// A tiny model quantized to `types`: one type for all matrices; or "mix", as in a Q4_K_M: q6_K for the output, and for attn_v and
/// ffn_down of the first half of the blocks, q4_K for all else. Its path is TYPES.gguf in `folder`.
std::filesystem::path make_quantized_model(const std::filesystem::path& folder, const std::string& types,
                                           const TinyModelOptions& options = {});

}  // namespace apreqel
