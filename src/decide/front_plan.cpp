// Past the paper: the choice on the Pareto front of what is predicted.
#include "decide/ranked_front.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <ranges>
#include <utility>

namespace apreqel {
namespace {

Result<> check(const PlanRequest& request)
{
    if (std::ranges::any_of(request.weights, [](double weight) { return !std::isfinite(weight) || weight < 0; }) ||
        std::ranges::all_of(request.weights, [](double weight) { return weight == 0; })) {
        return usage_error("plan: the weights must be 0 or more, and not all 0");
    }
    return {};
}

/// The plan of the closest point, and the runners-up.
Plan ranked_plan(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                 const Prediction& prediction, const RankedFront& ranked)
{
    const auto point_of = [&](std::size_t r) -> const FrontPoint& { return ranked.front.points[ranked.ranks[r].point]; };
    Plan plan = plan_of(profile, sensitivity, request, prediction, point_of(0));
    plan.epsilon = ranked.front.epsilon;
    plan.ranking.candidates = static_cast<double>(ranked.front.points.size());
    plan.ranking.scale = ranked.scale;
    for (std::size_t r = 0; r < std::min(ranked.ranks.size(), request.runners_up + 1); ++r) {
        Candidate candidate = candidate_of(prediction, point_of(r));
        candidate.distance_ideal = ranked.ranks[r].apart.ideal;
        candidate.distance_anti_ideal = ranked.ranks[r].apart.anti_ideal;
        candidate.closeness = ranked.ranks[r].closeness;
        plan.ranking.best.push_back(std::move(candidate));
    }
    return plan;
}

}  // namespace

Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                             std::span<const MixedModel> measured)
{
    if (auto fit = check(request); !fit) return std::unexpected(fit.error());
    const auto prediction = predict(profile, sensitivity, request, measured);
    if (!prediction) return std::unexpected(prediction.error());
    const auto ranked = rank_front(*prediction, prediction->costs, request);
    if (!ranked) return std::unexpected(ranked.error());
    return ranked_plan(profile, sensitivity, request, *prediction, *ranked);
}

double measured_closeness(const Plan& plan, const Metrics& metrics)
{
    return extended_closeness(columns_of(metrics, plan.objectives), columns_of(plan.request.weights, plan.objectives),
                              plan.ranking.scale);
}

std::size_t best_plan(std::span<const Plan> plans)
{
    const Objectives& objectives = plans.front().objectives;
    const std::vector<double> weights = columns_of(plans.front().request.weights, objectives);
    std::vector<Costs> rows;
    for (const Plan& plan : plans) rows.push_back(columns_of(plan.chosen().estimate, objectives));
    const Scale scale = scale_of(rows, weights, norms_of(rows, Normalization::vector));
    const auto rank = [&](std::size_t p) {
        const Distances apart = distances(rows[p], weights, scale);
        return std::pair(-closeness(apart.ideal, apart.anti_ideal), plans[p].chosen().estimate[kLatency]);
    };
    return std::ranges::min(std::views::iota(std::size_t{0}, plans.size()), {}, rank);
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
        points.push_back(
            columns_of(candidate_of(*prediction, point).estimate, known ? paper_objectives() : front_objectives()));
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
