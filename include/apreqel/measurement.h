// What was measured on a model file, each figure with its spread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// A median over repetitions with a distribution-free confidence interval from order statistics.
struct Sampled {
    double median = 0;
    double low = 0;  ///< interval bounds
    double high = 0;
    double confidence = 0;  ///< coverage of [low, high], at least 0.95 where the repetitions allow it
    std::vector<double> samples;
};

/// Perplexity and KL divergence, as llama-perplexity defines them (facts: tools/perplexity).
struct Quality {
    double perplexity = 0;
    double perplexity_error = 0;   ///< standard error
    double kld = 0;                ///< mean KL divergence to the full-precision model, nats per token
    double kld_error = 0;          ///< standard error
    double same_top = 0;           ///< share of tokens whose most likely token is that of the full-precision model
    std::uint64_t tokens = 0;      ///< tokens scored for perplexity
    std::uint64_t kld_tokens = 0;  ///< tokens scored for KL divergence; 0: not measured
};

/// Speed on one device, as llama-bench defines tg and pp.
struct Speed {
    Sampled latency_ms;  ///< milliseconds per generated token
    Sampled prompt_tokens_per_second;
};

/// One model file, measured. Memory is the bytes of all its tensors.
struct Measurement {
    std::string name;  ///< type of a uniform variant, or file name
    std::uint64_t memory_bytes = 0;
    double bits_per_weight = 0;  ///< of the whole file: 8 × memory_bytes ÷ parameters
    Quality quality;
    Speed speed;
};

/// A tensor that could not take the type asked for, and the one it got.
struct Fallback {
    std::string layer;  ///< "blk.3.ffn"; empty for a tensor outside the layers
    std::string tensor;
    std::string wanted;
    std::string used;
    std::uint64_t columns = 0;  ///< weights in a row of it; 0: not stated
};

/// One row of the matrix C (paper, section "Distribution of types"): the whole model in one type.
struct UniformVariant {
    std::string type;            ///< "q4_K"
    double bits_per_weight = 0;  ///< of the type itself; orders types by precision
    Measurement measurement;
    std::vector<Fallback> fallbacks;
};

/// The name of embedding and output tensors where they are given a type as layers are.
inline constexpr std::string_view kEmbedding = "embedding";

struct LayerType {
    std::string layer;  ///< "blk.3.attn"; or a finer group: see Granularity; or kEmbedding
    std::string type;   ///< "q4_K"
};

/// A mixed model that was built and measured.
struct MixedModel {
    std::vector<LayerType> allocation;
    Measurement measurement;
};

struct Profile {
    std::string model;  ///< fingerprint; empty: not stated
    std::string model_name;
    std::size_t layers = 0;
    std::string embedding_type;  ///< fixed type of embedding and output; empty: not stated
    std::vector<UniformVariant> types;
    std::string device;   ///< machine, backend and threads the speeds hold for
    std::string text;     ///< file name, or how it was sampled
    std::string version;  ///< of apreqel and libllama
    /// Mixes measured in the rounds of the types, to tell what each type costs in attention, FFN and embedding. Speed only.
    std::vector<MixedModel> mixes{};
};

}  // namespace apreqel
