#include "decide/names.h"

#include <apreqel/distributions.h>
#include <apreqel/plan.h>
#include <apreqel/quant_type.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace apreqel {
namespace {

Result<> check(const Profile& profile, const Scores& scores)
{
    const ModelProfile& model = profile.model;
    if (model.types.empty()) return fail("plan: the profile has no types");
    if (scores.layers.empty()) return fail("plan: the scores have no layers");
    if (!model.model.empty() && !scores.model.empty() && model.model != scores.model) {
        return fail("plan: the profile is of model {} ({}), the scores are of {} ({})", model.model_name, model.model,
                    scores.model_name, scores.model);
    }
    if (model.layers != scores.layers.size())
        return fail("plan: the profile is of {} layers, the scores are of {}", model.layers, scores.layers.size());
    std::set<std::string_view> seen;
    for (const UniformVariant& variant : model.types) {
        if (!is_type_name(variant.type))
            return fail("plan: the profile has a type \"{}\", which is no name of one", variant.type);
        if (!seen.insert(variant.type).second) return fail("plan: the profile has type {} twice", variant.type);
        if (variant.quality.perplexity == 0) {
            return std::unexpected(Error{ErrorCode::failed,
                                         std::format("plan: the profile's {} has no perplexity, which the paper's method "
                                                     "chooses by",
                                                     variant.type),
                                         "measure it: apreqel profile, without --shape; or plan with --method front"});
        }
        const Metrics metrics = metrics_of(measurement_of(profile, variant.type));
        for (const std::size_t c : paper_objectives()) {
            if (std::isfinite(metrics[c]) && metrics[c] > 0) continue;
            return fail("plan: the profile's {} has no {}, it must be a positive number", variant.type, criteria()[c].field);
        }
        if (!std::isfinite(variant.bits_per_weight) || variant.bits_per_weight <= 0)
            return fail("plan: the profile's {} has no bits_per_weight, it must be a positive number", variant.type);
    }
    seen.clear();
    for (const LayerScore& layer : scores.layers) {
        if (!is_layer_name(layer.layer))
            return fail("plan: the scores have a layer \"{}\", layers are named blk.N.attn and blk.N.ffn", layer.layer);
        if (!seen.insert(layer.layer).second) return fail("plan: the scores have layer {} twice", layer.layer);
        if (!std::isfinite(layer.score) || !std::isfinite(layer.mean_similarity))
            return fail("plan: the score of {} is not a finite number", layer.layer);
    }
    return {};
}

/// The fallbacks of the chosen types that concern tensors of their layers, and those of embeddings.
std::vector<Fallback> fallbacks_of(const ModelProfile& model, const std::vector<GroupType>& allocation)
{
    std::vector<Fallback> fallbacks;
    for (const UniformVariant& variant : model.types) {
        for (const Fallback& entry : variant.fallbacks) {
            const auto has_it = [&](const GroupType& l) { return l.group == entry.group && l.type == variant.type; };
            const bool embedding = entry.group.empty() && &variant == &model.types.front();  // the same in every variant
            if (embedding || std::ranges::any_of(allocation, has_it)) fallbacks.push_back(entry);
        }
    }
    return fallbacks;
}

}  // namespace

std::string_view method_name(Method method) { return method == Method::front ? "front" : "paper"; }

Result<Method> parse_method(std::string_view name)
{
    for (const Method method : {Method::paper, Method::front})
        if (method_name(method) == name) return method;
    return usage_error("there is no method \"{}\": paper or front", name);
}

Result<Plan> make_plan(const Profile& profile, const Scores& scores, const PlanRequest& request)
{
    if (auto fit = check(profile, scores); !fit) return std::unexpected(fit.error());
    const ModelProfile& model = profile.model;
    Plan plan{.model = model.model.empty() ? scores.model : model.model,
              .model_name = model.model_name.empty() ? scores.model_name : model.model_name,
              .text = model.text,
              .device = profile.device.device,
              .request = request,
              .objectives = paper_objectives(),
              .costs = type_metrics(profile),
              .embedding_type = model.embedding_type};
    std::vector<double> bits;
    std::vector<Costs> costs;
    for (std::size_t q = 0; q < model.types.size(); ++q) {
        plan.types.push_back(model.types[q].type);
        bits.push_back(model.types[q].bits_per_weight);
        costs.push_back(columns_of(plan.costs[q], plan.objectives));
    }
    auto ranked = rank_distributions(model.layers, costs, columns_of(request.weights, plan.objectives), request.runners_up + 1);
    if (!ranked) return std::unexpected(ranked.error());
    plan.ranking = {.candidates = ranked->candidates, .scale = std::move(ranked->scale), .best = {}};
    for (RankedDistribution& distribution : ranked->best) {
        plan.ranking.best.push_back({.counts = std::move(distribution.counts),
                                     .closeness = distribution.closeness,
                                     .distance_ideal = distribution.distance_ideal,
                                     .distance_anti_ideal = distribution.distance_anti_ideal});
        for (std::size_t column = 0; column < plan.objectives.size(); ++column)
            plan.ranking.best.back().estimate[plan.objectives[column]] = distribution.estimate[column];
    }

    const std::vector<std::size_t> types = allocate(plan.chosen().counts, bits, order_by_contribution(scores.layers));
    for (std::size_t l = 0; l < types.size(); ++l) plan.allocation.push_back({scores.layers[l].layer, plan.types[types[l]]});
    plan.fallbacks = fallbacks_of(model, plan.allocation);
    return plan;
}

Result<std::string> tensor_type_file(const Plan& plan)
{
    // llama-quantize takes the first pattern that matches anywhere in a tensor's name. What is not FFN is attention.
    std::string lines;
    for (const GroupType& entry : plan.allocation) {
        const std::string type = entry.type.substr(0, entry.type.find('+'));  // the importance matrix is its --imatrix
        if (!is_group_name(entry.group)) return fail("write tensor types: \"{}\" is no name of a layer", entry.group);
        if (type == kSource)
            return fail("write tensor types: {} stays as it is in the source, which llama-quantize cannot be told",
                        entry.group);
        if (const auto known = parse_type(type); !known) return std::unexpected(known.error());
        if (entry.group == kEmbedding) {
            lines += std::format("^(?!blk\\.)={}\n", type);
            continue;
        }
        const std::size_t dot = entry.group.find('.', 4);
        const std::string block = entry.group.substr(4, dot - 4);
        std::string roles = entry.group.substr(dot + 1);
        if (roles == "ffn") {
            roles = "(ffn|channel_mix)_";
        } else if (roles == "attn") {
            roles = "(?!(ffn|channel_mix)_)";
        } else {
            std::string pattern;
            for (const char c : roles) pattern += c == '.' ? "\\." : c == '+' ? "|" : std::string(1, c);
            roles = std::format("({})\\.weight", pattern);
        }
        lines += std::format("^blk\\.{}\\.{}={}\n", block, roles, type);
    }
    return lines;
}

}  // namespace apreqel
