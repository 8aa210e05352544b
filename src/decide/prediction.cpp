#include "decide/prediction.h"

#include "decide/latency.h"
#include "decide/names.h"

#include <apreqel/statistics.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

namespace apreqel {
namespace {

Result<> check(const Profile& profile, const Sensitivity& sensitivity)
{
    const ModelProfile& model = profile.model;
    if (!model.model.empty() && !sensitivity.model.empty() && model.model != sensitivity.model) {
        return fail("plan: the profile is of model {} ({}), the sensitivity is of {} ({})", model.model_name, model.model,
                    sensitivity.model_name, sensitivity.model);
    }
    std::set<std::string_view> seen;
    std::set<std::string_view> layers;
    for (const GroupSensitivity& group : sensitivity.groups) {
        if (!is_group_name(group.group))
            return fail("plan: the sensitivity has a group \"{}\", groups are named blk.N.attn, blk.N.ffn or by their tensors",
                        group.group);
        if (!seen.insert(group.group).second) return fail("plan: the sensitivity has {} twice", group.group);
        if (group.parameters == 0) return fail("plan: the sensitivity's {} has no weights", group.group);
        if (group.probes.size() != sensitivity.types.size())
            return fail("plan: the sensitivity's {} has {} probes, not one for each type", group.group, group.probes.size());
        const bool fixed = !group.fixed_type.empty();
        if (fixed && !std::ranges::contains(sensitivity.types, group.fixed_type))
            return fail("plan: the sensitivity's {} is fixed to {}, which is none of its types", group.group, group.fixed_type);
        if (!group.layer.empty()) layers.insert(group.layer);
    }
    if (layers.empty()) return fail("plan: the sensitivity has no layers");
    if (model.layers != layers.size())
        return fail("plan: the profile is of {} layers, the sensitivity is of {}", model.layers, layers.size());
    const auto embedding = std::ranges::find(sensitivity.groups, kEmbedding, &GroupSensitivity::group);
    const bool known = embedding != sensitivity.groups.end() && !model.embedding_type.empty();
    if (known && embedding->fixed_type != model.embedding_type) {
        return fail("plan: the profile has embeddings in {}, the sensitivity has them in {}", model.embedding_type,
                    embedding->fixed_type);
    }
    for (const UniformVariant& variant : model.types) {
        if (!is_type_name(variant.type))
            return fail("plan: the profile has a type \"{}\", which is no name of one", variant.type);
        const Metrics metrics = metrics_of(measurement_of(profile, variant.type));
        for (const std::size_t c : paper_objectives()) {
            if (c == kPerplexity && variant.quality.perplexity == 0) continue;  // not known: the sensitivity must do
            if (std::isfinite(metrics[c]) && metrics[c] > 0) continue;
            return fail("plan: the profile's {} has no {}, it must be a positive number", variant.type, criteria()[c].field);
        }
    }
    return {};
}

/// What is searched by: the usual three, and every other time and place that has a weight or a limit; memory as a whole only if it has,
/// where its places are limited. In the order of the criteria, so that the divergence is last, which spans orders of magnitude.
Objectives objectives_of(const PlanRequest& request)
{
    Objectives objectives;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        const bool asked = request.weights[c] > 0 || request.limits.most[c] < kUnlimited;
        const bool usual = std::ranges::contains(front_objectives(), c) && (c != kMemory || !limits_places(request.limits));
        const Composition composition = criteria()[c].composition;
        if (usual || (asked && (composition == Composition::timed || composition == Composition::counted)))
            objectives.push_back(c);
    }
    return objectives;
}

/// The type a mix gives to `group`: its own entry, or that of its layer, or what it has anyway.
std::string_view type_in(const std::vector<GroupType>& allocation, const GroupSensitivity& group)
{
    std::string_view type = group.fixed_type;
    for (const GroupType& entry : allocation) {
        if (entry.group == group.group) return entry.type;
        if (entry.group == group.layer) type = entry.type;
    }
    return type;
}

/// The type of `group` in the uniform variant of `type`.
std::string_view type_in(std::string_view type, const GroupSensitivity& group)
{
    return group.fixed_type.empty() ? type : group.fixed_type;
}

std::size_t index_of(const std::vector<std::string>& names, std::string_view name)
{
    return static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
}

const std::vector<double>& samples_of(const Speed& speed, const Criterion& criterion)
{
    if (&criterion == &criteria()[kEnergy]) return speed.energy.joules.samples;
    if (&criterion == &criteria()[kPromptLatency]) return speed.prompt_tokens_per_second.samples;
    return speed.latency_ms.samples;
}

/// What one type of a part of the KV cache costs; NaN where it was not measured. A time that cannot be told from that of the usual
/// type is the same: of many types one is always the fastest by chance.
double cost_of(const std::vector<CacheCost>& part, std::size_t type, const Criterion& criterion)
{
    switch (criterion.composition) {
        case Composition::counted: return static_cast<double>(part[type].bytes);
        case Composition::timed: {
            const auto& own = samples_of(part[type].speed, criterion);
            const auto& usual = samples_of(part.front().speed, criterion);
            const bool apart = own.empty() || usual.empty() || tell_apart(own, usual);
            return criterion.of({.speed = part[apart ? type : 0].speed}, {});
        }
        case Composition::probed: return part[type].kld;
        case Composition::consequence: break;
    }
    return kUnknown;
}

class Predictor {
public:
    Predictor(const Profile& profile, const Sensitivity& sensitivity, std::span<const MixedModel> measured)
        : profile_(profile), sensitivity_(sensitivity), measured_(measured)
    {
    }

