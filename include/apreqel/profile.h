// What a plan is made from: what is true of a model wherever it runs, and what is true of a device.
#pragma once

#include <apreqel/criterion.h>
#include <apreqel/measurement.h>

#include <cstddef>
#include <cstdint>
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

/// Speed of a model's types and mixes on one device, all measured in the same rounds.
struct DeviceProfile {
    std::string model;    ///< fingerprint; empty: not stated
    std::string device;   ///< machine, backend and threads the speeds hold for
    std::string version;  ///< of apreqel and libllama
    std::vector<TimedModel> models;
};

struct Profile {
    ModelProfile model;
    DeviceProfile device;
};

/// The uniform variant of `type`, with its speed if the device profile has it. `type` is one of the model's.
[[nodiscard]] Measurement measurement_of(const Profile& profile, std::string_view type);

/// The metrics of each type of the model's profile, in its order: the paper's matrix C, and more.
[[nodiscard]] std::vector<Metrics> type_metrics(const Profile& profile);

}  // namespace apreqel
