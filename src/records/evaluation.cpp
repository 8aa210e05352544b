#include "records/document.h"
#include "records/fields.h"

#include <algorithm>
#include <utility>

namespace apreqel {
namespace {

/// The profile may hold more types than the paper's part of the study.
void keep_types(Archive& archive, Evaluation& evaluation)
{
    std::vector<UniformVariant>& types = evaluation.profile.model.types;
    const std::vector<UniformVariant> all = std::exchange(types, {});
    for (const Measurement& uniform : evaluation.uniform) {
        const auto variant = std::ranges::find(all, uniform.name, &UniformVariant::type);
        archive.demand(variant != all.end(), "uniform", "are not types of the profile: run the study again");
        if (variant != all.end()) types.push_back(*variant);
    }
}

/// What the plans of all settings have in common.
Plan plan_of(const Profile& profile)
{
    Plan plan{.model = profile.model.model,
              .model_name = profile.model.model_name,
              .objectives = paper_objectives(),
              .costs = type_metrics(profile)};
    for (const UniformVariant& variant : profile.model.types) plan.types.push_back(variant.type);
    plan.ranking.best.resize(1);
    return plan;
}

void setting_fields(Archive& archive, SettingResult& setting, const Profile& profile)
{
    if (archive.reading()) setting.plan = plan_of(profile);
    archive.required("category", setting.category, "`fairness`, `memory`, `latency` or `accuracy`");
    archive.expect("weights");
    archive.object("weights", "as used", [&] { weight_fields(archive, setting.plan.request.weights); });
    fields(archive, setting.plan.ranking.best.front(), setting.plan.types);
}

/// All that the paper compares is there: it is divided by.
bool complete(std::span<const Measurement> models)
{
    const auto measured = [](double metric) { return metric > 0; };
    return std::ranges::all_of(models, [&](const Measurement& model) {
        return std::ranges::all_of(columns_of(metrics_of(model), paper_objectives()), measured);
    });
}

/// Indices into the study's models.
void models_fields(Archive& archive, std::string_view name, std::vector<std::size_t>& models, std::string_view meaning,
                   const Evaluation& evaluation)
{
    archive.optional(name, models, meaning);
    const auto is_there = [&](std::size_t model) { return model < evaluation.models.size(); };
    archive.demand(std::ranges::all_of(models, is_there), name, "must be indices of the models");
}

/// Follows from the measurements, so it is written for other readers only.
void gain_fields(Archive& archive, std::span<const Measurement> uniform, std::span<const Measurement> mixed)
{
    std::optional<double> gain;
    std::vector<double> interval;
    if (archive.writing()) {
        if (const auto found = hypervolume_gain(uniform, mixed)) {
            gain = found->gain;
            if (found->low) interval = {*found->low, *found->high};
        }
    }
    archive.optional("hypervolume_gain", gain, "what the models add to the hypervolume of the uniform ones, as a share");
    archive.optional("hypervolume_gain_interval", interval, "95 % over resampled rounds", {.written = !interval.empty()});
}

void set_fields(Archive& archive, ModelSet& set, const Evaluation& evaluation)
{
    archive.required("name", set.name, "of the set");
    archive.required("types", set.types, "chosen from", {.rule = Rule::name});
    models_fields(archive, "models", set.models, "indices of its models", evaluation);
    models_fields(archive, "baseline", set.baseline, "those of the uniform models to compare with; empty: `uniform`",
                  evaluation);
    archive.list("candidates", set.candidates, "as planned, as in a setting; one for each model, or none",
                 [&](Candidate& candidate) {
                     if (!archive.documenting()) fields(archive, candidate, set.types);
                 });
    const bool fit = set.candidates.empty() || set.candidates.size() == set.models.size();
    archive.demand(!set.models.empty() && fit, "models", "must be one for each candidate");
    if (!archive.writing() || !set.rivals.empty())
        archive.list("rivals", set.rivals, "what the models were to be better than, one for each, measured in their rounds",
                     [&](Measurement& rival) {
                         const auto r = static_cast<std::size_t>(&rival - set.rivals.data());
                         rival_fields(archive, rival,
                                      archive.writing() ? evaluation.models[set.models[r]].measurement : Measurement{},
                                      evaluation.reference.quality);
                     });
    archive.demand(set.rivals.empty() || set.rivals.size() == set.models.size(), "rivals", "must be one for each model");
    archive.demand(complete(set.rivals), "rivals", "must have latency_ms and perplexity");
    archive.optional("estimated_gain", set.estimated_gain, "of hypervolume, before anything was built");
    if (archive.writing())
        gain_fields(archive, baseline_of(evaluation, set), models_of(evaluation, set.models));
    else
        gain_fields(archive, {}, {});
}

void order_fields(Archive& archive, OrderResult& order, const Evaluation& evaluation)
{
    archive.required("order", order.order, "of layers; the paper's first");
    models_fields(archive, "models", order.models, "for each setting the index of its model", evaluation);
    archive.demand(order.models.size() == evaluation.settings.size(), "models", "must be one for each setting");
    if (archive.writing())
        gain_fields(archive, evaluation.uniform, models_of(evaluation, order.models));
    else
        gain_fields(archive, {}, {});
}

}  // namespace

void fields(Archive& archive, Evaluation& evaluation)
{
    ModelProfile about = evaluation.profile.model;  // where the study is read, it stays the profile's
    std::string device = evaluation.profile.device.device;
    archive.optional("model", about.model, "fingerprint of the full-precision model", {.rule = Rule::label});
    archive.demand(about.model == evaluation.profile.model.model, "model", "is not the model of the profile");
    archive.optional("model_name", about.model_name, "for people");
    archive.optional("device", device, "machine, backend and threads the speeds hold for");
    archive.optional("text", about.text, "file name, or how it was sampled");
    archive.optional("version", about.version, "of apreqel and libllama");
    archive.optional("embedding_type", about.embedding_type, "type of embedding and output tensors", {.rule = Rule::label});
    archive.required("reference", evaluation.reference, "the full-precision model; its speed is not measured");
    archive.required("uniform", evaluation.uniform, "the uniform variants, measured in the rounds of `models`");
    archive.demand(complete(evaluation.uniform), "uniform", "must have latency_ms and perplexity");
    if (archive.reading()) keep_types(archive, evaluation);
    archive.demand(!evaluation.uniform.empty(), "uniform", "must have at least one type");
    archive.list(
        "settings", evaluation.settings, "one for each of the paper's weight settings",
        [&](SettingResult& setting) { setting_fields(archive, setting, evaluation.profile); }, true);
    archive.required("models", evaluation.models, "every distinct mixed model");
    for (const MixedModel& model : evaluation.models)
        archive.demand(complete({&model.measurement, 1}), "models", "must have latency_ms and perplexity");
    archive.list("sets", evaluation.sets, "sets of models beside the paper's",
                 [&](ModelSet& set) { set_fields(archive, set, evaluation); });
    archive.list(
        "orders", evaluation.orders, "the models of the settings, with layers in one order",
        [&](OrderResult& order) { order_fields(archive, order, evaluation); }, true);
    archive.demand(!evaluation.settings.empty(), "settings", "must have at least one");
    archive.demand(!evaluation.orders.empty(), "orders", "must have at least one");
}

std::string to_json(const Evaluation& evaluation) { return write_record(kStudySchema, evaluation); }

Result<Evaluation> parse_evaluation(std::string_view text, const Profile& profile, const Scores& scores)
{
    return parse_record(text, kStudySchema, Evaluation{.profile = profile, .scores = scores});
}

Result<Evaluation> read_evaluation(const std::filesystem::path& path, const Profile& profile, const Scores& scores)
{
    return read_record(path, kStudySchema, Evaluation{.profile = profile, .scores = scores});
}

}  // namespace apreqel
