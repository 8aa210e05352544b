// Past the paper: additive costs, their Pareto front, and the choice on it.
#include "decide/latency.h"
#include "decide/names.h"
#include "decide/topsis.h"

#include <apreqel/front.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <ranges>
#include <set>
#include <tuple>
#include <utility>

namespace apreqel {
namespace {

/// Where in the model a group of tensors does its work; each part has its own speed in each type.
enum Part : std::size_t { kAttention, kFfn, kEmbeddingPart, kParts };

/// "blk.3.ffn" of "blk.3.ffn_gate+ffn_up", "blk.3.attn" of "blk.3.attn_q"; empty if it is neither.
std::string layer_of(std::string_view group)
{
    if (!group.starts_with("blk.")) return {};
    const std::size_t dot = group.find('.', 4);
    if (dot == std::string_view::npos) return {};
    return std::string(group.substr(0, dot)) + (group.substr(dot + 1).starts_with("ffn") ? ".ffn" : ".attn");
}

Part part_of(std::string_view group)
{
    if (group == kEmbedding) return kEmbeddingPart;
    return layer_of(group).ends_with(".ffn") ? kFfn : kAttention;
}

/// What a plan is predicted from.
struct Model {
    std::vector<const UniformVariant*> types;
    std::vector<const LayerSensitivity*> groups;  ///< what is given a type
    AdditiveCosts costs;
    double latency_error = 0;  ///< see LatencyFit
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
    std::set<std::string> seen;
    std::set<std::string> layers;
    for (const LayerSensitivity& group : sensitivity.layers) {
        const std::string layer = is_group_name(group.layer) ? layer_of(group.layer) : "";
        if (layer.empty())
            return fail("plan: the sensitivity has a layer \"{}\", layers are named blk.N.attn and blk.N.ffn", group.layer);
        if (!seen.insert(group.layer).second) return fail("plan: the sensitivity has layer {} twice", group.layer);
        layers.insert(layer);
    }
    if (profile.layers != layers.size())
        return fail("plan: the profile is of {} layers, the sensitivity is of {}", profile.layers, layers.size());
    if (!profile.embedding_type.empty() && profile.embedding_type != sensitivity.embedding_type) {
        return fail("plan: the profile has embeddings in {}, the sensitivity has them in {}", profile.embedding_type,
                    sensitivity.embedding_type);
    }
    for (const UniformVariant& variant : profile.types) {
        if (!is_type_name(variant.type))
            return fail("plan: the profile has a type \"{}\", which is no name of one", variant.type);
        for (const double value : metrics_of(variant.measurement)) {
            if (!std::isfinite(value) || value <= 0)
                return fail("plan: the profile's {} has a metric of {}, it must be a positive number", variant.type, value);
        }
    }
    return {};
}

/// The type a mix gives to `group`: its own entry, or that of the layer it belongs to.
std::string_view type_in(const std::vector<LayerType>& allocation, const std::string& group)
{
    const std::string layer = layer_of(group);
    std::string_view type;
    for (const LayerType& entry : allocation) {
        if (entry.layer == group) return entry.type;
        if (entry.layer == layer) type = entry.type;
    }
    return type;
}

/// Index of a type by name; the number of types if it is none of the model's.
std::size_t column_of(const Model& model, std::string_view type)
{
    const auto has_name = [&](const UniformVariant* variant) { return variant->type == type; };
    return static_cast<std::size_t>(std::ranges::find_if(model.types, has_name) - model.types.begin());
}

/// Latency adds up over groups: in each part and type it goes with the weights. What that is per part and type is fitted to
/// the uniform types and the profile's mixes; where they do not tell, a part takes its share of the weights.
void add_latencies(Model& model, const Profile& profile, const std::string& embedding_type)
{
    const std::size_t types = model.types.size();
    std::array<double, kParts> weights{};
    for (const LayerSensitivity* group : model.groups) weights[part_of(group->layer)] += static_cast<double>(group->parameters);
    const double all = std::reduce(weights.begin(), weights.end());
    std::vector<double> expected(kParts * types);
    for (std::size_t part = 0; part < kParts; ++part) {
        for (std::size_t q = 0; q < types; ++q) {
            const double latency = model.types[q]->measurement.speed.latency_ms.median;
            expected[part * types + q] = latency * std::max(weights[part] / all, 1e-3);
        }
    }
    std::vector<TimedModel> timed;
    const auto add = [&](const std::vector<LayerType>& allocation, double latency, bool mixed) {
        TimedModel row{.parts = std::vector<double>(kParts * types), .latency_ms = latency, .mixed = mixed};
        for (const LayerSensitivity* group : model.groups) {
            std::string_view type = type_in(allocation, group->layer);
            if (type.empty() && group->layer == kEmbedding) type = embedding_type;
            const std::size_t q = column_of(model, type);
            if (q == types) return;  // a type that this plan does not choose from
            const Part part = part_of(group->layer);
            row.parts[part * types + q] += static_cast<double>(group->parameters) / weights[part];
        }
        timed.push_back(std::move(row));
    };
    for (const UniformVariant* variant : model.types) {
        std::vector<LayerType> allocation;
        for (const LayerSensitivity* group : model.groups)
            if (group->layer != kEmbedding) allocation.push_back({group->layer, variant->type});
        add(allocation, variant->measurement.speed.latency_ms.median, false);
    }
    const bool mixes_embedding = model.groups.back()->layer == kEmbedding;
    for (const MixedModel& mix : profile.mixes) {
        const std::string_view embedding = type_in(mix.allocation, std::string(kEmbedding));
        if (!mixes_embedding && !embedding.empty() && embedding != embedding_type) continue;
        if (mix.measurement.speed.latency_ms.median > 0) add(mix.allocation, mix.measurement.speed.latency_ms.median, true);
    }
    const LatencyFit fit = fit_latency(timed, expected);
    model.latency_error = fit.error;
    for (std::size_t g = 0; g < model.groups.size(); ++g) {
        const Part part = part_of(model.groups[g]->layer);
        const double share = static_cast<double>(model.groups[g]->parameters) / weights[part];
        for (std::size_t q = 0; q < model.costs.layers[g].size(); ++q)
            model.costs.layers[g][q][1] = share * fit.parts[part * types + q];
    }
}

/// KL divergences add up over groups (facts: within 5 % up to about 1 nat), times one factor for each type, by which the whole
/// model in that type differs from the sum of its probes: activations are rounded too, and errors common to all layers cancel.
/// Where mixes were measured, one more factor says how far that was off for them.
void add_divergences(Model& model, const Profile& profile, const Sensitivity& sensitivity,
                     const std::vector<std::size_t>& columns)
{
    std::vector<double> factors(columns.size(), 1);
    for (std::size_t q = 0; q < columns.size(); ++q) {
        double sum = 0;
        for (const LayerSensitivity& layer : sensitivity.layers) sum += layer.probes[columns[q]].kld;
        const Quality& quality = model.types[q]->measurement.quality;
        const double alone = quality.kld - sensitivity.embedding_kld;
        constexpr double kLeast = 0.1;  // a type cannot be much better than its probes
        if (quality.kld_tokens > 0 && sum > 0) factors[q] = std::max(alone / sum, kLeast);
    }
    for (std::size_t g = 0; g < model.groups.size(); ++g) {
        const bool embedding = model.groups[g]->layer == kEmbedding;
        for (std::size_t q = 0; q < model.costs.layers[g].size(); ++q)
            model.costs.layers[g][q][2] = model.groups[g]->probes[columns[q]].kld * (embedding ? 1 : factors[q]);
    }
    double logs = 0;
    double count = 0;
    for (const MixedModel& mix : profile.mixes) {
        double predicted = model.costs.fixed[2];
        for (std::size_t g = 0; g < model.groups.size(); ++g) {
            const std::size_t q = column_of(model, type_in(mix.allocation, model.groups[g]->layer));
            predicted += q < model.costs.layers[g].size() ? model.costs.layers[g][q][2] : std::nan("");
        }
        const Quality& quality = mix.measurement.quality;
        if (quality.kld_tokens == 0 || quality.kld <= 0 || !(predicted > 0)) continue;
        logs += std::log(quality.kld / predicted);
        ++count;
    }
    if (count == 0) return;
    const double factor = std::exp(logs / count);
    model.costs.fixed[2] *= factor;
    for (auto& group : model.costs.layers)
        for (Metrics& cost : group) cost[2] *= factor;
}

/// Least squares through the uniform types. How far a perplexity strays from the line grows with the KL divergence (its
/// variance is about twice the divergence per token), so small ones count more.
void fit_perplexity(Model& model, double embedding_kld, std::size_t groups)
{
    std::vector<std::array<double, 3>> points;  // KL divergence, ln perplexity, weight
    double mean_kld = 0;
    double mean_log = 0;
    double total = 0;
    for (std::size_t q = 0; q < model.types.size(); ++q) {
        double kld = embedding_kld;
        for (std::size_t g = 0; g < groups; ++g) kld += model.costs.layers[g][q][2];
        const double weight = 1 / (kld + 1e-6);
        points.push_back({kld, std::log(model.types[q]->measurement.quality.perplexity), weight});
        mean_kld += weight * kld;
        mean_log += weight * points.back()[1];
        total += weight;
    }
    mean_kld /= total;
    mean_log /= total;
    double covariance = 0;
    double variance = 0;
    for (const auto& [kld, log, weight] : points) {
        covariance += weight * (kld - mean_kld) * (log - mean_log);
        variance += weight * (kld - mean_kld) * (kld - mean_kld);
    }
    model.slope = variance > 0 ? std::max(0.0, covariance / variance) : 0;
    model.intercept = mean_log - model.slope * mean_kld;
}

/// Memory is exact, latency and KL divergence are sums over groups.
Result<Model> make_model(const Profile& profile, const Sensitivity& sensitivity, bool mix_embedding)
{
    if (auto fit = check(profile, sensitivity); !fit) return std::unexpected(fit.error());
    if (mix_embedding && sensitivity.embedding.probes.empty())
        return usage_error("plan: the sensitivity does not tell what the embedding suffers: run sense again");
    std::vector<std::pair<const UniformVariant*, std::size_t>> shared;  // and its column in the sensitivity
    for (const UniformVariant& variant : profile.types) {
        const auto place = std::ranges::find(sensitivity.types, variant.type);
        if (place == sensitivity.types.end()) continue;
        shared.emplace_back(&variant, static_cast<std::size_t>(place - sensitivity.types.begin()));
    }
    if (shared.empty()) return fail("plan: the profile and the sensitivity have no type in common");
    // Types that the embedding cannot have come last, so that it simply has fewer of them.
    const auto suits_embedding = [&](const auto& entry) { return sensitivity.embedding.probes[entry.second].memory_bytes > 0; };
    auto most = shared.end();
    if (mix_embedding) most = std::ranges::stable_partition(shared, suits_embedding).begin();
    const auto embedding_types = static_cast<std::size_t>(most - shared.begin());
    mix_embedding = mix_embedding && embedding_types > 0;

    Model model;
    std::vector<std::size_t> columns;
    for (const auto& [variant, column] : shared) {
        model.types.push_back(variant);
        columns.push_back(column);
    }
    for (const LayerSensitivity& layer : sensitivity.layers) {
        if (layer.parameters == 0) return fail("plan: the sensitivity's {} has no weights", layer.layer);
        model.groups.push_back(&layer);
    }
    if (mix_embedding) model.groups.push_back(&sensitivity.embedding);
    model.costs.fixed = {static_cast<double>(sensitivity.fixed_bytes), 0, sensitivity.embedding_kld};
    if (mix_embedding) model.costs.fixed = {static_cast<double>(sensitivity.fixed_bytes - sensitivity.embedding_bytes), 0, 0};
    for (const LayerSensitivity* group : model.groups) {
        const std::size_t types = group == &sensitivity.embedding ? embedding_types : columns.size();
        model.costs.layers.emplace_back(types);
        for (std::size_t q = 0; q < types; ++q)
            model.costs.layers.back()[q][0] = static_cast<double>(group->probes[columns[q]].memory_bytes);
    }
    add_latencies(model, profile, sensitivity.embedding_type);
    add_divergences(model, profile, sensitivity, columns);
    fit_perplexity(model, sensitivity.embedding_kld, sensitivity.layers.size());
    return model;
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
    plan.latency_error = model.latency_error;
    for (std::size_t g = 0; g < point.types.size(); ++g)
        plan.allocation.push_back({model.groups[g]->layer, plan.types[point.types[g]]});
    for (const UniformVariant* variant : model.types) {
        for (const Fallback& entry : variant->fallbacks) {
            const auto has_it = [&](const LayerType& l) { return layer_of(l.layer) == entry.layer && l.type == variant->type; };
            const bool embedding = entry.layer.empty() && variant == model.types.front();
            if (embedding || std::ranges::any_of(plan.allocation, has_it)) plan.fallbacks.push_back(entry);
        }
    }
    return plan;
}

/// A metric as TOPSIS compares it, on the scale of `ranking`.
double weighted(const Weights& weights, const Ranking& ranking, const Metrics& metrics, std::size_t j)
{
    return ranking.norm[j] > 0 ? weights[j] * metrics[j] / ranking.norm[j] : 0;
}

/// To the ideal, and to the anti-ideal.
std::pair<double, double> distances(const Weights& weights, const Ranking& ranking, const Metrics& metrics)
{
    double to_ideal = 0;
    double to_anti_ideal = 0;
    for (std::size_t j = 0; j < kMetrics; ++j) {
        const double value = weighted(weights, ranking, metrics, j);
        to_ideal += (value - ranking.ideal[j]) * (value - ranking.ideal[j]);
        to_anti_ideal += (value - ranking.anti_ideal[j]) * (value - ranking.anti_ideal[j]);
    }
    return {std::sqrt(to_ideal), std::sqrt(to_anti_ideal)};
}

}  // namespace

double limit_excess(const Limits& limits, const Metrics& metrics, double perplexity_increase, std::uint64_t kv_bytes_per_token)
{
    const double kv_bytes = static_cast<double>(limits.context) * static_cast<double>(kv_bytes_per_token);
    double most = 0;
    if (limits.memory_bytes) most = std::max(most, (metrics[0] + kv_bytes) / static_cast<double>(*limits.memory_bytes));
    if (limits.latency_ms) most = std::max(most, metrics[1] / *limits.latency_ms);
    if (limits.kld) most = std::max(most, metrics[2] / *limits.kld);
    if (limits.perplexity_increase) most = std::max(most, perplexity_increase / *limits.perplexity_increase);
    return most;
}

Result<Plan> make_front_plan(const Profile& profile, const Sensitivity& sensitivity, const Weights& weights,
                             const Limits& limits, Normalization normalization, std::size_t runners_up, bool mix_embedding)
{
    const auto model = make_model(profile, sensitivity, mix_embedding);
    if (!model) return std::unexpected(model.error());
    if (std::ranges::any_of(weights, [](double weight) { return !std::isfinite(weight) || weight < 0; }) ||
        std::ranges::all_of(weights, [](double weight) { return weight == 0; })) {
        return usage_error("plan: the weights must be 0 or more, and not all 0");
    }
    if (limits.context > 0 && sensitivity.kv_bytes_per_token == 0)
        return usage_error("plan: the size of this model's KV cache is not known, so it cannot be counted as memory");
    const double kv_bytes = static_cast<double>(limits.context) * static_cast<double>(sensitivity.kv_bytes_per_token);
    const auto front = pareto_front(model->costs);
    if (!front) return std::unexpected(front.error());

    // The scale of the whole front: limits must not change how its metrics compare.
    Ranking ranking{.candidates = static_cast<double>(front->points.size())};
    for (std::size_t j = 0; j < kMetrics; ++j) {
        const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
        const auto [low, high] = std::ranges::minmax(front->points | std::views::transform(cost));
        double squares = 0;
        for (const FrontPoint& point : front->points) squares += point.cost[j] * point.cost[j];
        ranking.norm[j] = normalization == Normalization::minmax ? high - low : std::sqrt(squares);
    }
    std::vector<std::size_t> feasible;
    std::size_t nearest = 0;
    double nearest_excess = std::numeric_limits<double>::infinity();
    for (std::size_t p = 0; p < front->points.size(); ++p) {
        const Metrics& cost = front->points[p].cost;
        const double over = limit_excess(limits, cost, std::expm1(model->slope * cost[2]), sensitivity.kv_bytes_per_token);
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
                "raise a limit, or offer more types",
                closest.estimate[0] + kv_bytes, kv_bytes > 0 ? " with KV cache" : "", closest.estimate[1], closest.kld,
                closest.estimate[2], 100 * (nearest_excess - 1))});
    }

    ranking.ideal.fill(std::numeric_limits<double>::infinity());
    ranking.anti_ideal.fill(-std::numeric_limits<double>::infinity());
    for (const std::size_t p : feasible) {
        for (std::size_t j = 0; j < kMetrics; ++j) {
            const double value = weighted(weights, ranking, front->points[p].cost, j);
            ranking.ideal[j] = std::min(ranking.ideal[j], value);
            ranking.anti_ideal[j] = std::max(ranking.anti_ideal[j], value);
        }
    }
    std::vector<Candidate> ranked;
    std::vector<std::size_t> order(feasible.size());
    std::iota(order.begin(), order.end(), 0);
    for (const std::size_t p : feasible) {
        Candidate candidate = candidate_of(front->points[p], *model);
        std::tie(candidate.distance_ideal, candidate.distance_anti_ideal) = distances(weights, ranking, front->points[p].cost);
        candidate.closeness = closeness(candidate.distance_ideal, candidate.distance_anti_ideal);
        ranked.push_back(std::move(candidate));
    }
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return ranked[a].closeness > ranked[b].closeness; });

    Plan plan = plan_of(profile, sensitivity, *model, front->points[feasible[order.front()]]);
    plan.weights = weights;
    plan.limits = limits;
    plan.epsilon = front->epsilon;
    plan.ranking = std::move(ranking);
    for (std::size_t r = 0; r < std::min(order.size(), runners_up + 1); ++r) plan.ranking.best.push_back(ranked[order[r]]);
    return plan;
}

