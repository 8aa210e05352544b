#include "decide/names.h"

#include <apreqel/plan.h>
#include <apreqel/quant_type.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace apreqel {
namespace {

Result<> check(const Profile& profile, const Scores& scores)
{
    if (profile.types.empty()) return fail("plan: the profile has no types");
    if (scores.layers.empty()) return fail("plan: the scores have no layers");
    if (!profile.model.empty() && !scores.model.empty() && profile.model != scores.model) {
        return fail("plan: the profile is of model {} ({}), the scores are of {} ({})", profile.model_name, profile.model,
                    scores.model_name, scores.model);
    }
    if (profile.layers != scores.layers.size()) {
        return fail("plan: the profile is of {} layers, the scores are of {}", profile.layers, scores.layers.size());
    }
    std::set<std::string_view> seen;
    for (const UniformVariant& variant : profile.types) {
        if (!is_type_name(variant.type))
            return fail("plan: the profile has a type \"{}\", which is no name of one", variant.type);
        if (!seen.insert(variant.type).second) return fail("plan: the profile has type {} twice", variant.type);
        const Measurement& measured = variant.measurement;
        const auto positive = [&](const char* field, double value) -> Result<> {
            if (std::isfinite(value) && value > 0) return {};
            return fail("plan: the profile's {}: {} is {}, it must be a positive number", variant.type, field, value);
        };
        if (auto ok = positive("memory_bytes", static_cast<double>(measured.memory_bytes)); !ok) return ok;
        if (auto ok = positive("latency_ms", measured.speed.latency_ms.median); !ok) return ok;
        if (auto ok = positive("perplexity", measured.quality.perplexity); !ok) return ok;
        if (auto ok = positive("bits_per_weight", variant.bits_per_weight); !ok) return ok;
    }
    seen.clear();
    for (const LayerScore& layer : scores.layers) {
        if (!is_layer_name(layer.layer)) {
            return fail("plan: the scores have a layer \"{}\", layers are named blk.N.attn and blk.N.ffn", layer.layer);
        }
        if (!seen.insert(layer.layer).second) return fail("plan: the scores have layer {} twice", layer.layer);
        if (!std::isfinite(layer.score) || !std::isfinite(layer.mean_similarity))
            return fail("plan: the score of {} is not a finite number", layer.layer);
    }
    return {};
}

/// The fallbacks of the chosen types that concern tensors of their layers, and those of embeddings.
std::vector<Fallback> fallbacks_of(const Profile& profile, const std::vector<LayerType>& allocation)
{
    std::vector<Fallback> fallbacks;
    for (const UniformVariant& variant : profile.types) {
        for (const Fallback& entry : variant.fallbacks) {
            const auto has_it = [&](const LayerType& l) { return l.layer == entry.layer && l.type == variant.type; };
            const bool embedding = entry.layer.empty() && &variant == &profile.types.front();  // the same in every variant
            if (embedding || std::ranges::any_of(allocation, has_it)) fallbacks.push_back(entry);
        }
    }
    return fallbacks;
}

}  // namespace

Metrics metrics_of(const Measurement& measurement)
{
    return {static_cast<double>(measurement.memory_bytes), measurement.speed.latency_ms.median, measurement.quality.perplexity};
}

Result<Plan> make_plan(const Profile& profile, const Scores& scores, const Weights& weights, std::size_t runners_up)
{
    if (auto fit = check(profile, scores); !fit) return std::unexpected(fit.error());
    Plan plan{.model = profile.model.empty() ? scores.model : profile.model,
              .model_name = profile.model_name.empty() ? scores.model_name : profile.model_name,
              .weights = weights,
              .embedding_type = profile.embedding_type};
    std::vector<double> bits;
    for (const UniformVariant& variant : profile.types) {
        plan.types.push_back(variant.type);
        bits.push_back(variant.bits_per_weight);
        plan.costs.push_back(metrics_of(variant.measurement));
    }
    auto ranking = rank_distributions(profile.layers, plan.costs, weights, runners_up + 1);
    if (!ranking) return std::unexpected(ranking.error());
    plan.ranking = std::move(*ranking);

    const std::vector<std::size_t> types = allocate(plan.chosen().counts, bits, order_by_contribution(scores.layers));
    for (std::size_t l = 0; l < types.size(); ++l) plan.allocation.push_back({scores.layers[l].layer, plan.types[types[l]]});
    plan.fallbacks = fallbacks_of(profile, plan.allocation);
    return plan;
}

Result<std::string> tensor_type_file(const Plan& plan)
{
    // llama-quantize takes the first pattern that matches anywhere in a tensor's name. What is not FFN is attention.
    std::string lines;
    for (const LayerType& entry : plan.allocation) {
        const std::string type = entry.type.substr(0, entry.type.find('+'));  // the importance matrix is its --imatrix
        if (!is_group_name(entry.layer)) return fail("write tensor types: \"{}\" is no name of a layer", entry.layer);
        if (const auto known = parse_type(type); !known) return std::unexpected(known.error());
        if (entry.layer == kEmbedding) {
            lines += std::format("^(?!blk\\.)={}\n", type);
            continue;
        }
        const std::size_t dot = entry.layer.rfind('.');
        const std::string block = entry.layer.substr(4, dot - 4);
        std::string roles = entry.layer.substr(dot + 1);
        if (roles == "ffn") {
            roles = "ffn_";
        } else if (roles == "attn") {
            roles = "(?!ffn_)";
        } else {
            std::ranges::replace(roles, '+', '|');
            roles = std::format("({})\\.weight", roles);
        }
        lines += std::format("^blk\\.{}\\.{}={}\n", block, roles, type);
    }
    return lines;
}

}  // namespace apreqel