    Result<Prediction> make(const PlanRequest& request)
    {
        prediction_.objectives = objectives_of(request);
        for (const UniformVariant& variant : profile_.model.types)
            if (std::ranges::contains(sensitivity_.types, variant.type)) prediction_.types.push_back(variant.type);
        if (prediction_.types.empty()) return fail("plan: the profile and the sensitivity have no type in common");
        if (auto chosen = choose_groups(request.mix_embedding); !chosen) return std::unexpected(chosen.error());
        for (std::size_t column = 0; column < prediction_.counted.size(); ++column) {
            const std::size_t c = prediction_.counted[column];
            if (auto added = add_cache(prediction_.bytes, column, c); !added) return std::unexpected(added.error());
            add_bytes(prediction_.bytes, column, c);
        }
        for (std::size_t column = 0; column < prediction_.objectives.size(); ++column) {
            const std::size_t c = prediction_.objectives[column];
            if (auto added = add_cache(prediction_.costs, column, c); !added) return std::unexpected(added.error());
            switch (criteria()[c].composition) {
                case Composition::counted:
                    if (!std::ranges::contains(prediction_.counted, c))
                        return usage_error(
                            "plan: the profile does not tell what is on accelerators, so {} is not known: run chooses that",
                            criteria()[c].name);
                    add_bytes(prediction_.costs, column, c);
                    break;
                case Composition::timed:
                    if (auto added = add_times(column, criteria()[c]); !added) return std::unexpected(added.error());
                    break;
                case Composition::probed: add_divergences(column); break;
                case Composition::consequence: break;  // follows from another column
            }
        }
        fit_perplexity();
        return std::move(prediction_);
    }

private:
    [[nodiscard]] const Probe& probe(const GroupSensitivity& group, std::string_view type) const
    {
        return group.probes[index_of(sensitivity_.types, type)];
    }

    /// What `group` is stored as where a model gives it `type`: a type that it cannot have leaves it as it is.
    [[nodiscard]] std::string_view stored_as(const GroupSensitivity& group, std::string_view type) const
    {
        const bool known = std::ranges::contains(sensitivity_.types, type) && std::ranges::contains(prediction_.types, kSource);
        return known && probe(group, type).memory_bytes == 0 ? kSource : type;
    }

    /// Groups choose, or have what they are fixed to: then they are part of what all models cost.
    Result<> choose_groups(bool free_fixed)
    {
        for (const GroupSensitivity& group : sensitivity_.groups) {
            std::vector<std::uint8_t> choices;
            for (std::size_t q = 0; q < prediction_.types.size(); ++q)
                if (probe(group, prediction_.types[q]).memory_bytes > 0) choices.push_back(static_cast<std::uint8_t>(q));
            const bool fixed = !group.fixed_type.empty() && (!free_fixed || choices.empty());
            if (!fixed && choices.empty()) return fail("plan: {} can have none of the types to choose from", group.group);
            if (fixed) {
                fixed_.push_back(&group);
                continue;
            }
            prediction_.groups.push_back(&group);
            prediction_.choices.push_back(std::move(choices));
        }
        if (profile_.cache) prediction_.caches = {&profile_.cache->keys, &profile_.cache->values};
        prediction_.counted = {kMemory};
        if (profile_.device.offload) prediction_.counted.append_range(std::array{kGpuMemory, kMainMemory});
        prediction_.costs = no_costs(prediction_.objectives.size());
        prediction_.bytes = no_costs(prediction_.counted.size());
        return {};
    }

