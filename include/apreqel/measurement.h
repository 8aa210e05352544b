// What was measured on a model file, each figure with its spread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
    std::vector<double> raw{};  ///< as measured, where the drift of the machine was taken out of `samples`
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
    /// By chunk of the text, which has as many scored tokens as any other: Σ −log p of the tokens that truly follow, and Σ KL
    /// divergence, which fewer chunks may have. Models scored on one text have the same chunks. Empty: not kept.
    std::vector<double> chunk_nll{};
    std::vector<double> chunk_kld{};
};

/// What a generated token takes of the energy that a machine's sensors count, that of the idle machine included.
struct Energy {
    Sampled joules{};       ///< per generated token; no samples: not measured
    double idle_watts = 0;  ///< before the models ran
    std::string source{};   ///< what was counted: "RAPL package-0, dram"
};

/// Speed on one device, as llama-bench defines tg and pp.
struct Speed {
    Sampled latency_ms;  ///< milliseconds per generated token
    Sampled prompt_tokens_per_second;
    Energy energy{};
};

/// What llama.cpp has a KV cache of, unless it is told otherwise.
inline constexpr std::string_view kCacheType = "f16";

/// The types of the keys and of the values in a KV cache.
struct CacheTypes {
    std::string keys{kCacheType};
    std::string values{kCacheType};
    bool operator==(const CacheTypes&) const = default;
};

/// A KV cache whose types were chosen together with those of the weights.
struct CacheChoice {
    CacheTypes types{};
    std::uint64_t bytes = 0;  ///< of all of it, in the context that was asked for
};

/// Where the bytes of a model are while it runs. Embeddings that serve as output too are in both places.
struct PlacedBytes {
    std::uint64_t gpu_bytes = 0;   ///< on accelerators
    std::uint64_t main_bytes = 0;  ///< in main memory
};

/// One model file, measured. Memory is the bytes of all its tensors.
struct Measurement {
    std::string name;  ///< type of a uniform variant, or file name
    std::uint64_t memory_bytes = 0;
    double bits_per_weight = 0;  ///< of the whole file: 8 × memory_bytes ÷ parameters
    Quality quality;
    Speed speed;
    std::optional<CacheChoice> cache{};   ///< that it was measured with, where its types are chosen too
    std::optional<PlacedBytes> placed{};  ///< of `bytes()`, where it was chosen what is on accelerators

    /// Of weights, and of the KV cache where that is chosen.
    [[nodiscard]] std::uint64_t bytes() const { return memory_bytes + (cache ? cache->bytes : 0); }
};

/// A tensor that could not take the type asked for, and the one it got.
struct Fallback {
    std::string group;  ///< "blk.3.ffn"; empty for a tensor outside the layers
    std::string tensor;
    std::string wanted;
    std::string used;
    std::uint64_t columns = 0;  ///< weights in a row of it; 0: not stated
};

/// The name of the group of embedding and output tensors.
inline constexpr std::string_view kEmbedding = "embedding";

/// The type of a group that stays as it is in the model's own file.
inline constexpr std::string_view kSource = "source";

/// What a group of tensors is stored as.
struct GroupType {
    std::string group;  ///< "blk.3.attn", "blk.3.ffn_gate+ffn_up", "embedding": see Group
    std::string type;   ///< "q4_K", or another name of a variant
};

/// A mixed model that was built and measured.
struct MixedModel {
    std::vector<GroupType> allocation;
    Measurement measurement;
};

}  // namespace apreqel
