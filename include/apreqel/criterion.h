// What models are judged by. A criterion is a row of `criteria()`: planning, fronts, limits, tables and files loop over it.
#pragma once

#include <apreqel/error.h>
#include <apreqel/measurement.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// The rows of `criteria()`.
enum CriterionId : std::size_t {
    kMemory,
    kGpuMemory,
    kMainMemory,
    kLatency,
    kPromptLatency,
    kEnergy,
    kDivergence,
    kPerplexity,
    kPerplexityIncrease,
    kCriteria,  ///< how many there are
};

/// How the value of a model follows from the groups it is made of.
enum class Composition {
    counted,      ///< bytes: the sum over all tensors, exact
    timed,        ///< adds up over groups; what a part of the model costs in a type is fitted to models that were measured
    probed,       ///< adds up over groups, each measured in each type by itself
    consequence,  ///< follows from the KL divergence of the whole
};

/// What a criterion is counted in.
enum class Dimension { bytes, milliseconds, joules, nats, one, share };

/// Something models are compared by. Less is better; a speed is told as time.
struct Criterion {
    std::string_view name;  ///< "memory"
    std::string_view
        weight;  ///< what its weight is called; criteria of one name stand in for each other: a method has one of them
    /// What its limit is called: "max-memory"; "max-memory gpu" is a part of that, said with it; empty: it has none.
    std::string_view limit;
    std::string_view field;          ///< in files: "memory_bytes"
    std::string_view heading;        ///< in tables: "ms/token"
    std::string_view limit_meaning;  ///< of its limit, for people: "Most memory"
    Dimension dimension;
    int digits;  ///< after the point, in tables; of bytes in MiB
    Composition composition;
    bool of_device;  ///< measured on a device, and true there only; else of the model
    /// The value of a measured model, NaN where it was not measured. `reference`: the full-precision model's quality.
    double (*of)(const Measurement& model, const Quality& reference);
};

[[nodiscard]] std::span<const Criterion, kCriteria> criteria();

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kUnlimited = std::numeric_limits<double>::infinity();

/// One value a criterion, in the order of `criteria()`; kUnknown where there is none.
using Metrics = std::array<double, kCriteria>;

/// The same value for every criterion.
[[nodiscard]] constexpr Metrics every_criterion(double value)
{
    Metrics metrics{};
    metrics.fill(value);
    return metrics;
}

/// Everything that is known of a measured model.
[[nodiscard]] Metrics metrics_of(const Measurement& model, const Quality& reference = {});

/// The criteria that a decision compares by, in the order of its columns.
using Objectives = std::vector<std::size_t>;

/// The paper's three: memory, latency, perplexity.
[[nodiscard]] const Objectives& paper_objectives();

/// The same with KL divergence in the place of perplexity: what the front is searched by.
[[nodiscard]] const Objectives& front_objectives();

/// The columns of `metrics` that `objectives` name.
[[nodiscard]] std::vector<double> columns_of(const Metrics& metrics, const Objectives& objectives);

/// Importance of each criterion, non-negative, used as given; equal for criteria whose weights have one name.
using Weights = Metrics;

/// Gives `value` to all criteria whose weight is called `name`. False: there are none.
bool set_weight(Weights& weights, std::string_view name, double value);

/// What a running model keeps in memory beside its weights.
struct ContextMemory {
    std::uint64_t tokens = 0;              ///< of its context; 0: the weights alone are counted
    std::string cache_type_k{kCacheType};  ///< of the keys in the KV cache
    std::string cache_type_v{kCacheType};  ///< of the values
    std::uint64_t cache_bytes = 0;         ///< KV cache, and what recurrent blocks keep instead
    std::uint64_t buffer_bytes = 0;        ///< of computing; 0: not known
    std::uint64_t gpu_cache_bytes = 0;     ///< of the cache, on accelerators
    std::uint64_t gpu_buffer_bytes = 0;    ///< of the buffers, on accelerators
    bool cache_is_chosen = false;          ///< the KV cache is part of what is chosen from, and counted there

    /// Beside what is chosen from; and of that, on accelerators.
    [[nodiscard]] std::uint64_t bytes() const { return (cache_is_chosen ? 0 : cache_bytes) + buffer_bytes; }
    [[nodiscard]] std::uint64_t gpu_bytes() const { return (cache_is_chosen ? 0 : gpu_cache_bytes) + gpu_buffer_bytes; }
    bool operator==(const ContextMemory&) const = default;
};

/// As far as a model's header tells: an f16 KV cache of so many bytes a token, and no buffers. Error: it does not tell, 0 bytes.
[[nodiscard]] Result<ContextMemory> f16_context(std::uint64_t tokens, std::uint64_t kv_bytes_per_token);

/// What a model may cost at most.
struct Limits {
    Metrics most = every_criterion(kUnlimited);  ///< by criterion
    ContextMemory context{};                     ///< counts as memory beside the weights
};

/// What a running model takes: `metrics` of its weights, and the context beside them.
[[nodiscard]] Metrics with_context(Metrics metrics, const ContextMemory& context);

/// True if what a model takes on accelerators, or beside them, is limited by itself.
[[nodiscard]] inline bool limits_places(const Limits& limits)
{
    return limits.most[kGpuMemory] < kUnlimited || limits.most[kMainMemory] < kUnlimited;
}

/// How far something exceeds its limits: the greatest value ÷ limit, at most 1 where all are kept. A value that is not known
/// keeps no limit.
[[nodiscard]] double limit_excess(const Limits& limits, const Metrics& metrics);

/// The same of what is counted, not measured, and so known exactly before anything is built: memory.
[[nodiscard]] double counted_excess(const Limits& limits, const Metrics& metrics);

/// "0.2,0.6,0.2" (memory, latency, accuracy), or by name, "memory=.2,latency=.6,accuracy=.2" (missing names are 0), or a preset:
/// balanced, memory, latency, accuracy.
[[nodiscard]] Result<Weights> parse_weights(std::string_view text);

}  // namespace apreqel
