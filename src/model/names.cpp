#include "model/names.h"

#include "gguf/container.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

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

/// What roles in a block begin with.
constexpr std::array<std::string_view, 18> kInBlocks{
    "attn_",       "cross_attn_", "ffn_",   "ssm_",    "time_mix_", "channel_mix_", "shortconv.", "indexer.", "indexer_",
    "exp_probs_b", "hc_",         "altup_", "laurel_", "inp_gate",  "proj",         "ple_",       "vis_",     "nextn."};

/// Whole roles outside the blocks, and what the others begin with.
constexpr std::array<std::string_view, 6> kOutside{"token_embd", "output", "per_layer_token_embd", "cls", "fc", "conv1d"};
constexpr std::array<std::string_view, 9> kOutsidePrefixes{"cls.",    "dense_",    "enc.",   "dec.", "nextn.",
                                                           "posnet.", "convnext.", "altup_", "hc_"};

/// Roles in a block that text never reaches: multi-token prediction, and what only images go through.
constexpr std::array<std::string_view, 2> kInert{"nextn.", "vis_"};

/// Roles of what comes after the attention, or what stands for it, in a block.
constexpr std::array<std::string_view, 2> kFfnPrefixes{"ffn_", "channel_mix_"};

bool begins_with_one(std::string_view role, std::span<const std::string_view> prefixes)
{
    return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return role.starts_with(prefix); });
}

}  // namespace

bool can_be_quantized(const Tensor& tensor)
{
    if (dimensions(tensor.shape) < 2) return false;
    if (!is_full_precision(tensor.type) && !is_quantized(tensor.type)) return false;
    if (!tensor.name.ends_with("weight")) return false;
    if (tensor.name == "position_embd.weight" || tensor.name == "token_types.weight") return false;
    return std::ranges::none_of(kNeverQuantized, [&](std::string_view part) { return tensor.name.contains(part); });
}

bool is_known(const Tensor& tensor)
{
    const std::string_view role = role_of(tensor.name);
    if (block_of(tensor.name)) return begins_with_one(role, kInBlocks);
    return std::ranges::contains(kOutside, role) || begins_with_one(role, kOutsidePrefixes);
}

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
    if (!can_be_quantized(tensor) || !is_known(tensor)) return TensorPlace::fixed;
    if (!block_of(tensor.name)) return TensorPlace::embedding;
    return begins_with_one(role_of(tensor.name), kInert) ? TensorPlace::inert : TensorPlace::layer;
}

std::string_view part_of(std::string_view role) { return begins_with_one(role, kFfnPrefixes) ? kFfn : kAttention; }

}  // namespace apreqel
