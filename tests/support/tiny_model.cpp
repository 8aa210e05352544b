#include "support/tiny_model.h"

#include <ggml.h>
#include <gguf.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>
#include <vector>

namespace apreqel {
namespace {

enum class Fill { matrix, norm, bias, ssm_a };

struct Planned {
    std::string name;
    std::array<std::int64_t, 4> shape;
    Fill fill;
};

class Builder {
public:
    explicit Builder(const TinyModelOptions& options) : o_(options), gguf_(gguf_init_empty()) {}
    ~Builder() { gguf_free(gguf_); }
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;

    void build()
    {
        describe();
        matrix("token_embd", o_.width, o_.vocabulary);
        norm("output_norm", o_.width);
        if (has_norm_bias()) bias("output_norm", o_.width);
        const bool tied = o_.tied || is("gemma2") || is("command-r");
        if (!tied) matrix("output", o_.width, o_.vocabulary);
        for (std::int64_t i = 0; i < o_.blocks; ++i) {
            prefix_ = "blk." + std::to_string(i) + ".";
            norm("attn_norm", o_.width);
            if (has_norm_bias()) bias("attn_norm", o_.width);
            if (is("mamba")) {
                mamba();
            } else {
                attention();
                feed_forward();
            }
        }
        prefix_.clear();
    }

    void write(const std::filesystem::path& path)
    {
        for (const Planned& planned : tensors_) add(planned);
        if (o_.edit) o_.edit(gguf_);
        std::string header(gguf_get_meta_size(gguf_), '\0');
        gguf_get_meta_data(gguf_, header.data());
        std::ofstream out(path, std::ios::binary);
        out << header;
        std::mt19937_64 random(o_.seed);
        for (const Planned& planned : tensors_) out << padded(weights(planned, random));
        if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
    }

private:
    [[nodiscard]] bool is(std::string_view architecture) const { return o_.architecture == architecture; }
    [[nodiscard]] bool has_norm_bias() const { return is("falcon"); }
    [[nodiscard]] std::int64_t ffn() const { return o_.ffn > 0 ? o_.ffn : 2 * o_.width; }
    [[nodiscard]] std::int64_t head() const { return o_.width / o_.heads; }

    void u32(const std::string& key, std::int64_t value)
    {
        gguf_set_val_u32(gguf_, key.c_str(), static_cast<std::uint32_t>(value));
    }
    void f32(const std::string& key, float value) { gguf_set_val_f32(gguf_, key.c_str(), value); }
    void text(const std::string& key, const std::string& value) { gguf_set_val_str(gguf_, key.c_str(), value.c_str()); }

