// From measured types and scored layers to the type of every group of tensors. Pure functions of numbers: same input, same plan.
#pragma once

#include <apreqel/contribution.h>
#include <apreqel/costs.h>
#include <apreqel/criterion.h>
#include <apreqel/error.h>
#include <apreqel/profile.h>
#include <apreqel/sensitivity.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// A distribution of types, ranked by TOPSIS.
struct Candidate {
    std::vector<std::size_t> counts;  ///< z_i: layers, or groups that are free to choose, given to type i
    Metrics estimate = every_criterion(kUnknown);
    std::optional<CacheChoice> cache{};  ///< where the profile says what its types cost; part of the estimate
    double closeness = 0;                ///< d⁻ / (d⁻ + d*), in [0, 1]
    double distance_ideal = 0;           ///< d*
    double distance_anti_ideal = 0;      ///< d⁻
};

struct Ranking {
    double candidates = 0;        ///< how many there are
    Scale scale;                  ///< of the columns: Plan::objectives
    std::vector<Candidate> best;  ///< by closeness, descending
};

/// Algorithm 1: types from most to least precise, layers from greatest to least contribution; the first z_1 layers get
/// the first type, and so on. `counts[i]` layers of type i, `bits_per_weight[i]` orders the types (ties: the earlier
/// first), `layer_order` is a permutation of the layers. Returns the type index of each layer.
[[nodiscard]] std::vector<std::size_t> allocate(std::span<const std::size_t> counts, std::span<const double> bits_per_weight,
                                                std::span<const std::size_t> layer_order);

/// How to choose.
enum class Method {
    paper,  ///< all distributions of types over layers, TOPSIS, Algorithm 1
    front,  ///< measured sensitivity, the Pareto front of additive costs, TOPSIS on it
};
[[nodiscard]] std::string_view method_name(Method method);
/// Error: no such method.
[[nodiscard]] Result<Method> parse_method(std::string_view name);

/// What is wanted of a plan.
struct PlanRequest {
    Method method = Method::paper;
    Weights weights{};
    Limits limits{};       ///< method front, as are all that follow
    bool nearest = false;  ///< where nothing keeps the limits, take what comes nearest
    Normalization normalization = Normalization::minmax;
    bool mix_embedding = false;  ///< groups of a fixed type may have any
    std::size_t runners_up = 4;  ///< next-best candidates to keep
};

/// True if the energy of a token has a weight or a limit.
[[nodiscard]] inline bool asks_for_energy(const PlanRequest& request)
{
    return request.weights[kEnergy] > 0 || request.limits.most[kEnergy] < kUnlimited;
}

/// A decision, complete: what was asked, what was chosen and why, and the type of every group.
struct Plan {
    std::string model;  ///< fingerprint; empty: not stated
    std::string model_name;
    std::string text;    ///< what the model's profile was measured on
    std::string device;  ///< what the device's profile was measured on
    PlanRequest request{};
    Objectives objectives{};                  ///< what candidates were compared by
    std::vector<std::string> types;           ///< chosen from; the order of all counts
    std::vector<Metrics> costs;               ///< of the uniform variants of these types
    Ranking ranking;                          ///< best.front() is the plan, the others are the runners-up
    std::string embedding_type;               ///< fixed type of embedding and output; empty: the default
    std::optional<std::size_t> gpu_layers{};  ///< of Offload, where what is on accelerators was chosen too
    std::vector<GroupType> allocation;
    std::vector<Fallback> fallbacks;  ///< tensors of the allocation that cannot take their type
    std::optional<double> epsilon{};  ///< of the front: see Front::epsilon
    /// Of the front method: largest relative error of a measured latency that was left out of its prediction; 0: not known.
    double latency_error = 0;

    [[nodiscard]] const Candidate& chosen() const { return ranking.best.front(); }
};

/// The paper's method. Errors: profile and scores disagree about the layers or the model; no types; a metric that is not
/// positive.
[[nodiscard]] Result<Plan> make_plan(const Profile& profile, const Scores& scores, const PlanRequest& request);

/// Past the paper: TOPSIS over the Pareto front of exact memory, times fitted to the profile's types and mixes, and measured KL
/// divergence, among what keeps the limits. Types: those that profile and sensitivity share. `measured`: mixes that were built,
/// which correct what is predicted.
/// Errors: the two disagree about the model; no type in both; infeasible limits, with the plan that comes nearest.
[[nodiscard]] Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                                           std::span<const MixedModel> measured = {});

/// How close measured metrics are to the ideal of a plan, on the scale of its candidates. What is nowhere worse and somewhere
/// better is closer, also beyond the ideal.
[[nodiscard]] double measured_closeness(const Plan& plan, const Metrics& metrics);

/// The closest to the ideal of plans that were made with other numbers of layers on accelerators, by the weights of the first:
/// TOPSIS over what they are expected to cost, as in the paper. Equal ones: the fastest.
[[nodiscard]] std::size_t best_plan(std::span<const Plan> plans);

/// Every plan of the front, by memory, and their allocations (one type index for each group).
struct PlannedFront {
    std::vector<std::string> types;
    std::vector<std::string> groups;
    std::vector<Candidate> candidates;
    std::vector<std::vector<std::uint8_t>> allocations;
};
[[nodiscard]] Result<PlannedFront> plan_front(const Profile& profile, const Sensitivity& sensitivity,
                                              const PlanRequest& request = {});

/// `count` plans of the front that together dominate most of the paper's objectives below `reference`, as estimated, best first.
/// Where that is not known (kUnknown in it): most of memory, latency and KL divergence below the worst of the front.
[[nodiscard]] Result<std::vector<Plan>> make_spread(const Profile& profile, const Sensitivity& sensitivity,
                                                    const PlanRequest& request, const Costs& reference, std::size_t count);

/// The allocation as llama-quantize reads it with --tensor-type-file: one `pattern=type` a line.
/// Error: the name of a group or type is none, so that it could not be written.
[[nodiscard]] Result<std::string> tensor_type_file(const Plan& plan);

}  // namespace apreqel
