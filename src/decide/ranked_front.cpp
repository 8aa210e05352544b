#include "decide/ranked_front.h"

#include <algorithm>
#include <utility>

namespace apreqel {
namespace {

/// "memory 1048576 bytes", "latency 0.33 ms": exact enough to set a limit by.
std::string stated(const Criterion& criterion, double value)
{
    switch (criterion.dimension) {
        case Dimension::bytes: return std::format("{} {:.0f} bytes", criterion.name, value);
        case Dimension::milliseconds: return std::format("{} {:.4g} ms", criterion.name, value);
        case Dimension::joules: return std::format("{} {:.4g} J", criterion.name, value);
        case Dimension::share: return std::format("{} {:.3g} %", criterion.name, 100 * value);
        default: return std::format("{} {:.4g}", criterion.name, value);
    }
}

/// Nothing keeps the limits: what comes nearest, criterion by criterion.
std::unexpected<Error> infeasible(const Candidate& nearest, double excess, const ContextMemory& context)
{
    const Metrics metrics = with_context(nearest.estimate, context);
    std::string values;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (std::isnan(metrics[c]) || criteria()[c].limit.empty()) continue;
        values += (values.empty() ? "" : ", ") + stated(criteria()[c], metrics[c]);
    }
    return std::unexpected(Error{ErrorCode::infeasible, "plan: no mix of these types keeps the limits",
                                 std::format("the nearest has {}{}: {:.1f} % over; raise a limit, or offer more types", values,
                                             context.bytes() > 0 ? ", the context included" : "", 100 * (excess - 1))});
}

}  // namespace

Result<RankedFront> rank_front(const Prediction& prediction, const AdditiveCosts& costs, const PlanRequest& request)
{
    auto front = pareto_front(costs);
    if (!front) return std::unexpected(front.error());
    RankedFront ranked{.front = std::move(*front), .scale = {}, .ranks = {}};
    std::vector<Costs> all;
    std::vector<Costs> kept;  // that keep the limits
    std::size_t nearest = 0;
    std::pair nearest_excess(kUnlimited, kUnlimited);
    for (std::size_t p = 0; p < ranked.front.points.size(); ++p) {
        const FrontPoint& point = ranked.front.points[p];
        const Metrics estimate = candidate_of(prediction, point).estimate;
        const double excess = limit_excess(request.limits, estimate);
        // What is counted is exact and kept first; the rest is predicted.
        const std::pair excesses(std::max(1.0, counted_excess(request.limits, estimate)), excess);
        all.push_back(point.cost);
        if (excess <= 1) {
            kept.push_back(point.cost);
            ranked.ranks.push_back({.point = p, .apart = {}, .closeness = 0});
        }
        if (excesses >= nearest_excess) continue;
        nearest = p;
        nearest_excess = excesses;
    }
    if (kept.empty() && request.nearest) {
        kept = all;
        ranked.ranks.push_back({.point = nearest, .apart = {}, .closeness = 0});
    } else if (kept.empty()) {
        return infeasible(candidate_of(prediction, ranked.front.points[nearest]), nearest_excess.second,
                          request.limits.context);
    }

    // Norms are those of the whole front: limits must not change how its costs compare.
    const Costs weights = columns_of(request.weights, prediction.objectives);
    ranked.scale = scale_of(kept, weights, norms_of(all, request.normalization));
    for (RankedFront::Rank& rank : ranked.ranks) {
        rank.apart = distances(ranked.front.points[rank.point].cost, weights, ranked.scale);
        rank.closeness = closeness(rank.apart.ideal, rank.apart.anti_ideal);
    }
    std::ranges::stable_sort(ranked.ranks, std::greater{}, &RankedFront::Rank::closeness);
    return ranked;
}

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
    if (profile.device.offload) plan.gpu_layers = profile.device.offload->layers;
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

}  // namespace apreqel
