// From measured types and scored layers to the type of every layer. Pure functions of numbers: same input, same plan.
#pragma once

#include <apreqel/contribution.h>
#include <apreqel/error.h>
#include <apreqel/measurement.h>
#include <apreqel/sensitivity.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// The metrics of a model, all costs: memory in bytes, latency in ms per generated token, perplexity.
inline constexpr std::size_t kMetrics = 3;
inline constexpr std::array<std::string_view, kMetrics> kMetricNames{"memory", "latency", "accuracy"};
using Metrics = std::array<double, kMetrics>;
[[nodiscard]] Metrics metrics_of(const Measurement& measurement);

/// Importance of each metric, non-negative, used as given. Order: memory, latency, accuracy.
using Weights = std::array<double, kMetrics>;

/// "0.2,0.6,0.2", "memory=.2,latency=.6,accuracy=.2" (missing names are 0), or a preset: balanced, memory, latency, accuracy.
[[nodiscard]] Result<Weights> parse_weights(std::string_view text);

/// A distribution of types over layers, ranked by TOPSIS.
struct Candidate {
    std::vector<std::size_t> counts;  ///< z_i: layers given to type i; sums to the number of layers
    Metrics estimate{};               ///< x_j = Σ_i (z_i / L) · c_ij
    double closeness = 0;             ///< d⁻ / (d⁻ + d*), in [0, 1]
    double distance_ideal = 0;        ///< d*
    double distance_anti_ideal = 0;   ///< d⁻
    double kld = 0;                   ///< estimated KL divergence, nats per token; 0: not estimated
};

struct Ranking {
    double candidates = 0;        ///< C(L + M − 1, M − 1)
    Metrics norm{};               ///< Euclidean norm of each column over all candidates
    Metrics ideal{};              ///< best weighted normalised value per metric
    Metrics anti_ideal{};         ///< worst weighted normalised value per metric
    std::vector<Candidate> best;  ///< by closeness, descending
};

/// C(layers + types − 1, types − 1), exact while that fits a double's 53 bits; 0 for no layers or no types.
[[nodiscard]] double count_distributions(std::size_t layers, std::size_t types);

/// Ranks every distribution of M types over L layers by TOPSIS and keeps the `keep` best, as if by visiting all.
/// `costs`: M rows of metrics, finite and positive. `weights`: non-negative, not all zero. L ≥ 1, M ≥ 1.
/// Equal closeness: the smaller memory, then latency, then perplexity estimate, then the greater count of the earlier type wins.
/// Where all candidates are equal the closeness is 1.
/// Errors: more than `most_steps` branches because so many candidates are nearly as close as the best (the default takes some
/// seconds); input outside the above.
[[nodiscard]] Result<Ranking> rank_distributions(std::size_t layers, std::span<const Metrics> costs, const Weights& weights,
                                                 std::size_t keep = 1, std::uint64_t most_steps = 1'000'000'000);

/// Algorithm 1: types from most to least precise, layers from greatest to least contribution; the first z_1 layers get
/// the first type, and so on. `counts[i]` layers of type i, `bits_per_weight[i]` orders the types (ties: the earlier
/// first), `layer_order` is a permutation of the layers. Returns the type index of each layer.
[[nodiscard]] std::vector<std::size_t> allocate(std::span<const std::size_t> counts, std::span<const double> bits_per_weight,
                                                std::span<const std::size_t> layer_order);

/// What a plan may cost at most; nothing: no limit.
struct Limits {
    std::optional<std::uint64_t> memory_bytes{};  ///< of all tensors, and of the KV cache of `context` tokens
    std::optional<double> latency_ms{};           ///< per generated token
    std::optional<double> kld{};                  ///< nats per token
    std::optional<double> perplexity_increase{};  ///< share of the full-precision model's perplexity
    std::uint64_t context = 0;                    ///< tokens whose KV cache counts as memory
};

/// How far something exceeds its limits: the greatest value ÷ limit, at most 1 where all are kept. `metrics`: bytes, ms per
/// token, KL divergence; `perplexity_increase`: share.
[[nodiscard]] double limit_excess(const Limits& limits, const Metrics& metrics, double perplexity_increase,
                                  std::uint64_t kv_bytes_per_token);

/// How metrics of different units become comparable for TOPSIS.
enum class Normalization {
    minmax,  ///< the front's best is 0, its worst 1
    vector,  ///< divided by the Euclidean norm over the front, as in the paper
};

/// A decision, complete: what was asked, what was chosen and why, and the type of every layer.
struct Plan {
    std::string model;  ///< fingerprint; empty: not stated
    std::string model_name;
    std::string method = "paper";
    Weights weights{};
    std::vector<std::string> types;  ///< of the profile, in its order; the order of all counts
    std::vector<Metrics> costs;      ///< the uniform variants' metrics
    Ranking ranking;                 ///< best.front() is the plan, the others are the runners-up
    std::string embedding_type;      ///< fixed type of embedding and output; empty: the default
    std::vector<LayerType> allocation;
    std::vector<Fallback> fallbacks;  ///< tensors of the allocation that cannot take their type
    Limits limits{};                  ///< of the front method
    double epsilon = 0;               ///< of the front method: see Front::epsilon
    /// Of the front method: largest relative error of a measured latency that was left out of its prediction; 0: not known.
    double latency_error = 0;

    [[nodiscard]] const Candidate& chosen() const { return ranking.best.front(); }
};

/// The paper's method: all distributions, TOPSIS, Algorithm 1. `runners_up`: how many next-best candidates to keep.
/// Errors: profile and scores disagree about the layers or the model; no types; a metric that is not positive.
[[nodiscard]] Result<Plan> make_plan(const Profile& profile, const Scores& scores, const Weights& weights,
                                     std::size_t runners_up = 4);

/// Past the paper: TOPSIS over the Pareto front of exact memory, latency fitted to the profile's types and mixes, and measured
/// KL divergence, among what keeps the limits. Types: those that profile and sensitivity share. What is typed as one is what
/// the sensitivity measured, and with `mix_embedding` the embedding too.
/// Errors: the two disagree about the model; no type in both; infeasible limits, with the plan that comes nearest.
[[nodiscard]] Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const Weights& weights,
                                           const Limits& limits, Normalization normalization = Normalization::minmax,
                                           std::size_t runners_up = 4, bool mix_embedding = false);

/// How close measured metrics (bytes, ms per token, KL divergence) are to the ideal of a front plan, as its candidates are
/// ranked.
[[nodiscard]] double closeness_of(const Plan& plan, const Metrics& metrics);

/// Every plan of the front as `make_front_plan` ranks them, by memory, and their allocations (one type index per layer).
struct PlannedFront {
    std::vector<std::string> types;
    std::vector<std::string> layers;
    std::vector<Candidate> candidates;
    std::vector<std::vector<std::uint8_t>> allocations;
    double slope = 0;  ///< of ln perplexity over KL divergence
};
[[nodiscard]] Result<PlannedFront> plan_front(const Profile& profile, const Sensitivity& sensitivity,
                                              bool mix_embedding = false);

/// `count` plans of the front that together dominate most below `reference`, as estimated, best first.
[[nodiscard]] Result<std::vector<Plan>> make_spread(const Profile& profile, const Sensitivity& sensitivity,
                                                    const Metrics& reference, std::size_t count, bool mix_embedding = false);

/// The allocation as llama-quantize reads it with --tensor-type-file: one `pattern=type` a line. Error: a layer with a name that is
/// none, or a type that libggml does not have.
[[nodiscard]] Result<std::string> tensor_type_file(const Plan& plan);

}  // namespace apreqel
