#include "support/architectures.h"

#include "runtime/context.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <llama-cpp.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string_view>

namespace apreqel {
namespace {

using Metadata = std::map<std::string, Hyperparameter>;

Metadata operator+(Metadata left, const Metadata& right)
{
    left.insert(right.begin(), right.end());
    return left;
}

const Metadata kHeads{{"attention.key_length", 32U}, {"attention.value_length", 32U}};
const Metadata kExperts{{"expert_count", 4U}, {"expert_used_count", 2U}, {"expert_feed_forward_length", 32U}};
const Metadata kState{{"ssm.conv_kernel", 4U},
                      {"ssm.inner_size", 128U},
                      {"ssm.state_size", 16U},
                      {"ssm.time_step_rank", 4U},
                      {"ssm.group_count", 1U}};
const Metadata kDelta{{"ssm.conv_kernel", 4U},    {"ssm.inner_size", 128U}, {"ssm.state_size", 32U},
                      {"ssm.time_step_rank", 4U}, {"ssm.group_count", 2U},  {"full_attention_interval", 2U}};
const Metadata kWindow{{"attention.sliding_window", 16U}};
/// Attention in block 1 alone.
const Metadata kHybrid = Metadata{{"attention.head_count_kv", std::vector{0U, 2U, 0U}}} + kHeads;
const Metadata kLatent{{"attention.q_lora_rank", 32U},      {"attention.kv_lora_rank", 32U}, {"attention.head_count_kv", 1U},
                       {"attention.key_length", 48U},       {"attention.value_length", 32U}, {"attention.key_length_mla", 32U},
                       {"attention.value_length_mla", 32U}, {"rope.dimension_count", 16U}};

/// Each reads and writes its names in its own way: q, k and v apart or fused; experts with gate and up apart or fused.
const std::string kAttention = "attn_k attn_output attn_q attn_v";
const std::string kDense = "ffn_down ffn_gate+ffn_up";

const std::vector<Architecture>& table()
{
    static const std::vector<Architecture> all{
        {"llama", "dense", {}, kAttention, kDense},
        {"llama", "mixture of experts", kExperts, kAttention, "ffn_down_exps ffn_gate_exps+ffn_up_exps"},
        {"qwen3moe", "mixture of experts", kExperts, kAttention, "ffn_down_exps ffn_gate_exps+ffn_up_exps"},
        {"gemma3", "sliding window", kWindow + kHeads, kAttention, kDense},
        {"phi2", "parallel attention and FFN", {}, kAttention, "ffn_down ffn_up"},
        {"mamba", "recurrent", kState, "ssm_dt ssm_in ssm_out ssm_x", ""},
        {"lfm2", "hybrid, short convolutions", kHybrid + Metadata{{"shortconv.l_cache", 3U}}, kAttention, kDense},
        {"granitehybrid", "hybrid", kHybrid + kState, kAttention, kDense},
        {"qwen2moe", "shared experts", kExperts + Metadata{{"expert_shared_feed_forward_length", 32U}}, kAttention,
         "ffn_down_exps ffn_down_shexp ffn_gate_exps+ffn_up_exps ffn_gate_shexp+ffn_up_shexp"},
        {"deepseek2", "latent attention (MLA), shared experts",
         kExperts + kLatent +
             Metadata{{"leading_dense_block_count", 1U},
                      {"expert_shared_count", 1U},
                      {"expert_weights_scale", 1.0F},
                      {"expert_gating_func", 2U}},
         "attn_k_b attn_kv_a_mqa attn_output attn_q_a attn_q_b attn_v_b",
         "ffn_down_exps ffn_down_shexp ffn_gate_shexp+ffn_up_shexp ffn_gate_up_exps"},
        {"deci",
         "a block without attention",
         {{"attention.head_count", std::vector{2U, 0U, 2U}},
          {"attention.head_count_kv", std::vector{2U, 0U, 1U}},
          {"feed_forward_length", std::vector{96U, 64U, 96U}}},
         "",
         kDense},
        {"glm4moe", "multi-token prediction (NextN)",
         kExperts + Metadata{{"leading_dense_block_count", 1U},
                             {"expert_shared_count", 1U},
                             {"expert_gating_func", 2U},
                             {"nextn_predict_layers", 1U}},
         kAttention, "ffn_down_exps ffn_down_shexp ffn_gate_exps+ffn_up_exps ffn_gate_shexp+ffn_up_shexp"},
        {"qwen3next",
         "hybrid, delta net, mixture of experts",
         kExperts + kDelta + kHeads + Metadata{{"expert_shared_feed_forward_length", 32U}},
         kAttention,
         "ffn_down_exps ffn_down_shexp ffn_gate_shexp+ffn_up_shexp ffn_gate_up_exps",
         {"ssm_in"}},
        {"qwen35", "hybrid, delta net", kDelta + kHeads + Metadata{{"rope.dimension_sections", std::vector{8U, 8U, 8U, 8U}}},
         kAttention, kDense},
        {"falcon", "parallel, fused q, k and v", {}, "attn_output attn_qkv", "ffn_down ffn_up"},
        {"command-r", "parallel attention and FFN", {{"logit_scale", 0.0625F}}, kAttention, kDense},
        {"phi3", "fused gate and up", {}, kAttention, "ffn_down ffn_up"},
        {"gemma2", "sliding window", kWindow + kHeads, kAttention, kDense},
        {"gpt-oss", "mixture of experts, sinks", kExperts + kWindow + kHeads, kAttention,
         "ffn_down_exps ffn_gate_exps+ffn_up_exps"},
        {"mamba2", "recurrent", kState, "ssm_in ssm_out", ""},
        {"jamba", "hybrid, mixture of experts", kHybrid + kExperts + kState, kAttention,
         "ffn_down_exps ffn_gate_exps+ffn_up_exps"},
        {"nemotron_h", "one mixer a block", kHybrid + kState + Metadata{{"feed_forward_length", std::vector{0U, 0U, 96U}}},
         kAttention, ""}};
    return all;
}

gguf_context_ptr describe(const Architecture& architecture)
{
    const Metadata usual{{"vocab_size", 320U},
                         {"context_length", 512U},
                         {"embedding_length", 64U},
                         {"block_count", 3U},
                         {"feed_forward_length", 96U},
                         {"attention.head_count", 2U},
                         {"attention.head_count_kv", 2U},
                         {"rope.dimension_count", 32U},
                         {"rope.freq_base", 10000.0F},
                         {"attention.layer_norm_epsilon", 1e-5F},
                         {"attention.layer_norm_rms_epsilon", 1e-5F}};
    gguf_context_ptr metadata(gguf_init_empty());
    gguf_set_val_str(metadata.get(), "general.architecture", architecture.name.c_str());
    for (const auto& [name, value] : architecture.metadata + usual) {
        const std::string key = architecture.name + "." + name;
        if (const auto* number = std::get_if<std::uint32_t>(&value))
            gguf_set_val_u32(metadata.get(), key.c_str(), *number);
        else if (const auto* real = std::get_if<float>(&value))
            gguf_set_val_f32(metadata.get(), key.c_str(), *real);
        else if (const auto* each = std::get_if<std::vector<std::uint32_t>>(&value))
            gguf_set_arr_data(metadata.get(), key.c_str(), GGUF_TYPE_UINT32, each->data(), each->size());
    }
    gguf_set_val_str(metadata.get(), "tokenizer.ggml.model", "test");  // one token a byte
    std::vector<std::string> tokens;
    for (int i = 0; i < 320; ++i) tokens.push_back("t" + std::to_string(i));
    std::vector<const char*> pointers;
    for (const std::string& token : tokens) pointers.push_back(token.c_str());
    gguf_set_arr_str(metadata.get(), "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    return metadata;
}

/// Weights that keep a model's numbers finite and its logits apart; a function of the tensor's name.
void fill(ggml_tensor* tensor, void* /*data*/)
{
    const std::string_view name = tensor->name;
    std::seed_seq seed(name.begin(), name.end());
    std::mt19937 random(seed);
    std::vector<float> values(static_cast<std::size_t>(ggml_nelements(tensor)));
    const float scale = 1 / std::sqrt(static_cast<float>(tensor->ne[0]));
    for (float& value : values) {
        const float noise = static_cast<float>(random()) * 0x1p-31F - 1;  // −1 to 1
        if (name.ends_with("ssm_a"))
            value = -1.5F + 0.5F * noise;
        else if (name.ends_with(".bias"))
            value = 0.1F * noise;
        else
            value = ggml_n_dims(tensor) < 2 ? 1 + 0.1F * noise : 2 * scale * noise;
    }
    ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
}

/// libllama makes every tensor that it would read, also scales that only some quantized files have.
bool is_wanted(const Architecture& architecture, std::string_view tensor)
{
    if (tensor.ends_with(".scale") || tensor.ends_with(".input_scale")) return false;
    return std::ranges::none_of(architecture.without,
                                [&](const std::string& role) { return tensor.contains("." + role + "."); });
}

void copy_wanted(const Architecture& architecture, const std::filesystem::path& from, const std::filesystem::path& to)
{
    ggml_context* data = nullptr;
    const gguf_context_ptr whole(gguf_init_from_file(from.c_str(), {.no_alloc = false, .ctx = &data}));
    const ggml_context_ptr tensors(data);
    const gguf_context_ptr wanted(gguf_init_empty());
    gguf_set_kv(wanted.get(), whole.get());
    for (std::int64_t t = 0; t < gguf_get_n_tensors(whole.get()); ++t) {
        const char* const name = gguf_get_tensor_name(whole.get(), t);
        if (is_wanted(architecture, name)) gguf_add_tensor(wanted.get(), ggml_get_tensor(data, name));
    }
    if (!gguf_write_to_file(wanted.get(), to.c_str(), false)) throw std::runtime_error("cannot write " + to.string());
}

}  // namespace

std::span<const Architecture> architectures() { return table(); }

std::filesystem::path make_architecture(const std::filesystem::path& folder, const Architecture& architecture)
{
    start_backend();
    const gguf_context_ptr metadata = describe(architecture);
    llama_model_params params = llama_model_default_params();
    params.load_mtp = true;
    params.progress_callback = [](float, void*) { return true; };
    const llama_model_ptr model(llama_model_init_from_user(metadata.get(), fill, nullptr, params));
    if (!model) throw std::runtime_error("libllama makes no " + architecture.name);
    const auto all = folder / "all.gguf";
    llama_model_save_to_file(model.get(), all.c_str());
    const auto path = folder / "model.gguf";
    copy_wanted(architecture, all, path);
    std::filesystem::remove(all);
    return path;
}

}  // namespace apreqel
