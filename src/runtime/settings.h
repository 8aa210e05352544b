// How models are run: what callers say, whatever runs them.
#pragma once

#include <apreqel/criterion.h>
#include <apreqel/error.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

using Token = std::int32_t;

/// Tensors that go where libllama would not put them.
struct TensorOverride {
    std::string pattern;  ///< a regular expression that is searched for in their names
    std::string buffer;   ///< libggml's name of the buffers they go to: "CPU", "CUDA0"
};

/// What --devices says where no accelerator is to be used.
inline constexpr std::string_view kNoDevice = "none";
inline constexpr std::array<std::string_view, 4> kSplitModes{"none", "layer", "row", "tensor"};
/// The types that libllama has a KV cache of: common/arg.cpp there.
inline constexpr std::array<std::string_view, 9> kCacheTypes{"f32",  "f16",  "bf16", "q8_0",  "q4_0",
                                                             "q4_1", "q5_0", "q5_1", "iq4_nl"};

/// Where and with how many threads a model runs. What each says is said as llama-bench says it.
struct RunSettings {
    unsigned threads = 0;                     ///< 0: one per physical core this process may use
    int gpu_layers = -1;                      ///< blocks on the GPU where libllama finds one; negative: all
    std::vector<std::string> devices{};       ///< accelerators, by libggml's names, or kNoDevice alone; empty: libllama chooses
    std::string split_mode = "layer";         ///< of kSplitModes: how the model is split among several
    bool offload_cache = true;                ///< the KV cache is where the attention is; else in the main memory
    std::vector<TensorOverride> overrides{};  ///< the first that fits a tensor holds
    CacheTypes cache{};                       ///< of kCacheTypes, of the KV cache while times are measured
    bool cache_in_quality = false;            ///< and while quality is; else that is with the usual one
};

/// Whether the weights stay as in the file, mapped or repacked as libllama likes best, or may be overwritten; or are not read
/// at all, where only the tokenizer is wanted, or only what a context takes, for which no memory is taken either.
enum class WeightAccess { fixed, writable, none, simulated };

/// How a model comes to write texts of its own.
enum class Writing {
    freely,    ///< as many texts as said, each of as many tokens as said, from nothing
    prompted,  ///< texts of many kinds, until there are as many tokens as said in all
};

struct SampleSettings {
    std::size_t sequences = 16;
    std::size_t tokens = 512;  ///< per sequence
    std::uint64_t seed = 1;
    Writing writing = Writing::freely;
};

struct ImportanceSettings {
    std::size_t context = 512;  ///< tokens of one chunk
    std::size_t chunks = 0;     ///< chunks of text to run; 0: all
};

/// Tokens at the beginning of each sequence of a probe that nothing is compared at: with less before it, what is expected of a
/// token says little of the model's use.
inline constexpr std::size_t kUncompared = 8;

struct QualitySettings {
    std::size_t context = 512;    ///< tokens of one chunk; the second half of each is scored
    std::size_t chunks = 0;       ///< chunks of text to score; 0: all
    std::size_t kld_chunks = 16;  ///< leading chunks to compare with the full-precision model as well
    std::size_t look = 0;         ///< leading chunks of them that are evaluated; 0: all
    std::size_t skip = 0;         ///< leading chunks that are not, as they were before
};

/// Chunks that `tokens` tokens of text give under `settings`.
/// Error: fewer tokens than two contexts, or a context libllama cannot score.
[[nodiscard]] Result<std::size_t> count_chunks(std::size_t tokens, const QualitySettings& settings);

struct SpeedSettings {
    std::size_t repetitions = 10;
    std::size_t generated = 128;  ///< tokens generated per repetition (tg), at most
    std::size_t prompt = 512;     ///< tokens of the prompt processed per repetition (pp); 0: not measured
    std::size_t depth = 0;        ///< tokens in the KV cache before either begins (d)
    bool energy = false;          ///< the energy of the generated tokens is measured too
    std::uint64_t seed = 1;       ///< of the order of the models in each round
    double precision = 0;  ///< rounds end when the latency of every model is known to this share of it; 0: none is left out
    double sample_ms = 0;  ///< a repetition generates as many tokens as take about this long; 0: always `generated`
};

}  // namespace apreqel
