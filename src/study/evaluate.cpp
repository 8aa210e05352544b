#include "base/file.h"
#include "model/readiness.h"
#include "study/rivals.h"
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

    /// What is to be better than rivals, each beside its own.
    Result<> add_beside(std::string name, std::vector<PlanBeside> plans)
    {
        ModelSet set = set_of(std::move(name), evaluation_.profile);
        for (PlanBeside& beside : plans) {
            set.types = beside.plan.types;
            set.candidates.push_back(beside.plan.chosen());
            set.models.push_back(model(std::move(beside.plan.allocation)));
            evaluation_.models[set.models.back()].measurement.quality = std::move(beside.quality);
            set.rivals.push_back(std::move(beside.rival));
        }
        return set.models.empty() ? Result<>() : add(std::move(set), evaluation_.profile, {});
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

/// The files of rivals, to be measured as they are called.
Result<std::vector<ModelFile>> rival_files(const RivalFiles& rivals, const std::vector<PlanBeside>& beside)
{
    std::vector<std::string> asked;
    for (const PlanBeside& plan : beside) asked.push_back(plan.asked);
    const auto paths = rivals.make(asked);
    if (!paths) return std::unexpected(paths.error());
    std::vector<ModelFile> files;
    for (std::size_t r = 0; r < beside.size(); ++r) files.push_back({(*paths)[r], beside[r].rival.name});
    return files;
}

/// The plans of all sets beside the paper's: with importance, of more types, and by the front method. `own`: the evaluation's.
Result<> plan_sets(Planner& planner, const Profile& own, const Profile& profiled, const std::vector<Variant>& weighted,
                   bool front)
{
    const auto plan_front = [&](std::string name, const Profile& profile, const Profile& baseline, bool mix_embedding) {
        return front ? planner.plan_front(std::move(name), profile, baseline, mix_embedding) : Result<>();
    };
    if (auto planned = plan_front("front", own, own, false); !planned) return planned;
    if (!weighted.empty()) {
        const Profile part = restricted(profiled, weighted);
        if (auto planned = planner.plan_paper("paper, imatrix", part); !planned) return planned;
        if (auto planned = plan_front("front, imatrix", part, part, false); !planned) return planned;
    }
    if (profiled.model.types.size() > own.model.types.size()) {
        planner.add_uniform("uniform, all types", profiled);
        if (auto planned = plan_front("front, all types", profiled, own, false); !planned) return planned;
    }
    return plan_front("front, everything", profiled, own, true);
}

/// Measures all models, the uniform variants, and the rivals of the last set in the same rounds: only then do their latencies
/// compare. The quality that is known of a model stays.
Result<> measure_models(const Study& study, Evaluation& evaluation, std::size_t uniform, const std::vector<ModelFile>& rivals,
                        bool keep_models)
{
    if (auto ready = build_variants(study); !ready) return ready;  // a profile is kept without them
    std::vector<ModelFile> files = variant_files(study);
    std::vector<std::size_t> file_of;  // of each model
    std::vector<std::vector<GroupType>> mixes;
    std::vector<bool> is_known;  // of each mix: its quality
    for (const MixedModel& model : evaluation.models) {
        const auto variant = uniform_variant(model, study.settings.types);
        file_of.push_back(variant ? *variant : files.size() + mixes.size());
        if (variant) continue;
        mixes.push_back(model.allocation);
        is_known.push_back(model.measurement.quality.tokens > 0);
    }
    const auto built = build_mixes(study, mixes);
    if (!built) return std::unexpected(built.error());
    for (std::size_t m = 0; m < built->size(); ++m) files.push_back({(*built)[m], std::format("mix {}", m + 1), is_known[m]});
    files.append_range(rivals);
    auto measured = measure(study, files);
    if (!measured) return std::unexpected(measured.error());
    evaluation.uniform.assign(measured->begin(), measured->begin() + static_cast<std::ptrdiff_t>(uniform));
    for (std::size_t m = 0; m < evaluation.models.size(); ++m) {
        Measurement& model = evaluation.models[m].measurement;
        Quality known = std::move(model.quality);
        model = (*measured)[file_of[m]];
        if (model.quality.tokens == 0) model.quality = std::move(known);
    }
    if (!rivals.empty())
        evaluation.sets.back().rivals.assign(measured->end() - static_cast<std::ptrdiff_t>(rivals.size()), measured->end());
    if (!keep_models) remove_mixes(study, *built);
    return {};
}

}  // namespace

Result<> check_evaluation(const Study& study, const EvaluationSettings& settings)
{
    if (auto ready = check_ready(study.inventory, "study", {Task::load, Task::text, Task::quantize, Task::score}); !ready)
        return ready;
    if (settings.rivals.empty()) return {};
    if (!settings.front) return usage_error("study: what is to be better than rivals is planned by the front method");
    if (study.settings.quality.kld_chunks == 0)
        return usage_error("study: rivals are compared by KL divergence, so chunks must be compared with full precision");
    for (const std::string& rival : settings.rivals)
        if (auto known = check_rival(rival); !known) return known;
    return {};
}

Result<Evaluation> evaluate(const Study& study, const EvaluationSettings& settings)
{
    if (auto possible = check_evaluation(study, settings); !possible) return std::unexpected(possible.error());
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
    const RivalFiles rivals(all_types, settings.rivals);
    std::vector<PlanBeside> beside;
    if (!settings.rivals.empty()) {
        std::vector<Variant> offered = weighted;  // as `run`: with the importance matrix, if there is one
        offered.append_range(settings.palette);
        const Profile profile_beside = weighted.empty() ? *profiled : restricted(*profiled, offered);
        auto plans = plans_beside(all_types, profile_beside, *sensitivity,
                                  {.rivals = settings.rivals, .asked_for_rivals = settings.asked_for_rivals});
        if (!plans) return std::unexpected(plans.error());
        beside = std::move(*plans);
    }
    const auto files = rival_files(rivals, beside);
    if (!files) return std::unexpected(files.error());

    Evaluation evaluation{.profile = restricted(*profiled, own), .scores = std::move(*scores)};
    Planner planner(evaluation, std::move(sensitivity));
    if (auto planned = planner.plan_orders(settings.ablation); !planned) return std::unexpected(planned.error());
    if (auto planned = plan_sets(planner, evaluation.profile, *profiled, weighted, settings.front); !planned)
        return std::unexpected(planned.error());
    if (auto planned = planner.add_beside("beside rivals", std::move(beside)); !planned)
        return std::unexpected(planned.error());
    if (auto measured = measure_models(all_types, evaluation, own.size(), *files, settings.keep_models); !measured)
        return std::unexpected(measured.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    evaluation.reference = std::move(*reference);
    if (auto written = write_text(study.workspace.path("study.json"), to_json(evaluation)); !written)
        return std::unexpected(written.error());
    return evaluation;
}

}  // namespace apreqel
