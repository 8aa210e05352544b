// Past the paper: the choice on the Pareto front of what is predicted.
#include "decide/prediction.h"
#include "decide/topsis.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <numeric>

namespace apreqel {
namespace {

Plan plan_of(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request, const Prediction& prediction,
             const FrontPoint& point)
{
    Plan plan{.model = profile.model.model.empty() ? sensitivity.model : profile.model.model,
              .model_name = profile.model.model_name.empty() ? sensitivity.model_name : profile.model.model_name,
              .text = profile.model.text,
              .device = profile.device.device,
              .request = request,
              .objectives = prediction.objectives,
              .types = prediction.types,
              .embedding_type = profile.model.embedding_type};
    plan.request.method = Method::front;
    for (const std::string& type : plan.types)
        plan.costs.push_back(metrics_of(measurement_of(profile, type), profile.model.reference));
    plan.latency_error = prediction.latency_error;
    const std::vector<std::uint8_t> types = types_of(prediction, point);
    for (std::size_t g = 0; g < types.size(); ++g) {
        const GroupSensitivity& group = *prediction.groups[g];
        const std::string& type = plan.types[types[g]];
        plan.allocation.push_back({group.group, type});
        const auto variant = std::ranges::find(profile.model.types, type, &UniformVariant::type);
        for (const Fallback& entry : variant->fallbacks)
            if (!entry.group.empty() && entry.group == group.layer) plan.fallbacks.push_back(entry);
    }
    if (!std::ranges::contains(plan.allocation, kEmbedding, &GroupType::group))
        for (const Fallback& entry : profile.model.types.front().fallbacks)  // the same in every variant
            if (entry.group.empty()) plan.fallbacks.push_back(entry);
    return plan;
}

/// "memory 1048576 bytes", "latency 0.33 ms": exact enough to set a limit by.
std::string stated(const Criterion& criterion, double value)
{
    switch (criterion.dimension) {
        case Dimension::bytes: return std::format("{} {:.0f} bytes", criterion.name, value);
        case Dimension::milliseconds: return std::format("{} {:.4g} ms", criterion.name, value);
        case Dimension::share: return std::format("{} {:.3g} %", criterion.name, 100 * value);
        default: return std::format("{} {:.4g}", criterion.name, value);
    }
}

/// Nothing keeps the limits: what comes nearest, criterion by criterion.
std::unexpected<Error> infeasible(const Candidate& nearest, double excess, double kv_bytes)
{
    Metrics metrics = nearest.estimate;
    metrics[kMemory] += kv_bytes;
    std::string values;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (std::isnan(metrics[c]) || criteria()[c].limit.empty()) continue;
        values += (values.empty() ? "" : ", ") + stated(criteria()[c], metrics[c]);
    }
    return std::unexpected(Error{ErrorCode::infeasible, "plan: no mix of these types keeps the limits",
                                 std::format("the nearest has {}{}: {:.1f} % over; raise a limit, or offer more types", values,
                                             kv_bytes > 0 ? ", KV cache included" : "", 100 * (excess - 1))});
}

Result<> check(const PlanRequest& request, const Sensitivity& sensitivity)
{
    if (std::ranges::any_of(request.weights, [](double weight) { return !std::isfinite(weight) || weight < 0; }) ||
        std::ranges::all_of(request.weights, [](double weight) { return weight == 0; })) {
        return usage_error("plan: the weights must be 0 or more, and not all 0");
    }
    if (request.limits.context > 0 && sensitivity.kv_bytes_per_token == 0)
        return usage_error("plan: the size of this model's KV cache is not known, so it cannot be counted as memory");
    return {};
}

}  // namespace

Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                             std::span<const MixedModel> measured)
{
    if (auto fit = check(request, sensitivity); !fit) return std::unexpected(fit.error());
    const auto prediction = predict(profile, sensitivity, request, measured);
    if (!prediction) return std::unexpected(prediction.error());
    const auto front = pareto_front(prediction->costs);
    if (!front) return std::unexpected(front.error());

    std::vector<Costs> all;
    std::vector<Costs> kept;  // that keep the limits, and which they are
    std::vector<std::size_t> feasible;
    std::size_t nearest = 0;
    double nearest_excess = kUnlimited;
    for (std::size_t p = 0; p < front->points.size(); ++p) {
        const FrontPoint& point = front->points[p];
        const double excess =
            limit_excess(request.limits, candidate_of(*prediction, point).estimate, sensitivity.kv_bytes_per_token);
        all.push_back(point.cost);
        if (excess <= 1) {
            kept.push_back(point.cost);
            feasible.push_back(p);
        }
        if (excess >= nearest_excess) continue;
        nearest = p;
        nearest_excess = excess;
    }
    if (feasible.empty()) {
        const double kv_bytes =
            static_cast<double>(request.limits.context) * static_cast<double>(sensitivity.kv_bytes_per_token);
        return infeasible(candidate_of(*prediction, front->points[nearest]), nearest_excess, kv_bytes);
    }

    // Norms are those of the whole front: limits must not change how its costs compare.
    const Costs weights = columns_of(request.weights, prediction->objectives);
    Scale scale = scale_of(kept, weights, norms_of(all, request.normalization));
    std::vector<Distances> apart;
    for (const Costs& costs : kept) apart.push_back(distances(costs, weights, scale));
    std::vector<std::size_t> order(kept.size());
    std::iota(order.begin(), order.end(), 0);
    const auto close = [&](std::size_t i) { return closeness(apart[i].ideal, apart[i].anti_ideal); };
    std::ranges::stable_sort(order, std::greater{}, close);

    Plan plan = plan_of(profile, sensitivity, request, *prediction, front->points[feasible[order.front()]]);
    plan.epsilon = front->epsilon;
    plan.ranking.candidates = static_cast<double>(front->points.size());
    plan.ranking.scale = std::move(scale);
    for (std::size_t r = 0; r < std::min(order.size(), request.runners_up + 1); ++r) {
        Candidate candidate = candidate_of(*prediction, front->points[feasible[order[r]]]);
        candidate.distance_ideal = apart[order[r]].ideal;
        candidate.distance_anti_ideal = apart[order[r]].anti_ideal;
        candidate.closeness = close(order[r]);
        plan.ranking.best.push_back(std::move(candidate));
    }
    return plan;
}