double closeness_of(const Plan& plan, const Metrics& metrics)
{
    const auto [to_ideal, to_anti_ideal] = distances(plan.weights, plan.ranking, metrics);
    return closeness(to_ideal, to_anti_ideal);
}

Result<PlannedFront> plan_front(const Profile& profile, const Sensitivity& sensitivity, bool mix_embedding)
{
    const auto model = make_model(profile, sensitivity, mix_embedding);
    if (!model) return std::unexpected(model.error());
    const auto front = pareto_front(model->costs);
    if (!front) return std::unexpected(front.error());
    PlannedFront planned{.types = {}, .layers = {}, .candidates = {}, .allocations = {}, .slope = model->slope};
    for (const UniformVariant* variant : model->types) planned.types.push_back(variant->type);
    for (const LayerSensitivity* group : model->groups) planned.layers.push_back(group->layer);
    for (const FrontPoint& point : front->points) {
        planned.candidates.push_back(candidate_of(point, *model));
        planned.allocations.push_back(point.types);
    }
    return planned;
}

Result<std::vector<Plan>> make_spread(const Profile& profile, const Sensitivity& sensitivity, const Metrics& reference,
                                      std::size_t count, bool mix_embedding)
{
    const auto model = make_model(profile, sensitivity, mix_embedding);
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
