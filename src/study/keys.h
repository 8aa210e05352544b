// What every artifact of a workspace was made from: equal keys, equal results.
#pragma once

#include "study/study.h"

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What a result can depend on.
enum class Input {
    model,        ///< fingerprint of the full-precision model
    seed,         ///< of what it writes itself
    samples,      ///< how much of that
    text,         ///< evaluation text
    prompts,      ///< to score layers on
    calibration,  ///< text for importance and sensitivity
    form,         ///< full-precision type that the model runs in to write texts, and for importance and sensitivity
    gamma,
    collecting,  ///< settings of an importance matrix
    probing,     ///< settings of a sensitivity, but for the types
    quality,     ///< settings of perplexity and KL divergence
    speed,       ///< settings of the latency measurement, types of the KV cache among them
    embedding,   ///< type of embedding and output, and of what is inert
    type,        ///< one variant, and the importance matrix or the file it is made with
    types,       ///< all of the study's
    allocation,  ///< a type for each layer
    mixes,       ///< the allocations that are timed beside the types
    files,       ///< fingerprints of the model files that are measured
    context,     ///< tokens of a context
    offload,     ///< --gpu-layers, --devices and the like, and the accelerators there are
    threads,
    device,
    apreqel,
    libllama,
    libggml,
};
inline constexpr std::size_t kInputs = static_cast<std::size_t>(Input::libggml) + 1;

/// A set of inputs.
template <std::same_as<Input>... Inputs>
consteval std::uint32_t on(Inputs... inputs)
{
    return ((1U << static_cast<unsigned>(inputs)) | ... | 0U);
}

/// A kind of artifact: its path in the workspace, where * stands for a label of no consequence, and what it depends on.
struct Artifact {
    std::string_view name;
    std::uint32_t inputs;

    [[nodiscard]] constexpr bool depends_on(Input input) const { return (inputs >> static_cast<unsigned>(input) & 1U) != 0; }
};

// What the model computes depends on which kernels compute it, if little, but neither on the machine nor on its threads; what is
// quantized is so by libggml alone.
inline constexpr std::uint32_t kComputed = on(Input::offload, Input::apreqel, Input::libllama, Input::libggml);
inline constexpr std::uint32_t kQuantized = on(Input::model, Input::embedding, Input::apreqel, Input::libggml);
inline constexpr std::uint32_t kTimed = on(Input::speed, Input::threads, Input::device) | kComputed;
inline constexpr std::uint32_t kSampled = on(Input::model, Input::form, Input::seed, Input::samples) | kComputed;
inline constexpr std::uint32_t kCompared = on(Input::model, Input::text, Input::quality) | kComputed;
inline constexpr std::uint32_t kProbed = on(Input::model, Input::calibration, Input::form, Input::probing) | kComputed;

inline constexpr Artifact kSampledText{"sampled-text.txt", kSampled};
inline constexpr Artifact kSampledPrompts{"sampled-prompts.jsonl", kSampled};
inline constexpr Artifact kSampledCalibration{"sampled-calibration.txt", kSampled};
inline constexpr Artifact kScores{"scores.json", on(Input::model, Input::prompts, Input::gamma) | kComputed};
inline constexpr Artifact kForm{"form.txt", on(Input::model, Input::threads, Input::device) | kComputed};
inline constexpr Artifact kImatrix{"imatrix.gguf",
                                   on(Input::model, Input::calibration, Input::form, Input::collecting) | kComputed};
inline constexpr Artifact kHessian{"hessian.gguf",
                                   on(Input::model, Input::calibration, Input::form, Input::collecting) | kComputed};
inline constexpr Artifact kVariant{"variants/*.gguf", on(Input::type) | kQuantized};
inline constexpr Artifact kMix{"mixes/mix.gguf", on(Input::allocation) | kQuantized};
inline constexpr Artifact kReference{"reference.expected", kCompared};
inline constexpr Artifact kQuality{"quality/quality.json", on(Input::files) | kCompared};
inline constexpr Artifact kPlanQuality{"quality/plan.json", on(Input::allocation) | kQuantized | kCompared};
inline constexpr Artifact kPlanLook{"quality/look.json", on(Input::allocation) | kQuantized | kCompared};
inline constexpr Artifact kStock{"rivals/*.gguf",
                                 on(Input::model, Input::type, Input::apreqel, Input::libllama, Input::libggml)};
inline constexpr Artifact kStockQuality{"rivals/*.json", on(Input::type) | kCompared};
inline constexpr Artifact kSpeed{"speed/models.json", on(Input::files) | kTimed};
inline constexpr Artifact kProbes{"sense/*.json", on(Input::type) | kProbed};
inline constexpr Artifact kProbeReference{"sense/reference.expected", kProbed};
inline constexpr Artifact kSensitivity{"sensitivity.json", on(Input::embedding) | kProbed};
inline constexpr Artifact kModelProfile{"profile/model.json", on(Input::types) | kQuantized | kCompared};
inline constexpr Artifact kDeviceProfile{"profile/device.json", on(Input::types, Input::mixes) | kQuantized | kTimed};
inline constexpr Artifact kCacheCosts{
    "profile/cache.json",
    on(Input::type, Input::embedding, Input::calibration, Input::form, Input::context, Input::model) | kTimed};
inline constexpr Artifact kOutlook{"profile/outlook.json", on(Input::types, Input::mixes) | kQuantized | kTimed};

inline constexpr std::array kArtifacts{
    kSampledText, kSampledPrompts, kSampledCalibration, kScores,    kForm,    kImatrix,      kHessian,   kVariant,
    kMix,         kPlanQuality,    kPlanLook,           kReference, kQuality, kSpeed,        kProbes,    kProbeReference,
    kSensitivity, kModelProfile,   kDeviceProfile,      kOutlook,   kStock,   kStockQuality, kCacheCosts};

/// How KL divergences are estimated, part of the key of all that has any: what was estimated otherwise is not mixed with them.
inline constexpr std::string_view kEstimated = "by samples";

/// The inputs that are known, as text.
class Facts {
public:
    /// What a study says before anything is read, sampled or measured: all but samples, texts, prompts, form, one type, allocation,
    /// mixes, files, and the settings of a stage's own.
    static Facts of(const Study& study);

    /// What the variants and mixes of a model depend on.
    static Facts of(const Inventory& inventory, const Variant& embedding_type);

    /// These and another, or another value of one.
    [[nodiscard]] Facts with(Input input, std::string value) const;

    /// "model 3f…, gamma 0.9, …": all that `artifact` depends on. Each must be known.
    [[nodiscard]] std::string key(const Artifact& artifact) const;

    /// Where `artifact` lies, its key in its name. `label` stands in the place of *.
    [[nodiscard]] std::filesystem::path path(const Workspace& workspace, const Artifact& artifact,
                                             std::string_view label = {}) const;

private:
    std::map<Input, std::string> values_;
};

/// What the types of a KV cache add to a key: nothing, if they are the usual ones.
[[nodiscard]] std::string key_of(const CacheTypes& cache);

/// What tells the inventory's importance matrix from others, whatever its file is called: "3f…", or "none".
[[nodiscard]] std::string importance_digest(const Inventory& inventory);

/// "q4_K+imatrix of 3f…", "q4_K+gptq of 3f… and 5a…", "mine of 3f…": a variant, and what it is made with.
[[nodiscard]] std::string made_with(const Inventory& inventory, const Variant& variant);

/// The same for the types of an allocation, of which `types` are known.
[[nodiscard]] std::string made_with(const Inventory& inventory, const std::vector<Variant>& types,
                                    const std::vector<GroupType>& allocation);

}  // namespace apreqel