double measured_closeness(const Plan& plan, const Metrics& metrics)
{
    return extended_closeness(columns_of(metrics, plan.objectives), columns_of(plan.request.weights, plan.objectives),
                              plan.ranking.scale);
}

Result<PlannedFront> plan_front(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request)
{
    const auto prediction = predict(profile, sensitivity, request, {});
    if (!prediction) return std::unexpected(prediction.error());
    const auto front = pareto_front(prediction->costs);
    if (!front) return std::unexpected(front.error());
    PlannedFront planned{.types = prediction->types, .groups = {}, .candidates = {}, .allocations = {}};
    for (const GroupSensitivity* group : prediction->groups) planned.groups.push_back(group->group);
    for (const FrontPoint& point : front->points) {
        planned.candidates.push_back(candidate_of(*prediction, point));
        planned.allocations.push_back(types_of(*prediction, point));
    }
    return planned;
}

Result<std::vector<Plan>> make_spread(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                                      const Costs& reference, std::size_t count)
{
    const auto prediction = predict(profile, sensitivity, request, {});
    if (!prediction) return std::unexpected(prediction.error());
    const auto front = pareto_front(prediction->costs);
    if (!front) return std::unexpected(front.error());
    const bool known = std::ranges::none_of(reference, [](double cost) { return std::isnan(cost); });
    std::vector<Costs> points;
    for (const FrontPoint& point : front->points) {
        points.push_back(columns_of(candidate_of(*prediction, point).estimate, known ? paper_objectives() : front_objectives()));
    }
    const auto chosen = spread(points, known ? reference : worst_of(points), count);
    if (!chosen) return std::unexpected(chosen.error());
    std::vector<Plan> plans;
    for (const std::size_t p : *chosen) {
        plans.push_back(plan_of(profile, sensitivity, request, *prediction, front->points[p]));
        plans.back().epsilon = front->epsilon;
        plans.back().ranking.candidates = static_cast<double>(front->points.size());
        plans.back().ranking.best = {candidate_of(*prediction, front->points[p])};
    }
    return plans;
}

}  // namespace apreqel