    /// Of as many columns, for all groups in all their types.
    [[nodiscard]] AdditiveCosts no_costs(std::size_t columns) const
    {
        AdditiveCosts costs{.fixed = Costs(columns), .groups = {}};
        for (const auto& choices : prediction_.choices) costs.groups.emplace_back(choices.size(), Costs(columns));
        for (const auto* part : prediction_.caches) costs.groups.emplace_back(part->size(), Costs(columns));
        return costs;
    }

    /// Keys and values each cost what their type does beside the cheapest one. What both cost then is part of every model; the
    /// usual cache is so already, but for its bytes, and is counted in both.
    Result<> add_cache(AdditiveCosts& all, std::size_t column, std::size_t c)
    {
        const Criterion& criterion = criteria()[c];
        double& fixed = all.fixed[column];
        for (std::size_t p = 0; p < prediction_.caches.size(); ++p) {
            const std::vector<CacheCost>& part = *prediction_.caches[p];
            std::vector<double> costs;
            for (std::size_t i = 0; i < part.size(); ++i) costs.push_back(cost_of(part, i, criterion) * cache_share(c));
            if (std::ranges::any_of(costs, [](double cost) { return std::isnan(cost); }))
                return usage_error("plan: the {} of the types of the KV cache was not measured", criterion.name);
            const double least = std::ranges::min(costs);
            for (std::size_t i = 0; i < costs.size(); ++i)
                all.groups[prediction_.groups.size() + p][i][column] = costs[i] - least;
            const bool counted = criterion.composition == Composition::counted;
            fixed += least - (counted && p == 0 ? 0 : costs.front());
        }
        return {};
    }

    /// What a model's KV cache costs beside the usual one; 0 if its types are not among those known.
    [[nodiscard]] double cache_excess(const Measurement& model, const Criterion& criterion) const
    {
        if (!model.cache) return 0;
        double excess = 0;
        for (std::size_t p = 0; p < prediction_.caches.size(); ++p) {
            const std::vector<CacheCost>& part = *prediction_.caches[p];
            const std::string& type = p == 0 ? model.cache->types.keys : model.cache->types.values;
            const auto known = static_cast<std::size_t>(std::ranges::find(part, type, &CacheCost::type) - part.begin());
            if (known < part.size()) excess += cost_of(part, known, criterion) - cost_of(part, 0, criterion);
        }
        return excess;
    }

    /// Calls `f(group, type, cost)` for each type each group can have.
    template <class F>
    void for_each_choice(AdditiveCosts& costs, std::size_t column, F f)
    {
        for (std::size_t g = 0; g < prediction_.groups.size(); ++g) {
            for (std::size_t i = 0; i < prediction_.choices[g].size(); ++i)
                f(*prediction_.groups[g], prediction_.types[prediction_.choices[g][i]], costs.groups[g][i][column]);
        }
    }

    /// Of all weights, or of those in one place.
    void add_bytes(AdditiveCosts& costs, std::size_t column, std::size_t c)
    {
        const std::optional<Offload>& offload = profile_.device.offload;
        const double on_gpu = offload ? static_cast<double>(offload->fixed_bytes) : 0;
        const auto all = static_cast<double>(sensitivity_.fixed_bytes);
        double& fixed = costs.fixed[column];
        fixed += c == kMemory ? all : c == kGpuMemory ? on_gpu : all - on_gpu;
        for (const GroupSensitivity* group : fixed_)
            fixed += share_of(*group, c) * static_cast<double>(probe(*group, group->fixed_type).memory_bytes);
        for_each_choice(costs, column, [&](const GroupSensitivity& group, const std::string& type, double& cost) {
            cost = share_of(group, c) * static_cast<double>(probe(group, type).memory_bytes);
        });
    }

    /// Whether a group of a block is on accelerators.
    [[nodiscard]] bool is_offloaded(const GroupSensitivity& group) const
    {
        const auto block = block_number(group.group);
        return profile_.device.offload && block && *block >= profile_.device.offload->first_block;
    }

    /// How much of the bytes of a group count as the criterion's.
    [[nodiscard]] double share_of(const GroupSensitivity& group, std::size_t criterion) const
    {
        if (criterion == kMemory) return 1;
        const Offload& offload = *profile_.device.offload;
        const bool gpu = criterion == kGpuMemory;
        if (!block_number(group.group)) return gpu ? offload.embedding_gpu : offload.embedding_main;
        return is_offloaded(group) == gpu ? 1 : 0;
    }

