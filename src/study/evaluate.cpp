#include "base/file.h"
#include "model/readiness.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <algorithm>
#include <map>
#include <optional>

namespace apreqel {
namespace {

std::vector<GroupType> allocation_of(const Plan& plan, const Profile& profile, const Scores& scores, const LayerOrder& order)
{
    std::vector<double> bits;
    for (const UniformVariant& variant : profile.model.types) bits.push_back(variant.bits_per_weight);
    const std::vector<std::size_t> types = allocate(plan.chosen().counts, bits, order.layers);
    std::vector<GroupType> allocation;
    for (std::size_t l = 0; l < types.size(); ++l) allocation.push_back({scores.layers[l].layer, plan.types[types[l]]});
    return allocation;
}

/// The part of a profile that is about `types`. All timed models stay: they tell of other types too.
Profile restricted(const Profile& profile, const std::vector<Variant>& types)
{
    Profile part = profile;
    std::erase_if(part.model.types,
                  [&](const UniformVariant& variant) { return !std::ranges::contains(types, variant.type, &Variant::name); });
    return part;
}

/// The paper's objectives of each type, as profiled.
std::vector<Costs> costs_of_types(const Profile& profile)
{
    std::vector<Costs> costs;
    for (const Metrics& metrics : type_metrics(profile)) costs.push_back(columns_of(metrics, paper_objectives()));
    return costs;
}

/// What the paper's method is asked for in one of its settings.
PlanRequest paper_request(const WeightSetting& setting) { return {.weights = setting.weights, .runners_up = 0}; }

/// Plans models and gives each distinct one an index.
class Planner {
public:
    Planner(Evaluation& evaluation, std::optional<Sensitivity> sensitivity)
        : evaluation_(evaluation), sensitivity_(std::move(sensitivity))
    {
    }

    /// Every setting of the paper in every order, of the evaluation's own types.
    Result<> plan_orders(bool ablation)
    {
        const Profile& profile = evaluation_.profile;
        const std::vector<LayerOrder> orders =
            layer_orders(evaluation_.scores.layers, ablation, sensitivity_ ? &*sensitivity_ : nullptr);
        for (const LayerOrder& order : orders) evaluation_.orders.push_back({.order = order.name, .models = {}});
        for (const WeightSetting& setting : paper_settings()) {
            auto plan = make_plan(profile, evaluation_.scores, paper_request(setting));
            if (!plan) return std::unexpected(plan.error());
            for (std::size_t o = 0; o < orders.size(); ++o)
                evaluation_.orders[o].models.push_back(model(allocation_of(*plan, profile, evaluation_.scores, orders[o])));
            evaluation_.settings.push_back({.category = std::string(setting.category), .plan = std::move(*plan)});
        }
        return {};
    }

    /// The paper's method with other types.
    Result<> plan_paper(std::string name, const Profile& profile)
    {
        ModelSet set = set_of(std::move(name), profile);
        for (const WeightSetting& setting : paper_settings()) {
            auto plan = make_plan(profile, evaluation_.scores, paper_request(setting));
            if (!plan) return std::unexpected(plan.error());
            set.candidates.push_back(plan->chosen());
            set.models.push_back(model(std::move(plan->allocation)));
        }
        return add(std::move(set), profile, uniform_models(profile));
    }

    /// As many models as there are settings, spread over the front of `profile`'s types. `baseline`: those of the uniform types
    /// to be better than.
    Result<> plan_front(std::string name, const Profile& profile, const Profile& baseline, bool mix_embedding)
    {
        auto plans = make_spread(profile, *sensitivity_, {.mix_embedding = mix_embedding}, worst_of(costs_of_types(baseline)),
                                 evaluation_.settings.size());
        if (!plans) return std::unexpected(plans.error());
        ModelSet set = set_of(std::move(name), profile);
        for (Plan& plan : *plans) {
            set.types = plan.types;
            set.candidates.push_back(plan.chosen());
            set.models.push_back(model(std::move(plan.allocation)));
        }
        if (set.models.empty()) return {};
        const bool own = &baseline != &evaluation_.profile;
        return add(std::move(set), baseline, own ? uniform_models(baseline) : std::vector<std::size_t>());
    }

    /// The uniform types by themselves: what a wider choice of types is worth without any mixing.
    void add_uniform(std::string name, const Profile& profile)
    {
        ModelSet set = set_of(std::move(name), profile);
        set.models = uniform_models(profile);
        evaluation_.sets.push_back(std::move(set));
    }

private:
    static ModelSet set_of(std::string name, const Profile& profile)
    {
        ModelSet set{
            .name = std::move(name), .types = {}, .candidates = {}, .models = {}, .baseline = {}, .estimated_gain = {}};
        for (const UniformVariant& variant : profile.model.types) set.types.push_back(variant.type);
        return set;
    }

    Result<> add(ModelSet set, const Profile& baseline, std::vector<std::size_t> models)
    {
        std::vector<Costs> estimates;
        for (const Candidate& candidate : set.candidates)
            estimates.push_back(columns_of(candidate.estimate, paper_objectives()));
        const auto gain = hypervolume_gain(costs_of_types(baseline), estimates);
        if (!gain) return std::unexpected(gain.error());
        set.estimated_gain = gain->gain;
        set.baseline = std::move(models);
        evaluation_.sets.push_back(std::move(set));
        return {};
    }

    std::vector<std::size_t> uniform_models(const Profile& profile)
    {
        std::vector<std::size_t> models;
        for (const UniformVariant& variant : profile.model.types) {
            std::vector<GroupType> allocation;
            for (const LayerScore& layer : evaluation_.scores.layers) allocation.push_back({layer.layer, variant.type});
            models.push_back(model(std::move(allocation)));
        }
        return models;
    }

