// Past the paper: additive costs, their Pareto front, and the choice on it.
#include "decide/topsis.h"

#include <apreqel/front.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <ranges>
#include <set>

namespace apreqel {
namespace {

/// What a plan is predicted from.
struct Model {
    std::vector<const UniformVariant*> types;
    AdditiveCosts costs;
    /// ln perplexity = intercept + slope · KL divergence, through the uniform types.
    double intercept = 0;
    double slope = 0;

    [[nodiscard]] double perplexity(double kld) const { return std::exp(intercept + slope * kld); }
};

Result<> check(const Profile& profile, const Sensitivity& sensitivity)
{
    if (!profile.model.empty() && !sensitivity.model.empty() && profile.model != sensitivity.model) {
        return fail("plan: the profile is of model {} ({}), the sensitivity is of {} ({})", profile.model_name, profile.model,
                    sensitivity.model_name, sensitivity.model);
    }
    if (profile.layers != sensitivity.layers.size()) {
        return fail("plan: the profile is of {} layers, the sensitivity is of {}", profile.layers, sensitivity.layers.size());
    }
    if (!profile.embedding_type.empty() && profile.embedding_type != sensitivity.embedding_type) {
        return fail("plan: the profile has embeddings in {}, the sensitivity has them in {}", profile.embedding_type,
                    sensitivity.embedding_type);
    }
    for (const UniformVariant& variant : profile.types) {
        for (const double value : metrics_of(variant.measurement)) {
            if (!std::isfinite(value) || value <= 0)
                return fail("plan: the profile's {} has a metric of {}, it must be a positive number", variant.type, value);
        }
    }
    std::set<std::string_view> seen;
    for (const LayerSensitivity& layer : sensitivity.layers) {
        if (!layer.layer.starts_with("blk.") || !(layer.layer.ends_with(".attn") || layer.layer.ends_with(".ffn")))
            return fail("plan: the sensitivity has a layer \"{}\", layers are named blk.N.attn and blk.N.ffn", layer.layer);
        if (!seen.insert(layer.layer).second) return fail("plan: the sensitivity has layer {} twice", layer.layer);
    }
    return {};
}

/// Memory is exact. Latency: a layer's share of the weights takes that share of the latency of its type, as the time to
/// generate a token is the time to read the weights. KL divergences add up (facts: additive up to about 1 nat), times one
/// factor that the uniform types show.
Result<Model> make_model(const Profile& profile, const Sensitivity& sensitivity)
{
    if (auto fit = check(profile, sensitivity); !fit) return std::unexpected(fit.error());
    Model model;
    std::vector<std::size_t> columns;  // of the sensitivity
    for (const UniformVariant& variant : profile.types) {
        const auto place = std::ranges::find(sensitivity.types, variant.type);
        if (place == sensitivity.types.end()) continue;
        model.types.push_back(&variant);
        columns.push_back(static_cast<std::size_t>(place - sensitivity.types.begin()));
    }
    if (model.types.empty()) return fail("plan: the profile and the sensitivity have no type in common");

    double parameters = 0;
    for (const LayerSensitivity& layer : sensitivity.layers) parameters += static_cast<double>(layer.parameters);
    if (parameters <= 0) return fail("plan: the sensitivity's layers have no weights");
    model.costs.fixed = {static_cast<double>(sensitivity.fixed_bytes), 0, sensitivity.embedding_kld};
    for (const LayerSensitivity& layer : sensitivity.layers) {
        const double share = static_cast<double>(layer.parameters) / parameters;
        model.costs.layers.emplace_back();
        for (std::size_t q = 0; q < columns.size(); ++q) {
            const Probe& probe = layer.probes[columns[q]];
            const double latency = model.types[q]->measurement.speed.latency_ms.median;
            model.costs.layers.back().push_back({static_cast<double>(probe.memory_bytes), share * latency, probe.kld});
        }
    }

    std::vector<double> sums;
    double products = 0;
    double squares = 0;
    for (std::size_t q = 0; q < columns.size(); ++q) {
        const std::vector<std::uint8_t> uniform(sensitivity.layers.size(), static_cast<std::uint8_t>(q));
        sums.push_back(cost_of(model.costs, uniform)[2]);
        const Quality& quality = model.types[q]->measurement.quality;
        if (quality.kld_tokens == 0) continue;
        products += sums.back() * quality.kld;
        squares += sums.back() * sums.back();
    }
    const double factor = products > 0 ? products / squares : 1;
    model.costs.fixed[2] *= factor;
    for (auto& layer : model.costs.layers)
        for (Metrics& cost : layer) cost[2] *= factor;

    double mean_kld = 0;
    double mean_log = 0;
    const auto count = static_cast<double>(sums.size());
    for (std::size_t q = 0; q < sums.size(); ++q) {
        sums[q] *= factor;
        mean_kld += sums[q] / count;
        mean_log += std::log(model.types[q]->measurement.quality.perplexity) / count;
    }
    double covariance = 0;
    double variance = 0;
    for (std::size_t q = 0; q < sums.size(); ++q) {
        covariance += (sums[q] - mean_kld) * (std::log(model.types[q]->measurement.quality.perplexity) - mean_log);
        variance += (sums[q] - mean_kld) * (sums[q] - mean_kld);
    }
    model.slope = variance > 0 ? std::max(0.0, covariance / variance) : 0;
    model.intercept = mean_log - model.slope * mean_kld;
    return model;
}

/// How far a point exceeds the limits: the greatest value ÷ limit, at most 1 if it keeps them all.
double excess(const Metrics& cost, const Model& model, const Limits& limits, double kv_bytes)
{
    double most = 0;
    if (limits.memory_bytes) most = std::max(most, (cost[0] + kv_bytes) / static_cast<double>(*limits.memory_bytes));
    if (limits.latency_ms) most = std::max(most, cost[1] / *limits.latency_ms);
    if (limits.kld) most = std::max(most, cost[2] / *limits.kld);
    if (limits.perplexity_increase) most = std::max(most, std::expm1(model.slope * cost[2]) / *limits.perplexity_increase);
    return most;
}

Candidate candidate_of(const FrontPoint& point, const Model& model)
{
    Candidate candidate{.counts = std::vector<std::size_t>(model.types.size()), .kld = point.cost[2]};
    for (const std::uint8_t type : point.types) ++candidate.counts[type];
    candidate.estimate = {point.cost[0], point.cost[1], model.perplexity(point.cost[2])};
    return candidate;
}

Plan plan_of(const Profile& profile, const Sensitivity& sensitivity, const Model& model, const FrontPoint& point)
{
    Plan plan{.model = profile.model.empty() ? sensitivity.model : profile.model,
              .model_name = profile.model_name.empty() ? sensitivity.model_name : profile.model_name,
              .method = "front",
              .embedding_type = sensitivity.embedding_type};
    for (const UniformVariant* variant : model.types) {
        plan.types.push_back(variant->type);
        plan.costs.push_back(metrics_of(variant->measurement));
    }
    for (std::size_t l = 0; l < point.types.size(); ++l)
        plan.allocation.push_back({sensitivity.layers[l].layer, plan.types[point.types[l]]});
    for (const UniformVariant* variant : model.types) {
        for (const Fallback& entry : variant->fallbacks) {
            const auto has_it = [&](const LayerType& l) { return l.layer == entry.layer && l.type == variant->type; };
            const bool embedding = entry.layer.empty() && variant == model.types.front();
            if (embedding || std::ranges::any_of(plan.allocation, has_it)) plan.fallbacks.push_back(entry);
        }
    }
    return plan;
}

}  // namespace

Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const Weights& weights,
                             const Limits& limits, Normalization normalization, std::size_t runners_up)
{
    const auto model = make_model(profile, sensitivity);
    if (!model) return std::unexpected(model.error());
    if (std::ranges::any_of(weights, [](double weight) { return !std::isfinite(weight) || weight < 0; }) ||
        std::ranges::all_of(weights, [](double weight) { return weight == 0; })) {
        return usage_error("plan: the weights must be 0 or more, and not all 0");
    }
    if (limits.context > 0 && sensitivity.kv_bytes_per_token == 0)
        return usage_error("plan: the size of this model's KV cache is not known, so --kv-context cannot be counted");
    const double kv_bytes = static_cast<double>(limits.context) * static_cast<double>(sensitivity.kv_bytes_per_token);
    const auto front = pareto_front(model->costs);
    if (!front) return std::unexpected(front.error());

    // The scale of the whole front: limits must not change how its metrics compare.
    std::array<double, kMetrics> least{};
    std::array<double, kMetrics> scale{};
    for (std::size_t j = 0; j < kMetrics; ++j) {
        const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
        const auto [low, high] = std::ranges::minmax(front->points | std::views::transform(cost));
        double squares = 0;
        for (const FrontPoint& point : front->points) squares += point.cost[j] * point.cost[j];
        least[j] = low;
        scale[j] = normalization == Normalization::minmax ? high - low : std::sqrt(squares);
    }
    std::vector<std::size_t> feasible;
    std::size_t nearest = 0;
    double nearest_excess = std::numeric_limits<double>::infinity();
    for (std::size_t p = 0; p < front->points.size(); ++p) {
        const double over = excess(front->points[p].cost, *model, limits, kv_bytes);
        if (over <= 1) feasible.push_back(p);
        if (over >= nearest_excess) continue;
        nearest = p;
        nearest_excess = over;
    }
    if (feasible.empty()) {
        const Candidate closest = candidate_of(front->points[nearest], *model);
        return std::unexpected(Error{
            ErrorCode::infeasible, "plan: no mix of these types keeps the limits",
            std::format(
                "the nearest takes {:.0f} bytes{}, {:.3f} ms/token, KL divergence {:.5f}, perplexity {:.4f}: {:.1f} % over; "
                "raise a limit, or offer more --types",
                closest.estimate[0] + kv_bytes, kv_bytes > 0 ? " with KV cache" : "", closest.estimate[1], closest.kld,
                closest.estimate[2], 100 * (nearest_excess - 1))});
    }

    Metrics ideal;
    Metrics anti_ideal;
    const auto weighted = [&](std::size_t p, std::size_t j) {
        return scale[j] > 0 ? weights[j] * (front->points[p].cost[j] - least[j]) / scale[j] : 0;
    };
    ideal.fill(std::numeric_limits<double>::infinity());
    anti_ideal.fill(-std::numeric_limits<double>::infinity());
    for (const std::size_t p : feasible) {
        for (std::size_t j = 0; j < kMetrics; ++j) {
            ideal[j] = std::min(ideal[j], weighted(p, j));
            anti_ideal[j] = std::max(anti_ideal[j], weighted(p, j));
        }
    }
    std::vector<Candidate> ranked;
    std::vector<std::size_t> order(feasible.size());
    std::iota(order.begin(), order.end(), 0);
    for (const std::size_t p : feasible) {
        Candidate candidate = candidate_of(front->points[p], *model);
        double to_ideal = 0;
        double to_anti_ideal = 0;
        for (std::size_t j = 0; j < kMetrics; ++j) {
            to_ideal += (weighted(p, j) - ideal[j]) * (weighted(p, j) - ideal[j]);
            to_anti_ideal += (weighted(p, j) - anti_ideal[j]) * (weighted(p, j) - anti_ideal[j]);
        }
        candidate.distance_ideal = std::sqrt(to_ideal);
        candidate.distance_anti_ideal = std::sqrt(to_anti_ideal);
        candidate.closeness = closeness(candidate.distance_ideal, candidate.distance_anti_ideal);
        ranked.push_back(std::move(candidate));
    }
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return ranked[a].closeness > ranked[b].closeness; });

    Plan plan = plan_of(profile, sensitivity, *model, front->points[feasible[order.front()]]);
    plan.weights = weights;
    plan.limits = limits;
    plan.epsilon = front->epsilon;
    plan.ranking = {.candidates = static_cast<double>(front->points.size()),
                    .norm = scale,
                    .ideal = ideal,
                    .anti_ideal = anti_ideal,
                    .best = {}};
    for (std::size_t r = 0; r < std::min(order.size(), runners_up + 1); ++r) plan.ranking.best.push_back(ranked[order[r]]);
    return plan;
}