    /// The same of the KV cache.
    [[nodiscard]] double cache_share(std::size_t criterion) const
    {
        const ContextMemory& context = profile_.device.context;
        if ((criterion != kGpuMemory && criterion != kMainMemory) || context.cache_bytes == 0) return 1;
        const double gpu = static_cast<double>(context.gpu_cache_bytes) / static_cast<double>(context.cache_bytes);
        return criterion == kGpuMemory ? gpu : 1 - gpu;
    }

    /// Where the group does its work: a type takes another time on an accelerator.
    [[nodiscard]] std::string part_of(const GroupSensitivity& group) const
    {
        return group.part + (is_offloaded(group) ? " on accelerators" : "");
    }

    /// A time adds up over groups, those that are fixed included: in each part and type it goes with the weights. What that is per
    /// part and type is fitted to the uniform types and the mixes; where they do not tell, a weight takes the same time anywhere.
    Result<> add_times(std::size_t column, const Criterion& criterion)
    {
        std::vector<std::string> types = prediction_.types;  // and those that groups are fixed to in the uniform variants
        std::vector<std::string> parts;
        std::vector<double> weights;
        for (const GroupSensitivity& group : sensitivity_.groups) {
            if (!group.fixed_type.empty() && !std::ranges::contains(types, group.fixed_type)) types.push_back(group.fixed_type);
            const std::size_t part = index_of(parts, part_of(group));
            if (part == parts.size()) {
                parts.push_back(part_of(group));
                weights.push_back(0);
            }
            weights[part] += static_cast<double>(group.parameters);
        }
        const auto place = [&](const GroupSensitivity& group, std::string_view type) {
            return index_of(parts, part_of(group)) * types.size() + index_of(types, type);
        };
        const auto share = [&](const GroupSensitivity& group) {
            return static_cast<double>(group.parameters) / weights[index_of(parts, part_of(group))];
        };

        std::vector<TimedParts> timed;
        const auto add = [&](double time, bool mixed, auto type_of) {
            TimedParts row{.parts = std::vector<double>(parts.size() * types.size()), .latency_ms = time, .mixed = mixed};
            for (const GroupSensitivity& group : sensitivity_.groups) {
                const std::string_view type = stored_as(group, type_of(group));
                if (!std::ranges::contains(types, type)) return;  // it tells of a type that is not chosen from
                row.parts[place(group, type)] += share(group);
            }
            if (time > 0) timed.push_back(std::move(row));
        };
        std::vector<double> uniform;
        for (const std::string& type : prediction_.types) {
            uniform.push_back(criterion.of(measurement_of(profile_, type), {}));
            if (!(uniform.back() > 0)) return usage_error("plan: the {} of {} was not measured", criterion.name, type);
            add(uniform.back(), false, [&](const GroupSensitivity& group) { return type_in(type, group); });
        }
        const auto add_mix = [&](const std::vector<GroupType>& allocation, double time) {
            add(time, true, [&](const GroupSensitivity& group) { return type_in(allocation, group); });
        };
        for (const TimedModel& model : profile_.device.models)
            if (!model.allocation.empty()) add_mix(model.allocation, criterion.of({.speed = model.speed}, {}));
        for (const MixedModel& mix : measured_)
            add_mix(mix.allocation, criterion.of(mix.measurement, {}) - cache_excess(mix.measurement, criterion));

        const std::vector<double> whole = times_of_types(types, uniform);
        const double all = std::reduce(weights.begin(), weights.end());
        std::vector<double> expected;
        for (const double weight : weights)
            for (const double time : whole) expected.push_back(time * std::max(weight / all, 1e-3));
        const LatencyFit fit = fit_latency(timed, expected);
        if (&criterion == &criteria()[kLatency]) prediction_.latency_error = fit.error;
        for_each_choice(prediction_.costs, column, [&](const GroupSensitivity& group, const std::string& type, double& cost) {
            cost = share(group) * fit.parts[place(group, type)];
        });
        for (const GroupSensitivity* group : fixed_)
            prediction_.costs.fixed[column] += share(*group) * fit.parts[place(*group, group->fixed_type)];
        return {};
    }