    /// The model of an allocation; equal ones are one model.
    std::size_t model(std::vector<GroupType> allocation)
    {
        std::string name;
        for (const GroupType& entry : allocation) name += std::format("{}={} ", entry.group, entry.type);
        const auto [known, fresh] = known_.try_emplace(name, evaluation_.models.size());
        if (fresh) evaluation_.models.push_back({.allocation = std::move(allocation), .measurement = {}});
        return known->second;
    }

    Evaluation& evaluation_;
    std::optional<Sensitivity> sensitivity_;
    std::map<std::string, std::size_t> known_;
};

/// The uniform variant that a model of one type is; nothing if it is mixed.
std::optional<std::size_t> uniform_variant(const MixedModel& model, const std::vector<Variant>& types)
{
    const std::string& first = model.allocation.front().type;
    const bool mixed = std::ranges::any_of(
        model.allocation, [&](const GroupType& entry) { return entry.type != first || entry.group == kEmbedding; });
    const auto variant = std::ranges::find(types, first, &Variant::name);
    if (mixed || variant == types.end()) return std::nullopt;
    return static_cast<std::size_t>(variant - types.begin());
}

/// Measures all models and the uniform variants in the same rounds: only then do their latencies compare.
Result<> measure_models(const Study& study, Evaluation& evaluation, std::size_t uniform, bool keep_models)
{
    if (auto ready = build_variants(study); !ready) return ready;  // a profile is kept without them
    std::vector<ModelFile> files = variant_files(study);
    std::vector<std::size_t> file_of;  // of each model
    std::vector<std::vector<GroupType>> mixes;
    std::vector<bool> wanted(files.size());
    std::fill_n(wanted.begin(), uniform, true);
    for (const MixedModel& model : evaluation.models) {
        const auto variant = uniform_variant(model, study.settings.types);
        if (variant) wanted[*variant] = true;
        file_of.push_back(variant ? *variant : files.size() + mixes.size());
        if (!variant) mixes.push_back(model.allocation);
    }
    const auto built = build_mixes(study, mixes);
    if (!built) return std::unexpected(built.error());
    for (const auto& path : *built) files.push_back({path, std::format("mix {}", files.size() - wanted.size() + 1)});
    auto measured = measure(study, files);
    if (!measured) return std::unexpected(measured.error());
    evaluation.uniform.assign(measured->begin(), measured->begin() + static_cast<std::ptrdiff_t>(uniform));
    for (std::size_t m = 0; m < evaluation.models.size(); ++m) evaluation.models[m].measurement = (*measured)[file_of[m]];
    if (!keep_models) remove_mixes(study, *built);
    return {};
}

}  // namespace

Result<Evaluation> evaluate(const Study& study, const EvaluationSettings& settings)
{
    if (auto ready = check_ready(study.inventory, "study", {Task::load, Task::text, Task::quantize, Task::score}); !ready)
        return std::unexpected(ready.error());
    const std::vector<Variant>& own = study.settings.types;
    std::vector<Variant> weighted;  // the same with the importance matrix
    if (!study.inventory.importance.empty())
        for (const Variant& variant : own) weighted.emplace_back(variant.type, true);
    Study all_types = study;
    all_types.settings.types.append_range(weighted);
    all_types.settings.types.append_range(settings.palette);
    all_types.settings.mixes = settings.front ? Mixes::with_embedding : Mixes::none;

    std::vector<TextNeed> needs{measuring(study), scoring()};
    if (settings.front) needs.push_back(probing(study));
    if (auto enough = check_texts(study, needs); !enough) return std::unexpected(enough.error());
    const auto profiled = profile(all_types);
    if (!profiled) return std::unexpected(profiled.error());
    auto scores = score(study);
    if (!scores) return std::unexpected(scores.error());
    std::optional<Sensitivity> sensitivity;
    if (settings.front) {
        auto sensed = sense(all_types, settings.sense);
        if (!sensed) return std::unexpected(sensed.error());
        sensitivity = std::move(*sensed);
    }

    Evaluation evaluation{.profile = restricted(*profiled, own), .scores = std::move(*scores)};
    Planner planner(evaluation, std::move(sensitivity));
    if (auto planned = planner.plan_orders(settings.ablation); !planned) return std::unexpected(planned.error());
    const auto plan_front = [&](std::string name, const Profile& profile, const Profile& baseline, bool mix_embedding) {
        return settings.front ? planner.plan_front(std::move(name), profile, baseline, mix_embedding) : Result<>();
    };
    if (auto planned = plan_front("front", evaluation.profile, evaluation.profile, false); !planned)
        return std::unexpected(planned.error());
    if (!weighted.empty()) {
        const Profile part = restricted(*profiled, weighted);
        if (auto planned = planner.plan_paper("paper, imatrix", part); !planned) return std::unexpected(planned.error());
        if (auto planned = plan_front("front, imatrix", part, part, false); !planned) return std::unexpected(planned.error());
    }
    if (profiled->model.types.size() > own.size()) {
        planner.add_uniform("uniform, all types", *profiled);
        if (auto planned = plan_front("front, all types", *profiled, evaluation.profile, false); !planned)
            return std::unexpected(planned.error());
    }
    if (auto planned = plan_front("front, everything", *profiled, evaluation.profile, true); !planned)
        return std::unexpected(planned.error());

    if (auto measured = measure_models(all_types, evaluation, own.size(), settings.keep_models); !measured)
        return std::unexpected(measured.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    evaluation.reference = std::move(*reference);
    if (auto written = write_text(study.workspace.path("study.json"), to_json(evaluation)); !written)
        return std::unexpected(written.error());
    return evaluation;
}

}  // namespace apreqel
