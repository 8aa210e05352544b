// What a plan is made from: what is true of a model wherever it runs, and what is true of a device.
#pragma once

#include <apreqel/criterion.h>
#include <apreqel/error.h>
#include <apreqel/measurement.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// The whole model in one type, as far as no device matters: a row of the paper's matrix C without its latency.
struct UniformVariant {
    std::string type;            ///< "q4_K"
    double bits_per_weight = 0;  ///< of the type itself; orders types by precision
    std::uint64_t memory_bytes = 0;
    double file_bits_per_weight = 0;  ///< of the whole file: 8 × memory_bytes ÷ parameters
    Quality quality;
    std::vector<Fallback> fallbacks;
};

/// Memory and quality of a model's uniform variants, on one text.
struct ModelProfile {
    std::string model;  ///< fingerprint; empty: not stated
    std::string model_name;
    std::string architecture{};  ///< general.architecture; empty: not stated
    std::size_t layers = 0;
    std::string embedding_type;  ///< fixed type of embedding and output; empty: not stated
    std::string text;            ///< file name, or how it was sampled
    std::string version;         ///< of apreqel and libllama
    Quality reference{};         ///< of the full-precision model; perplexity 0: not stated
    std::vector<UniformVariant> types;
};

/// A model whose speed was measured.
struct TimedModel {
    std::string name;                     ///< the type of a uniform variant, or any other name of a mix
    std::vector<GroupType> allocation{};  ///< of a mix; empty: uniform
    Speed speed;
};

/// What was timed, in tokens, as llama-bench has it: a prompt (pp), or as many generated (tg), behind those that are in the KV cache
/// already (depth).
struct Workload {
    std::size_t prompt = 0;     ///< 0: not timed, or not stated
    std::size_t generated = 0;  ///< 0: not stated
    std::size_t depth = 0;
    bool operator==(const Workload&) const = default;
};

/// Which part of a model is on accelerators: its last blocks, and the output weights behind them, as libllama places them.
struct Offload {
    std::size_t layers = 0;         ///< as --gpu-layers counts them: the output weights are the last
    std::size_t first_block = 0;    ///< this block and those behind it are there
    std::uint64_t fixed_bytes = 0;  ///< there, of the tensors in no group
    double embedding_gpu = 0;       ///< share of the group kEmbedding that is there
    double embedding_main = 1;      ///< share of it that is in main memory: all of it, too, where it serves as output
    bool operator==(const Offload&) const = default;
};

/// Speed of a model's types and mixes on one device, all measured in the same rounds.
struct DeviceProfile {
    std::string model;             ///< fingerprint; empty: not stated
    std::string device;            ///< machine, backend and threads the speeds hold for
    std::string version;           ///< of apreqel and libllama
    std::string embedding_type{};  ///< of embedding and output in the uniform variants; empty: not stated
    Workload workload{};
    ContextMemory context{};           ///< on that device; the speeds are with a KV cache of its types
    std::optional<Offload> offload{};  ///< the speeds hold for; nothing: whatever libllama does by itself
    std::vector<TimedModel> models;
};

/// One type of the keys, or of the values, while the other of the two is kCacheType.
struct CacheCost {
    std::string type;
    std::uint64_t bytes = 0;  ///< of the whole KV cache, and of buffers beside the usual ones
    double kld = 0;           ///< mean KL divergence to the same model with kCacheType, nats per token
    double kld_error = 0;     ///< standard error
    std::uint64_t tokens = 0;
    Speed speed{};  ///< of one model of the profile, the same for all types
};

/// What the types of the KV cache cost. Keys and values add up: each rounds other numbers.
struct CacheProfile {
    std::uint64_t tokens = 0;       ///< of the context
    std::vector<CacheCost> keys;    ///< kCacheType first, which is the same in both
    std::vector<CacheCost> values;  ///< as above
};

struct Profile {
    ModelProfile model;
    DeviceProfile device;
    std::optional<CacheProfile> cache{};  ///< where a plan is to choose that too
};

/// What is planned from. Types of the device are called what the model calls them: whether an importance matrix was used
/// ("q4_K+imatrix") makes no type faster or slower.
/// Error: the two are of other models, or their uniform variants of other types of embedding.
[[nodiscard]] Result<Profile> join(ModelProfile model, DeviceProfile device);

/// One profile for several devices that timed one workload on one model: of every uniform variant and mix that all of them timed,
/// the time on the slowest. With `weights`, one a device: the mean of the times relative to the fastest uniform variant of
/// the device, times the same mean of these, so that it reads as milliseconds.
/// Its context is the largest of theirs, or is not known where they counted others.
/// Error: they have no common model, workload, KV cache, type of embedding or timed model; a time that is missing; no weight above 0.
[[nodiscard]] Result<DeviceProfile> fleet_of(std::span<const DeviceProfile> devices, std::span<const double> weights = {});

/// The uniform variant of `type`, with its speed if the device profile has it, and the usual KV cache where a plan chooses that.
/// `type` is one of the model's.
[[nodiscard]] Measurement measurement_of(const Profile& profile, std::string_view type);

/// The KV cache of models that have the usual one, where a plan chooses.
[[nodiscard]] std::optional<CacheChoice> usual_cache(const Profile& profile);

/// The metrics of each type of the model's profile, in its order: the paper's matrix C, and more.
[[nodiscard]] std::vector<Metrics> type_metrics(const Profile& profile);

}  // namespace apreqel