Result<PlannedFront> plan_front(const Profile& profile, const Sensitivity& sensitivity)
{
    const auto model = make_model(profile, sensitivity);
    if (!model) return std::unexpected(model.error());
    const auto front = pareto_front(model->costs);
    if (!front) return std::unexpected(front.error());
    PlannedFront planned{.types = {}, .layers = {}, .candidates = {}, .allocations = {}, .slope = model->slope};
    for (const UniformVariant* variant : model->types) planned.types.push_back(variant->type);
    for (const LayerSensitivity& layer : sensitivity.layers) planned.layers.push_back(layer.layer);
    for (const FrontPoint& point : front->points) {
        planned.candidates.push_back(candidate_of(point, *model));
        planned.allocations.push_back(point.types);
    }
    return planned;
}

Result<std::vector<Plan>> make_spread(const Profile& profile, const Sensitivity& sensitivity, const Metrics& reference,
                                      std::size_t count)
{
    const auto model = make_model(profile, sensitivity);
    if (!model) return std::unexpected(model.error());
    const auto front = pareto_front(model->costs);
    if (!front) return std::unexpected(front.error());
    std::vector<Metrics> points;
    for (const FrontPoint& point : front->points) points.push_back(candidate_of(point, *model).estimate);
    const auto chosen = spread(points, reference, count);
    if (!chosen) return std::unexpected(chosen.error());
    std::vector<Plan> plans;
    for (const std::size_t p : *chosen) {
        plans.push_back(plan_of(profile, sensitivity, *model, front->points[p]));
        plans.back().epsilon = front->epsilon;
        plans.back().ranking.candidates = static_cast<double>(front->points.size());
        plans.back().ranking.best = {candidate_of(front->points[p], *model)};
    }
    return plans;
}

}  // namespace apreqel
