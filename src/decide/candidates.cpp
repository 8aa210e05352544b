// Plans worth building before one of them is chosen: the best of what is predicted, and the best of what might be instead.
#include "decide/ranked_front.h"

#include <apreqel/refine.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>

namespace apreqel {
namespace {

/// Worlds that are drawn beside the expected one.
constexpr std::size_t kDraws = 2;

/// What a standard deviation is of numbers whose median distance is 1.
constexpr double kDeviation = 1.4826;

/// Standard deviation of ln (KL divergence ÷ what was estimated), where held-out probes do not tell.
const double kUnchecked = std::log(1.25) * kDeviation;

/// What the predicted costs might be instead, as far as is known: a world drawn from what the measurements leave open. A KL
/// divergence that was measured is wrong by its standard error; one that was estimated by as much as held-out ones were, half of
/// that the same for all groups in a type; and what a part of the model takes in a type by as much as the timed models were.
class Worlds {
public:
    Worlds(const Prediction& prediction, const Sensitivity& sensitivity) : prediction_(prediction)
    {
        const Separability& checked = sensitivity.separability;
        estimated_ = checked.pairs > 0 ? std::log(std::max(checked.median_factor, 1.0)) * kDeviation : kUnchecked;
        for (const std::string& type : prediction.types)
            columns_.push_back(
                static_cast<std::size_t>(std::ranges::find(sensitivity.types, type) - sensitivity.types.begin()));
    }

    AdditiveCosts draw()
    {
        AdditiveCosts costs = prediction_.costs;
        std::vector<double> of_type(prediction_.types.size());
        for (double& factor : of_type) factor = normal() * estimated_ * std::sqrt(0.5);
        std::map<std::pair<std::string_view, std::size_t>, double> of_part;
        for (std::size_t g = 0; g < prediction_.groups.size(); ++g) {
            for (std::size_t i = 0; i < costs.groups[g].size(); ++i) {
                const std::size_t type = prediction_.choices[g][i];
                const GroupSensitivity& group = *prediction_.groups[g];
                auto [timed, first] = of_part.try_emplace({group.part, type}, 0);
                if (first) timed->second = normal() * std::max(prediction_.latency_error, kTimed);
                const Probe& probe = group.probes[columns_[type]];
                const double own = normal();
                const double measured = probe.kld > 0 ? std::min(probe.kld_error / probe.kld, 0.5) : 0;
                const double probed = probe.measured ? own * measured : of_type[type] + own * estimated_ * std::sqrt(0.5);
                for (std::size_t column = 0; column < prediction_.objectives.size(); ++column) {
                    const Composition composition = criteria()[prediction_.objectives[column]].composition;
                    double& cost = costs.groups[g][i][column];
                    if (composition == Composition::probed) cost *= std::exp(probed);
                    if (composition == Composition::timed) cost *= std::exp(timed->second);
                }
            }
        }
        return costs;
    }

private:
    static constexpr double kTimed = 0.01;  // what a latency is wrong by at least

    double normal() { return distribution_(random_); }

    const Prediction& prediction_;
    double estimated_ = 0;
    std::vector<std::size_t> columns_;  ///< of each of the prediction's types in the sensitivity
    std::mt19937_64 random_{1};
    std::normal_distribution<double> distribution_{0, 1};
};

/// Every group in `type`, but for those that have another in its uniform variant, and those that stay as they are in the source
/// as they cannot; nothing if a group can do neither.
std::optional<FrontPoint> uniform_point(const Prediction& prediction, std::size_t type)
{
    FrontPoint point{.cost = {}, .types = {}};
    for (std::size_t g = 0; g < prediction.groups.size(); ++g) {
        const std::string& fixed = prediction.groups[g]->fixed_type;
        const auto& choices = prediction.choices[g];
        const auto has = [&](std::uint8_t q) { return fixed.empty() ? q == type : prediction.types[q] == fixed; };
        auto choice = std::ranges::find_if(choices, has);
        const auto instead = [&](std::uint8_t q) { return fixed.empty() ? prediction.types[q] == kSource : q == type; };
        if (choice == choices.end()) choice = std::ranges::find_if(choices, instead);
        if (choice == choices.end()) return std::nullopt;
        point.types.push_back(static_cast<std::uint8_t>(choice - choices.begin()));
    }
    point.types.resize(prediction.costs.groups.size(), 0);  // the usual KV cache
    point.cost = cost_of(prediction.costs, point.types);
    return point;
}

}  // namespace

Result<std::vector<Plan>> make_candidates(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request)
{
    auto expected = make_front_plan(profile, sensitivity, request);
    if (!expected) return std::unexpected(expected.error());
    const auto prediction = predict(profile, sensitivity, request, {});
    if (!prediction) return std::unexpected(prediction.error());
    std::vector<Plan> plans{std::move(*expected)};
    // Each is told by what is expected of it, whatever world it is the best of.
    const auto add = [&](const FrontPoint& point) {
        Plan plan = plan_of(profile, sensitivity, request, *prediction, point);
        Candidate candidate = candidate_of(*prediction, point);
        plan.ranking.best = {candidate};
        if (std::ranges::any_of(plans, [&](const Plan& other) { return same_types(other, plan); })) return;
        plan.epsilon = plans.front().epsilon;
        plan.ranking.candidates = plans.front().ranking.candidates;
        plan.ranking.scale = plans.front().ranking.scale;
        candidate.closeness = measured_closeness(plan, candidate.estimate);
        plan.ranking.best = {std::move(candidate)};
        plans.push_back(std::move(plan));
    };

    Worlds worlds(*prediction, sensitivity);
    for (std::size_t d = 0; d < kDraws; ++d) {
        const auto ranked = rank_front(*prediction, worlds.draw(), request);
        if (!ranked) continue;  // limits that cannot be kept in that world
        FrontPoint point = ranked->front.points[ranked->ranks.front().point];
        point.cost = cost_of(prediction->costs, point.types);
        add(point);
    }
    std::optional<FrontPoint> uniform;
    double best = 0;
    for (std::size_t type = 0; type < prediction->types.size(); ++type) {
        auto point = uniform_point(*prediction, type);
        if (!point) continue;
        const Metrics estimate = candidate_of(*prediction, *point).estimate;
        if (limit_excess(request.limits, estimate) > 1) continue;
        const double close = measured_closeness(plans.front(), estimate);
        if (uniform && close <= best) continue;
        best = close;
        uniform = std::move(*point);
    }
    if (uniform) add(*uniform);
    return plans;
}

bool same_types(const Plan& plan, const Plan& other)
{
    const auto cache = [](const Plan& of) {
        const bool chosen = !of.ranking.best.empty() && of.chosen().cache;
        return chosen ? of.chosen().cache->types : CacheTypes{};
    };
    return cache(plan) == cache(other) &&
           std::ranges::equal(plan.allocation, other.allocation,
                              [](const GroupType& a, const GroupType& b) { return a.group == b.group && a.type == b.type; });
}

}  // namespace apreqel
