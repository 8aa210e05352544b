#include "records/document.h"
#include "records/fields.h"

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

/// What is known of any plan. Perplexity is not, where the front method had only probes to go by.
const Objectives& always_known()
{
    static const Objectives known{kMemory, kLatency};
    return known;
}

/// A type and the metrics of the model in it.
struct TypeCosts {
    std::string type;
    Metrics costs = every_criterion(kUnknown);
};

void fields(Archive& archive, TypeCosts& row)
{
    archive.required("type", row.type, "of the profile", {.rule = Rule::name});
    metric_fields(archive, row.costs, always_known());
}

void limits_fields(Archive& archive, Limits& limits)
{
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (criteria()[c].limit.empty()) continue;
        const bool limited = limits.most[c] < kUnlimited;
        std::optional<double> most = limited ? std::optional(limits.most[c]) : std::nullopt;
        archive.optional(criteria()[c].field, most, "at most",
                         {.rule = Rule::positive, .whole = criteria()[c].composition == Composition::counted});
        if (archive.reading() && most) limits.most[c] = *most;
    }
    context_fields(archive, limits.context);
}

/// What candidates were compared by, as the fields of the criteria.
void objectives_fields(Archive& archive, Objectives& objectives)
{
    std::vector<std::string> names;
    for (const std::size_t c : objectives) names.emplace_back(criteria()[c].field);
    archive.optional("objectives", names, "fields of the criteria that candidates were compared by", {.rule = Rule::name});
    if (!archive.reading() || names.empty()) return;
    objectives.clear();
    for (const std::string& name : names) {
        const auto criterion = std::ranges::find(criteria(), name, &Criterion::field);
        archive.demand(criterion != criteria().end(), "objectives", "must be criteria");
        if (criterion != criteria().end()) objectives.push_back(static_cast<std::size_t>(criterion - criteria().begin()));
    }
}

/// One value for each of the objectives, by the names of their weights.
void columns_fields(Archive& archive, Costs& columns, const Objectives& objectives, Rule rule)
{
    columns.resize(objectives.size());
    for (std::size_t column = 0; column < objectives.size(); ++column)
        archive.required(criteria()[objectives[column]].weight, columns[column], "", {.rule = rule});
}

void scale_fields(Archive& archive, Scale& scale, const Objectives& objectives)
{
    archive.object(
        "normalization",
        "what the objectives were divided by, and their best and worst weighted values; missing where none was ranked",
        [&] {
            archive.object("norm", "", [&] { columns_fields(archive, scale.norm, objectives, Rule::positive); });
            archive.object("ideal", "", [&] { columns_fields(archive, scale.ideal, objectives, Rule::none); });
            archive.object("anti_ideal", "", [&] { columns_fields(archive, scale.anti_ideal, objectives, Rule::none); });
        },
        !scale.norm.empty());
}

void method_field(Archive& archive, Method& method)
{
    std::string name(method_name(method));
    archive.optional("method", name, "`paper` or `front`", {.rule = Rule::label});
    if (!archive.reading()) return;
    const auto known = parse_method(name);
    archive.demand(known || name.empty(), "method", "must be paper or front");
    if (known) method = *known;
}

/// How it was chosen, which a plan made elsewhere need not say.
void ranking_fields(Archive& archive, Ranking& ranking, std::span<const std::string> types, const Objectives& known)
{
    archive.optional("candidates", ranking.candidates, "how many were ranked; from 2^53 on rounded, as 6.6e+16",
                     {.rule = Rule::not_negative, .whole = true});
    fields(archive, ranking.best.front(), types, known);
}

}  // namespace

void context_fields(Archive& archive, ContextMemory& context)
{
    const bool typed = context.cache_type_k != kCacheType || context.cache_type_v != kCacheType;
    const bool counted = archive.documenting() || context.tokens > 0;
    archive.optional("context", context.tokens, "tokens of the context that counts as memory; 0: the weights alone do",
                     {.written = counted});
    archive.optional("cache_type_k", context.cache_type_k, "of the keys in the KV cache",
                     {.rule = Rule::name, .written = counted || typed});
    archive.optional("cache_type_v", context.cache_type_v, "of the values", {.rule = Rule::name, .written = counted || typed});
    archive.optional("cache_bytes", context.cache_bytes, "of the KV cache, and of what recurrent blocks keep instead",
                     {.written = counted});
    archive.optional("buffer_bytes", context.buffer_bytes, "of buffers for computing; 0: not known", {.written = counted});
    const bool placed = archive.documenting() || context.gpu_cache_bytes > 0 || context.gpu_buffer_bytes > 0;
    archive.optional("gpu_cache_bytes", context.gpu_cache_bytes, "of the cache, on accelerators", {.written = placed});
    archive.optional("gpu_buffer_bytes", context.gpu_buffer_bytes, "of the buffers, on accelerators", {.written = placed});
    archive.optional("cache_is_chosen", context.cache_is_chosen,
                     "the KV cache is part of the plan: `cache_bytes` are those of these types, not of the chosen ones",
                     {.written = archive.documenting() || context.cache_is_chosen});
}

void weight_fields(Archive& archive, Weights& weights)
{
    std::vector<std::string_view> named;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        const std::string_view name = criteria()[c].weight;
        if (name.empty() || std::ranges::contains(named, name)) continue;
        named.push_back(name);
        const auto has_name = [&](std::size_t objective) { return criteria()[objective].weight == name; };
        double weight = weights[c];
        if (std::ranges::any_of(paper_objectives(), has_name))
            archive.required(name, weight, "", {.rule = Rule::not_negative});
        else
            archive.optional(name, weight, "0 if missing", {.rule = Rule::not_negative, .written = weight > 0});
        if (archive.reading()) set_weight(weights, name, weight);
    }
}