    /// What a model would take that has each of `types` in every group, fixed ones too, if a weight took the same time anywhere.
    /// `uniform`: what the first of them take as they are. The others are taken for usual ones.
    [[nodiscard]] std::vector<double> times_of_types(const std::vector<std::string>& types,
                                                     const std::vector<double>& uniform) const
    {
        constexpr double kLeast = 0.1;  // of the uniform type's time, if a fixed group seems to take all of it
        std::vector<double> times = uniform;
        times.resize(types.size(), std::reduce(uniform.begin(), uniform.end()) / static_cast<double>(uniform.size()));
        const std::vector<double> as_fixed = times;  // in the uniform variant of its own type a fixed group is of that type too
        for (std::size_t q = 0; q < uniform.size(); ++q) {
            double all = 0;
            double free = 0;
            double others = 0;
            for (const GroupSensitivity& group : sensitivity_.groups) {
                const auto weights = static_cast<double>(group.parameters);
                const std::string_view stored = stored_as(group, type_in(types[q], group));
                const bool other = stored != types[q];
                all += weights;
                (other ? others : free) += weights * (other ? as_fixed[index_of(types, stored)] : 1);
            }
            if (free > 0) times[q] = std::max((uniform[q] * all - others) / free, kLeast * uniform[q]);
        }
        return times;
    }

    /// KL divergences add up over groups (facts: within 5 % up to about 1 nat), times one factor for each type, by which the
    /// whole model in that type differs from the sum of its probes: activations are rounded too, and errors common to all groups
    /// cancel. Where mixes were measured, one more factor says how far that was off for them.
    void add_divergences(std::size_t column)
    {
        constexpr double kLeast = 0.1;  // a type cannot be much better than its probes
        double fixed = 0;
        for (const GroupSensitivity* group : fixed_) fixed += probe(*group, group->fixed_type).kld;
        std::vector<double> factors;
        for (const std::string& type : prediction_.types) {
            double sum = 0;  // of the groups that are of this type in its uniform variant
            double others = 0;
            for (const GroupSensitivity& group : sensitivity_.groups)
                (group.fixed_type.empty() ? sum : others) += probe(group, type_in(type, group)).kld;
            const Quality quality = measurement_of(profile_, type).quality;
            const bool known = quality.kld_tokens > 0 && sum > 0;
            factors.push_back(known ? std::max((quality.kld - others) / sum, kLeast) : 1);
        }
        for_each_choice(prediction_.costs, column, [&](const GroupSensitivity& group, const std::string& type, double& cost) {
            cost = probe(group, type).kld * (group.fixed_type.empty() ? factors[index_of(prediction_.types, type)] : 1);
        });
        prediction_.costs.fixed[column] += fixed;
        scale_divergences(column, measured_factor(column));
    }

    /// How far the divergences of the measured mixes are from those predicted: the geometric mean.
    [[nodiscard]] double measured_factor(std::size_t column) const
    {
        double logs = 0;
        double count = 0;
        for (const MixedModel& mix : measured_) {
            const Quality& quality = mix.measurement.quality;
            const auto predicted = predicted_divergence(mix, column);
            if (!predicted || *predicted <= 0 || quality.kld_tokens == 0 || quality.kld <= 0) continue;
            logs += std::log(quality.kld / *predicted);
            ++count;
        }
        return count > 0 ? std::exp(logs / count) : 1;
    }

    [[nodiscard]] std::optional<double> predicted_divergence(const MixedModel& mix, std::size_t column) const
    {
        double sum = prediction_.costs.fixed[column] + cache_excess(mix.measurement, criteria()[kDivergence]);
        for (std::size_t g = 0; g < prediction_.groups.size(); ++g) {
            const std::size_t type =
                index_of(prediction_.types, stored_as(*prediction_.groups[g], type_in(mix.allocation, *prediction_.groups[g])));
            const auto choice = std::ranges::find(prediction_.choices[g], type);
            if (choice == prediction_.choices[g].end()) return std::nullopt;
            sum += prediction_.costs.groups[g][static_cast<std::size_t>(choice - prediction_.choices[g].begin())][column];
        }
        return sum;
    }

    void scale_divergences(std::size_t column, double factor)
    {
        prediction_.costs.fixed[column] *= factor;
        for (auto& choices : prediction_.costs.groups)
            for (Costs& costs : choices) costs[column] *= factor;
    }