    void describe()
    {
        const std::string a = o_.architecture + ".";
        text("general.architecture", o_.architecture);
        text("general.name", "tiny model");  // "phi3" in it would make libllama want that tokenizer
        u32("general.file_type", o_.type);
        u32(a + "block_count", o_.blocks);
        u32(a + "context_length", o_.context);
        u32(a + "embedding_length", o_.width);
        u32(a + "feed_forward_length", is("mamba") ? 0 : ffn());
        u32(a + "attention.head_count", is("mamba") ? 0 : o_.heads);
        u32(a + "attention.head_count_kv", o_.kv_heads);
        u32(a + "vocab_size", o_.vocabulary);
        f32(a + "attention.layer_norm_rms_epsilon", 1e-5F);
        f32(a + "attention.layer_norm_epsilon", 1e-5F);
        u32(a + "rope.dimension_count", head());
        f32(a + "rope.freq_base", 10000);
        if (is("qwen3") || is("qwen3moe") || is("gemma2")) {
            u32(a + "attention.key_length", head());
            u32(a + "attention.value_length", head());
        }
        if (is("phi3") || is("gemma2")) u32(a + "attention.sliding_window", o_.context);
        if (is("gemma2")) {
            f32(a + "attn_logit_softcapping", 50);
            f32(a + "final_logit_softcapping", 30);
        }
        if (is("command-r")) f32(a + "logit_scale", 0.0625F);
        if (is("qwen3moe")) {
            u32(a + "expert_count", o_.experts);
            u32(a + "expert_used_count", 2);
            u32(a + "expert_feed_forward_length", ffn());
        }
        if (is("mamba")) {
            u32(a + "ssm.conv_kernel", 4);
            u32(a + "ssm.inner_size", 2 * o_.width);
            u32(a + "ssm.state_size", 16);
            u32(a + "ssm.time_step_rank", o_.width / 16);
        }
        // A vocabulary type llama.cpp has for its own tests: one token a byte.
        text("tokenizer.ggml.model", "test");
        std::vector<std::string> tokens;
        for (std::int64_t i = 0; i < o_.vocabulary; ++i) tokens.push_back("t" + std::to_string(i));
        std::vector<const char*> pointers;
        for (const std::string& token : tokens) pointers.push_back(token.c_str());
        gguf_set_arr_str(gguf_, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    }

    void matrix(const std::string& role, std::int64_t columns, std::int64_t rows, std::int64_t planes = 1)
    {
        tensors_.push_back({prefix_ + role + ".weight", {columns, rows, planes, 1}, Fill::matrix});
    }
    void norm(const std::string& role, std::int64_t columns)
    {
        tensors_.push_back({prefix_ + role + ".weight", {columns, 1, 1, 1}, Fill::norm});
    }
    void bias(const std::string& role, std::int64_t columns)
    {
        tensors_.push_back({prefix_ + role + ".bias", {columns, 1, 1, 1}, Fill::bias});
    }

    void attention()
    {
        const std::int64_t kv = o_.kv_heads * head();
        if (is("phi3") || is("falcon")) {
            matrix("attn_qkv", o_.width, o_.width + 2 * kv);
        } else {
            matrix("attn_q", o_.width, o_.width);
            matrix("attn_k", o_.width, kv);
            matrix("attn_v", o_.width, kv);
        }
        if (is("qwen2")) {
            bias("attn_q", o_.width);
            bias("attn_k", kv);
            bias("attn_v", kv);
        }
        if (is("qwen3") || is("qwen3moe")) {
            norm("attn_q_norm", head());
            norm("attn_k_norm", head());
        }
        matrix("attn_output", o_.width, o_.width);
        if (is("gemma2")) norm("post_attention_norm", o_.width);
    }

    void feed_forward()
    {
        const bool parallel = is("command-r") || is("falcon");
        if (!parallel) norm("ffn_norm", o_.width);
        if (is("qwen3moe")) {
            matrix("ffn_gate_inp", o_.width, o_.experts);
            matrix("ffn_gate_exps", o_.width, ffn(), o_.experts);
            matrix("ffn_down_exps", ffn(), o_.width, o_.experts);
            matrix("ffn_up_exps", o_.width, ffn(), o_.experts);
            return;
        }
        const bool fused = is("phi3");
        if (!fused && !is("falcon")) matrix("ffn_gate", o_.width, ffn());
        matrix("ffn_down", ffn(), o_.width);
        matrix("ffn_up", o_.width, fused ? 2 * ffn() : ffn());
        if (is("gemma2")) norm("post_ffw_norm", o_.width);
    }

    void mamba()
    {
        const std::int64_t inner = 2 * o_.width;
        const std::int64_t rank = o_.width / 16;
        matrix("ssm_in", o_.width, 2 * inner);
        tensors_.push_back({prefix_ + "ssm_conv1d.weight", {4, inner, 1, 1}, Fill::norm});
        bias("ssm_conv1d", inner);
        matrix("ssm_x", inner, rank + 32);
        matrix("ssm_dt", rank, inner);
        bias("ssm_dt", inner);
        tensors_.push_back({prefix_ + "ssm_a", {16, inner, 1, 1}, Fill::ssm_a});
        tensors_.push_back({prefix_ + "ssm_d", {inner, 1, 1, 1}, Fill::norm});
        matrix("ssm_out", inner, o_.width);
    }

    /// Routers, norms and all that is not a matrix stay F32, as llama.cpp's converter leaves them.
    [[nodiscard]] ggml_type type_of(const Planned& planned) const
    {
        const bool matrix = planned.fill == Fill::matrix && !planned.name.contains("ffn_gate_inp");
        return matrix ? static_cast<ggml_type>(o_.type) : GGML_TYPE_F32;
    }

    void add(const Planned& planned)
    {
        ggml_tensor tensor{};
        tensor.type = type_of(planned);
        std::memcpy(tensor.ne, planned.shape.data(), sizeof tensor.ne);
        tensor.nb[0] = ggml_type_size(tensor.type);
        for (int i = 1; i < GGML_MAX_DIMS; ++i) tensor.nb[i] = tensor.nb[i - 1] * static_cast<std::size_t>(tensor.ne[i - 1]);
        ggml_set_name(&tensor, planned.name.c_str());
        gguf_add_tensor(gguf_, &tensor);
    }

    [[nodiscard]] std::string weights(const Planned& planned, std::mt19937_64& random) const
    {
        // Sums of four uniform numbers: near enough to normal, and the same with every standard library.
        const auto noise = [&] {
            double sum = 0;
            for (int i = 0; i < 4; ++i) sum += static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
            return static_cast<float>(sum * std::sqrt(3.0));
        };
        const auto& [columns, rows, planes, one] = planned.shape;
        std::vector<float> values(static_cast<std::size_t>(columns * rows * planes * one));
        const float scale = 1.0F / std::sqrt(static_cast<float>(columns));
        for (float& value : values) {
            switch (planned.fill) {
                case Fill::matrix: value = noise() * scale; break;
                case Fill::norm: value = 1 + 0.05F * noise(); break;
                case Fill::bias: value = 0.05F * noise(); break;
                case Fill::ssm_a: value = -1 - 0.5F * std::abs(noise()); break;
            }
        }
        const ggml_type type = type_of(planned);
        std::string bytes(values.size() * ggml_type_size(type), '\0');
        ggml_quantize_chunk(type, values.data(), bytes.data(), 0, rows * planes * one, columns, nullptr);
        return bytes;
    }

    static std::string padded(std::string bytes)
    {
        bytes.resize((bytes.size() + GGUF_DEFAULT_ALIGNMENT - 1) / GGUF_DEFAULT_ALIGNMENT * GGUF_DEFAULT_ALIGNMENT, '\0');
        return bytes;
    }

    const TinyModelOptions& o_;
    gguf_context* gguf_;
    std::string prefix_;
    std::vector<Planned> tensors_;
};

}  // namespace

std::filesystem::path make_tiny_model(const std::filesystem::path& folder, const TinyModelOptions& options)
{
    const auto path = folder / (options.file.empty() ? options.architecture + ".gguf" : options.file);
    Builder builder(options);
    builder.build();
    builder.write(path);
    return path;
}

}  // namespace apreqel
