// What a tensor's name says, in GGUF's naming (llama.cpp, src/llama-arch.cpp).
#pragma once

#include <apreqel/inventory.h>

#include <optional>
#include <string_view>

namespace apreqel {

/// The block of "blk.3.attn_q.weight" is 3; tensors outside the blocks have none.
[[nodiscard]] std::optional<std::size_t> block_of(std::string_view name);

/// "attn_q" of "blk.3.attn_q.weight", "token_embd" of "token_embd.weight".
[[nodiscard]] std::string_view role_of(std::string_view name);

/// Whether llama.cpp quantizes a tensor of this name, shape and type.
[[nodiscard]] bool can_be_quantized(const Tensor& tensor);

/// Whether libllama 0.7.0 has tensors of this name (strings of its library). Another may be anything.
[[nodiscard]] bool is_known(const Tensor& tensor);

/// What decides the type of a tensor.
[[nodiscard]] TensorPlace place_of(const Tensor& tensor);

/// The part of its block that a tensor with TensorPlace::layer belongs to: kAttention or kFfn.
[[nodiscard]] std::string_view part_of(std::string_view role);

}  // namespace apreqel