    /// Least squares through what was measured whole: the uniform types, the mixes, and the full-precision model at 0, so that what
    /// is learnt of divergences moves the perplexities predicted. How far a perplexity strays from the line grows with the KL
    /// divergence (its variance is about twice the divergence per token), so small ones count more. Where nothing but the
    /// full-precision model was measured, ln perplexity grows by the divergence, as it does on text that follows that model's
    /// distribution: the mean of ln p − ln q under p is what KL divergence is.
    void fit_perplexity()
    {
        std::vector<std::array<double, 2>> points;  // KL divergence, ln perplexity
        const auto add = [&](const Quality& quality) {
            if (quality.perplexity > 0 && quality.kld_tokens > 0) points.push_back({quality.kld, std::log(quality.perplexity)});
        };
        for (const UniformVariant& variant : profile_.model.types) add(variant.quality);
        for (const MixedModel& mix : measured_) add(mix.measurement.quality);
        const double reference = profile_.model.reference.perplexity;
        if (reference > 0) points.push_back({0, std::log(reference)});
        if (points.empty()) {  // nothing was compared with full precision: the probes must do
            for (const std::string& type : prediction_.types) {
                double kld = 0;
                for (const GroupSensitivity& group : sensitivity_.groups) kld += probe(group, type_in(type, group)).kld;
                const double perplexity = measurement_of(profile_, type).quality.perplexity;
                if (perplexity > 0) points.push_back({kld, std::log(perplexity)});
            }
        }
        PerplexityLine& line = prediction_.perplexity;
        if (points.empty()) {
            line = {.intercept = kUnknown, .slope = 1, .reference = kUnknown};
            return;
        }
        double mean_kld = 0;
        double mean_log = 0;
        double total = 0;
        const auto weight = [](double kld) { return 1 / (kld + 1e-6); };
        for (const auto& [kld, log] : points) {
            mean_kld += weight(kld) * kld;
            mean_log += weight(kld) * log;
            total += weight(kld);
        }
        mean_kld /= total;
        mean_log /= total;
        double covariance = 0;
        double variance = 0;
        for (const auto& [kld, log] : points) {
            covariance += weight(kld) * (kld - mean_kld) * (log - mean_log);
            variance += weight(kld) * (kld - mean_kld) * (kld - mean_kld);
        }
        line.slope = variance > 0 ? std::max(0.0, covariance / variance) : 1;
        line.intercept = mean_log - line.slope * mean_kld;
        line.reference = reference > 0 ? reference : line.at(0);
    }

    const Profile& profile_;
    const Sensitivity& sensitivity_;
    std::span<const MixedModel> measured_;
    std::vector<const GroupSensitivity*> fixed_;
    Prediction prediction_;
};

}  // namespace

double PerplexityLine::at(double kld) const { return std::exp(intercept + slope * kld); }

double PerplexityLine::increase(double kld) const
{
    return std::isnan(reference) ? std::expm1(slope * kld) : at(kld) / reference - 1;
}

Result<Prediction> predict(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                           std::span<const MixedModel> measured)
{
    if (auto fit = check(profile, sensitivity); !fit) return std::unexpected(fit.error());
    return Predictor(profile, sensitivity, measured).make(request);
}

std::vector<std::uint8_t> types_of(const Prediction& prediction, const FrontPoint& point)
{
    std::vector<std::uint8_t> types;
    for (std::size_t g = 0; g < prediction.groups.size(); ++g) types.push_back(prediction.choices[g][point.types[g]]);
    return types;
}

std::optional<CacheChoice> cache_of(const Prediction& prediction, const FrontPoint& point)
{
    if (prediction.caches.empty()) return std::nullopt;
    const auto part = [&](std::size_t p) -> const CacheCost& {
        return (*prediction.caches[p])[point.types[prediction.groups.size() + p]];
    };
    const CacheCost& keys = part(0);
    const CacheCost& values = part(1);
    return CacheChoice{.types = {.keys = keys.type, .values = values.type},
                       .bytes = keys.bytes + values.bytes - prediction.caches.front()->front().bytes};
}

Candidate candidate_of(const Prediction& prediction, const FrontPoint& point)
{
    Candidate candidate{.counts = std::vector<std::size_t>(prediction.types.size()), .cache = cache_of(prediction, point)};
    for (const std::uint8_t type : types_of(prediction, point)) ++candidate.counts[type];
    Metrics& estimate = candidate.estimate;
    const Costs bytes = cost_of(prediction.bytes, point.types);
    for (std::size_t i = 0; i < bytes.size(); ++i) estimate[prediction.counted[i]] = bytes[i];
    for (std::size_t column = 0; column < prediction.objectives.size(); ++column)
        estimate[prediction.objectives[column]] = point.cost[column];
    estimate[kPerplexity] = prediction.perplexity.at(estimate[kDivergence]);
    estimate[kPerplexityIncrease] = prediction.perplexity.increase(estimate[kDivergence]);
    return candidate;
}

}  // namespace apreqel
