#include "records/document.h"
#include "records/fields.h"

namespace apreqel {
namespace {

/// A type and the metrics of the model in it.
struct TypeCosts {
    std::string type;
    Metrics costs{};
};

void fields(Archive& archive, TypeCosts& row)
{
    archive.required("type", row.type, "of the profile", {.rule = Rule::name});
    fields_of_metrics(archive, row.costs);
}

void limits_fields(Archive& archive, Limits& limits)
{
    archive.optional("memory_bytes", limits.memory_bytes, "of all tensors and of the KV cache", {.rule = Rule::positive});
    archive.optional("context", limits.context, "tokens whose KV cache counts as memory", {.written = limits.context > 0});
    archive.optional("latency_ms", limits.latency_ms, "per generated token", {.rule = Rule::positive});
    archive.optional("kl_divergence", limits.kld, "nats per token", {.rule = Rule::positive});
    archive.optional("perplexity_increase", limits.perplexity_increase, "share of the full-precision model's",
                     {.rule = Rule::positive});
}

/// How it was chosen, which a plan made elsewhere need not say.
void ranking_fields(Archive& archive, Ranking& ranking, std::span<const std::string> types)
{
    archive.optional("candidates", ranking.candidates, "how many were ranked; from 2^53 on rounded, as 6.6e+16",
                     {.rule = Rule::not_negative, .whole = true});
    fields(archive, ranking.best.front(), types);
}

void by_criterion(Archive& archive, Costs& values, Rule rule = Rule::not_negative)
{
    Metrics metrics = values.empty() ? Metrics{} : metrics_from(values);
    fields_by_metric(archive, metrics, rule);
    values = costs_of(metrics);
}

}  // namespace

void fields_by_metric(Archive& archive, std::array<double, kMetrics>& values, Rule rule)
{
    for (std::size_t j = 0; j < kMetrics; ++j) archive.required(kMetricNames[j], values[j], "", {.rule = rule});
}

void fields_of_metrics(Archive& archive, Metrics& metrics)
{
    archive.required("memory_bytes", metrics[0], "of all tensors", {.rule = Rule::not_negative});
    archive.required("latency_ms", metrics[1], "per generated token", {.rule = Rule::not_negative});
    archive.required("perplexity", metrics[2], "on the text", {.rule = Rule::not_negative});
}

void fields(Archive& archive, LayerType& entry)
{
    archive.required("layer", entry.layer, "or all its tensors (`blk.0.attn_q`, `blk.0.ffn_gate+ffn_up`), or `embedding`",
                     {.rule = Rule::group});
    archive.required("type", entry.type, "`q4_K`, `q4_K+imatrix`, or the name of a `--variant`", {.rule = Rule::name});
}

void fields(Archive& archive, Candidate& candidate, std::span<const std::string> types)
{
    candidate.counts.resize(types.size());
    archive.object("distribution", "layers of each type, by its name", [&] {
        for (std::size_t i = 0; i < types.size(); ++i) archive.optional(types[i], candidate.counts[i], "layers that have it");
    });
    archive.required("closeness", candidate.closeness, "TOPSIS: d⁻ ÷ (d⁻ + d*)", {.rule = Rule::share});
    archive.optional("distance_to_ideal", candidate.distance_ideal, "d*", {.rule = Rule::not_negative});
    archive.optional("distance_to_anti_ideal", candidate.distance_anti_ideal, "d⁻", {.rule = Rule::not_negative});
    archive.expect("estimate");
    archive.object("estimate", "what it will cost", [&] {
        Metrics estimate = candidate.estimate.empty() ? Metrics{} : metrics_from(candidate.estimate);
        fields_of_metrics(archive, estimate);
        candidate.estimate = costs_of(estimate);
        archive.optional("kl_divergence", candidate.kld, "of the front method",
                         {.rule = Rule::not_negative, .written = candidate.kld > 0});
    });
}

void fields(Archive& archive, Plan& plan)
{
    if (archive.refer_to(kPlanSchema)) return;
    std::vector<TypeCosts> rows;
    for (std::size_t i = 0; i < plan.types.size(); ++i) rows.push_back({plan.types[i], plan.costs[i]});
    archive.ahead("types", rows);
    std::vector<std::string> types;
    for (const TypeCosts& row : rows) types.push_back(row.type);
    archive.demand(distinct(types), "types", "must not name a type twice");

    Ranking& ranking = plan.ranking;
    if (archive.reading() && archive.has("types") && archive.has("distribution")) ranking.best.resize(1);
    const bool explained = !ranking.best.empty();
    const bool front = plan.method == "front";
    archive.optional("model", plan.model, "fingerprint; a plan of another model is refused", {.rule = Rule::label});
    archive.optional("model_name", plan.model_name, "for people");
    archive.optional("method", plan.method, "`paper` or `front`", {.rule = Rule::label});
    if (explained) {
        archive.expect("weights");
        archive.object("weights", "as used", [&] { fields_by_metric(archive, plan.weights); });
    }
    archive.object("limits", "of the front method: what was asked", [&] { limits_fields(archive, plan.limits); }, front);
    archive.optional("epsilon", plan.epsilon, "of the front method: how complete the front is, 0 is all of it",
                     {.rule = Rule::not_negative, .written = front});
    archive.optional("latency_error", plan.latency_error,
                     "of the front method: the largest relative error of a timed mix that was left out of the latency fit",
                     {.rule = Rule::not_negative, .written = front});
    if (explained) ranking_fields(archive, ranking, types);
    archive.optional("embedding_type", plan.embedding_type, "of embedding and output tensors; q6_K if missing",
                     {.rule = Rule::label});
    archive.required("allocation", plan.allocation, "the type of every layer");
    archive.optional("fallbacks", plan.fallbacks, "tensors that cannot have the type of their layer");
    if (!explained) return;
    archive.object("normalization", "what the metrics were divided by, and their best and worst weighted values", [&] {
        archive.object("norm", "", [&] { by_criterion(archive, ranking.scale.norm); });
        archive.object("ideal", "", [&] { by_criterion(archive, ranking.scale.ideal, Rule::none); });
        archive.object("anti_ideal", "", [&] { by_criterion(archive, ranking.scale.anti_ideal, Rule::none); });
    });
    archive.required("types", rows, "the metrics the plan was made from");
    std::vector<Candidate> others(ranking.best.begin() + 1, ranking.best.end());
    archive.list("runners_up", others, "the next-best candidates: `distribution` to `estimate` of each",
                 [&](Candidate& candidate) {
                     if (!archive.documenting()) fields(archive, candidate, types);
                 });
    if (!archive.reading()) return;
    ranking.best.insert(ranking.best.end(), others.begin(), others.end());
    plan.types = std::move(types);
    for (const TypeCosts& row : rows) plan.costs.push_back(row.costs);
}

std::string to_json(const Plan& plan) { return write_record(kPlanSchema, plan); }
Result<Plan> parse_plan(std::string_view text) { return parse_record(text, kPlanSchema, Plan{.method = ""}); }
Result<Plan> read_plan(const std::filesystem::path& path) { return read_record(path, kPlanSchema, Plan{.method = ""}); }

}  // namespace apreqel
