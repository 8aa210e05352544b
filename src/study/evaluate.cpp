#include "base/file.h"
#include "study/study.h"
#include "study/variants.h"

#include <algorithm>
#include <map>
#include <optional>

namespace apreqel {
namespace {

/// Splicing a model takes a moment, so that only the whole set is a step worth showing.
class Unseen : public Monitor {
public:
    explicit Unseen(Monitor& monitor) : monitor_(monitor) {}
    [[nodiscard]] bool stop_requested() const override { return monitor_.stop_requested(); }

private:
    Monitor& monitor_;
};

std::vector<LayerType> allocation_of(const Plan& plan, const Profile& profile, const Scores& scores, const LayerOrder& order)
{
    std::vector<double> bits;
    for (const UniformVariant& variant : profile.types) bits.push_back(variant.bits_per_weight);
    const std::vector<std::size_t> types = allocate(plan.chosen().counts, bits, order.layers);
    std::vector<LayerType> allocation;
    for (std::size_t l = 0; l < types.size(); ++l) allocation.push_back({scores.layers[l].layer, plan.types[types[l]]});
    return allocation;
}

std::string name_of(const std::vector<LayerType>& allocation)
{
    std::string name;
    for (const LayerType& entry : allocation) name += std::format("{}={} ", entry.layer, entry.type);
    return name;
}

/// Index of the model of each allocation, by its name.
using Known = std::map<std::string, std::size_t>;

/// The model of an allocation; equal ones are one model.
std::size_t model_of(std::vector<LayerType> allocation, Evaluation& evaluation, Known& known)
{
    const auto [model, fresh] = known.try_emplace(name_of(allocation), evaluation.models.size());
    if (fresh) evaluation.models.push_back({.allocation = std::move(allocation), .measurement = {}});
    return model->second;
}

/// As many models as there are settings, spread over the front of `profile`'s types.
Result<> plan_spread(std::string name, const Profile& profile, const Sensitivity& sensitivity, Evaluation& evaluation,
                     Known& known)
{
    std::vector<Metrics> uniform;
    for (const UniformVariant& variant : evaluation.profile.types) uniform.push_back(metrics_of(variant.measurement));
    auto plans = make_spread(profile, sensitivity, worst_of(uniform), evaluation.settings.size());
    if (!plans) return std::unexpected(plans.error());
    SpreadResult spread{.name = std::move(name), .types = {}, .candidates = {}, .models = {}};
    for (const UniformVariant& variant : profile.types) spread.types.push_back(variant.type);
    for (Plan& plan : *plans) {
        spread.candidates.push_back(plan.chosen());
        spread.models.push_back(model_of(std::move(plan.allocation), evaluation, known));
    }
    evaluation.spreads.push_back(std::move(spread));
    return {};
}

/// Plans every setting in every order.
Result<> plan_settings(Evaluation& evaluation, bool ablation, const Sensitivity* sensitivity, Known& known)
{
    const std::vector<LayerOrder> orders = layer_orders(evaluation.scores.layers, ablation, sensitivity);
    for (const LayerOrder& order : orders) evaluation.orders.push_back({.order = order.name, .models = {}});
    for (const WeightSetting& setting : paper_settings()) {
        auto plan = make_plan(evaluation.profile, evaluation.scores, setting.weights, 0);
        if (!plan) return std::unexpected(plan.error());
        for (std::size_t o = 0; o < orders.size(); ++o) {
            std::vector<LayerType> allocation = allocation_of(*plan, evaluation.profile, evaluation.scores, orders[o]);
            evaluation.orders[o].models.push_back(model_of(std::move(allocation), evaluation, known));
        }
        evaluation.settings.push_back({.category = std::string(setting.category), .plan = std::move(*plan)});
    }
    return {};
}

/// The uniform variant that a model of one type is, or the number of types.
std::size_t uniform_variant(const MixedModel& model, const Profile& profile)
{
    const std::string& first = model.allocation.front().type;
    const bool mixed = std::ranges::any_of(model.allocation, [&](const LayerType& entry) { return entry.type != first; });
    const auto variant = mixed ? profile.types.end() : std::ranges::find(profile.types, first, &UniformVariant::type);
    return static_cast<std::size_t>(variant - profile.types.begin());
}

/// The files to measure: the uniform variants, and after them the mixed models, spliced into the workspace.
struct Files {
    std::vector<ModelFile> models;
    std::vector<std::size_t> of_mix;  ///< per mixed model of the evaluation: index in `models`
};

Result<Files> build_models(const Study& study, const Evaluation& evaluation)
{
    Files files;
    for (const QuantType type : study.settings.types) {
        files.models.push_back(
            {variant_path(study.workspace, study.inventory, type, study.settings.embedding_type), type_name(type)});
    }
    const std::size_t uniform = files.models.size();
    Unseen unseen(study.monitor);
    study.monitor.begin("mixed models", static_cast<double>(evaluation.models.size()));
    for (const MixedModel& model : evaluation.models) {
        files.of_mix.push_back(uniform_variant(model, evaluation.profile));
        if (files.of_mix.back() < uniform) continue;
        files.of_mix.back() = files.models.size();
        const std::string key = std::format("model {}, embedding {}, {}, {}", study.inventory.fingerprint,
                                            evaluation.profile.embedding_type, name_of(model.allocation), tool_version()) +
                                importance_key(study.inventory);
        const auto path = study.workspace.keyed("mixes/mix.gguf", key);
        files.models.push_back({path, std::format("mix {}", files.models.size() - uniform + 1)});
        if (!std::filesystem::exists(path)) {
            const Plan plan{.model = study.inventory.fingerprint,
                            .method = "",
                            .embedding_type = evaluation.profile.embedding_type,
                            .allocation = model.allocation};
            const unsigned threads = thread_count(study.settings.run);
            if (auto built = quantize(study.inventory, plan, study.workspace, path, threads, unseen); !built)
                return std::unexpected(built.error());
        }
        study.monitor.advance(static_cast<double>(files.of_mix.size()));
    }
    study.monitor.end(std::format("{} spliced", files.models.size() - uniform));
    return files;
}

}  // namespace

Result<Evaluation> evaluate(const Study& study, const EvaluationSettings& settings)
{
    Study all_types = study;
    all_types.settings.types.append_range(settings.palette);
    auto profiled = profile(all_types);
    if (!profiled) return std::unexpected(profiled.error());
    auto scores = score(study);
    if (!scores) return std::unexpected(scores.error());
    Evaluation evaluation{.profile = *profiled, .scores = std::move(*scores)};
    evaluation.profile.types.resize(study.settings.types.size());
    std::optional<Sensitivity> sensitivity;
    if (settings.front) {
        auto sensed = sense(all_types, settings.sense);
        if (!sensed) return std::unexpected(sensed.error());
        sensitivity = std::move(*sensed);
    }
    Known known;
    if (auto planned = plan_settings(evaluation, settings.ablation, sensitivity ? &*sensitivity : nullptr, known); !planned)
        return std::unexpected(planned.error());
    if (sensitivity) {
        if (auto planned = plan_spread("front", evaluation.profile, *sensitivity, evaluation, known); !planned)
            return std::unexpected(planned.error());
    }
    if (sensitivity && !settings.palette.empty()) {
        if (auto planned = plan_spread("front, all types", *profiled, *sensitivity, evaluation, known); !planned)
            return std::unexpected(planned.error());
    }

    // The uniform variants are measured again, in the same rounds as the mixes: only then do their latencies compare.
    const auto files = build_models(study, evaluation);
    if (!files) return std::unexpected(files.error());
    const auto measured = measure(study, files->models);
    if (!measured) return std::unexpected(measured.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    evaluation.reference = std::move(*reference);
    const std::size_t uniform = study.settings.types.size();
    evaluation.uniform.assign(measured->begin(), measured->begin() + static_cast<std::ptrdiff_t>(uniform));
    for (std::size_t m = 0; m < evaluation.models.size(); ++m) evaluation.models[m].measurement = (*measured)[files->of_mix[m]];
    if (auto written = write_text(study.workspace.path("study.json"), to_json(evaluation)); !written)
        return std::unexpected(written.error());
    // What was measured is kept; the files are spliced again in a moment, and take room until then.
    if (!settings.keep_models) {
        std::error_code ignored;
        for (std::size_t f = uniform; f < files->models.size(); ++f) std::filesystem::remove(files->models[f].path, ignored);
    }
    return evaluation;
}

}  // namespace apreqel