void metric_fields(Archive& archive, Metrics& metrics, const Objectives& needed)
{
    for (std::size_t c = 0; c < kCriteria; ++c) {
        const Criterion& criterion = criteria()[c];
        if (std::ranges::contains(needed, c)) {
            archive.required(criterion.field, metrics[c], criterion.heading,
                             {.rule = Rule::not_negative, .whole = criteria()[c].composition == Composition::counted});
            continue;
        }
        std::optional<double> value = std::isnan(metrics[c]) ? std::nullopt : std::optional(metrics[c]);
        archive.optional(criterion.field, value, criterion.heading);
        if (archive.reading()) metrics[c] = value.value_or(kUnknown);
    }
}

void fields(Archive& archive, GroupType& entry)
{
    archive.required("layer", entry.group, "or some of its tensors (`blk.0.attn_q`, `blk.0.ffn_gate+ffn_up`), or `embedding`",
                     {.rule = Rule::group});
    archive.required("type", entry.type, "`q4_K`, `q4_K+imatrix`, `q4_K+gptq`, or the name of a `--variant`",
                     {.rule = Rule::name});
}

void fields(Archive& archive, Candidate& candidate, std::span<const std::string> types, const Objectives& known)
{
    candidate.counts.resize(types.size());
    archive.object("distribution", "layers of each type, by its name", [&] {
        for (std::size_t i = 0; i < types.size(); ++i) archive.optional(types[i], candidate.counts[i], "layers that have it");
    });
    archive.required("closeness", candidate.closeness,
                     "TOPSIS: d⁻ ÷ (d⁻ + d*); of what was measured it may lie outside 0 to 1");
    archive.optional("distance_to_ideal", candidate.distance_ideal, "d*", {.rule = Rule::not_negative});
    archive.optional("distance_to_anti_ideal", candidate.distance_anti_ideal, "d⁻", {.rule = Rule::not_negative});
    archive.expect("estimate");
    archive.object("estimate", "what it will cost; memory with `cache`",
                   [&] { metric_fields(archive, candidate.estimate, known); });
    archive.optional("cache", candidate.cache,
                     "the KV cache, where its types are chosen too: its bytes are part of the memory");
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
    archive.optional("model", plan.model, "fingerprint; a plan of another model is refused", {.rule = Rule::label});
    archive.optional("model_name", plan.model_name, "for people");
    archive.optional("text", plan.text, "of the model's profile", {.written = !plan.text.empty()});
    archive.optional("device", plan.device, "of the device's profile", {.written = !plan.device.empty()});
    method_field(archive, plan.request.method);
    const bool front = plan.request.method == Method::front;
    if (archive.reading()) plan.objectives = front ? front_objectives() : paper_objectives();
    const Objectives& known = front || archive.documenting() ? always_known() : paper_objectives();
    if (explained) {
        archive.expect("weights");
        archive.object("weights", "as used", [&] { weight_fields(archive, plan.request.weights); });
        objectives_fields(archive, plan.objectives);
    }
    archive.object(
        "limits", "of the front method: what was asked", [&] { limits_fields(archive, plan.request.limits); },
        front || archive.documenting());
    archive.optional("epsilon", plan.epsilon, "of the front method: how complete the front is, 0 is all of it",
                     {.rule = Rule::not_negative});
    archive.optional("latency_error", plan.latency_error,
                     "of the front method: the largest relative error of a timed mix that was left out of the latency fit",
                     {.rule = Rule::not_negative, .written = front});
    if (explained) ranking_fields(archive, ranking, types, known);
    archive.optional("embedding_type", plan.embedding_type, "of embedding and output tensors; q6_K if missing",
                     {.rule = Rule::label});
    archive.optional("gpu_layers", plan.gpu_layers, "on accelerators, where that was chosen too: `--gpu-layers` of llama.cpp");
    archive.required("allocation", plan.allocation, "the type of every layer");
    archive.optional("fallbacks", plan.fallbacks, "tensors that cannot have the type of their layer");
    if (!explained) return;
    scale_fields(archive, ranking.scale, plan.objectives);
    archive.required("types", rows, "the metrics the plan was made from");
    std::vector<Candidate> others(ranking.best.begin() + 1, ranking.best.end());
    archive.list("runners_up", others, "the next-best candidates: `distribution` to `estimate` of each",
                 [&](Candidate& candidate) {
                     if (!archive.documenting()) fields(archive, candidate, types, known);
                 });
    if (!archive.reading()) return;
    const auto complete = [&](const TypeCosts& row) {
        return std::ranges::none_of(known, [&](std::size_t c) { return std::isnan(row.costs[c]); });
    };
    archive.demand(std::ranges::all_of(rows, complete), "types", "must have a perplexity");
    ranking.best.insert(ranking.best.end(), others.begin(), others.end());
    plan.types = std::move(types);
    for (const TypeCosts& row : rows) plan.costs.push_back(row.costs);
}

std::string to_json(const Plan& plan) { return write_record(kPlanSchema, plan); }
Result<Plan> parse_plan(std::string_view text) { return parse_record<Plan>(text, kPlanSchema); }
Result<Plan> read_plan(const std::filesystem::path& path) { return read_record<Plan>(path, kPlanSchema); }

}  // namespace apreqel
