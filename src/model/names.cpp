#include "model/names.h"

#include "gguf/container.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace apreqel {
namespace {

constexpr std::string_view kBlock = "blk.";

/// Tensors with one of these in their name stay as they are, whatever their shape
/// (llama.cpp, src/llama-quant.cpp, tensor_allows_quantization).
constexpr std::array<std::string_view, 35> kNeverQuantized{
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

bool can_be_quantized(const Tensor& tensor)
{
    if (dimensions(tensor.shape) < 2) return false;
    if (!is_full_precision(tensor.type) && !is_quantized(tensor.type)) return false;
    if (!tensor.name.ends_with("weight")) return false;
    if (tensor.name == "position_embd.weight" || tensor.name == "token_types.weight") return false;
    return std::ranges::none_of(kNeverQuantized, [&](std::string_view part) { return tensor.name.contains(part); });
}

}  // namespace

std::optional<std::size_t> block_of(std::string_view name)
{
    if (!name.starts_with(kBlock)) return std::nullopt;
    name.remove_prefix(kBlock.size());
    std::size_t block = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
    if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
    return block;
}

std::string_view role_of(std::string_view name)
{
    if (block_of(name)) name.remove_prefix(name.find('.', kBlock.size()) + 1);
    for (const std::string_view suffix : {".weight", ".bias"}) {
        if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    }
    return name;
}

TensorPlace place_of(const Tensor& tensor)
{
    if (!can_be_quantized(tensor)) return TensorPlace::fixed;
    return block_of(tensor.name) ? TensorPlace::layer : TensorPlace::embedding;
}

std::string_view part_of(std::string_view role) { return role.starts_with("ffn_") ? kFfn : kAttention; }

}  // namespace apreqel
