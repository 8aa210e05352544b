#include "study/format.h"

#include "base/file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace apreqel {
namespace {

using Json = nlohmann::ordered_json;

// ---- reading -------------------------------------------------------------------------------------------------------

/// Thrown while reading a document and turned into an Error by `read_document`.
struct FormatError {
    std::string message;
};

/// A JSON value and where it stands in its document.
class Value {
public:
    Value(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

    [[nodiscard]] bool has(std::string_view field) const
    {
        return json_.is_object() && json_.contains(field) && !json_.at(field).is_null();
    }

    [[nodiscard]] Value at(std::string_view field) const
    {
        if (!json_.is_object()) wrong("must be an object");
        const std::string where = where_.empty() ? std::string(field) : std::format("{}.{}", where_, field);
        if (!json_.contains(field)) throw FormatError{std::format("{} is missing", where)};
        return {json_.at(field), where};
    }

    [[nodiscard]] std::vector<Value> elements() const
    {
        if (!json_.is_array()) wrong("must be a list");
        std::vector<Value> values;
        for (std::size_t i = 0; i < json_.size(); ++i) values.emplace_back(json_.at(i), std::format("{}[{}]", where_, i));
        return values;
    }

    [[nodiscard]] std::vector<std::pair<std::string, Value>> fields() const
    {
        if (!json_.is_object()) wrong("must be an object");
        std::vector<std::pair<std::string, Value>> values;
        for (const auto& [name, value] : json_.items())
            values.emplace_back(name, Value(value, std::format("{}.{}", where_, name)));
        return values;
    }

    [[nodiscard]] std::string string() const
    {
        if (!json_.is_string()) wrong("must be a string");
        return json_.get<std::string>();
    }

    [[nodiscard]] double number() const
    {
        if (!json_.is_number()) wrong("must be a number");
        const auto value = json_.get<double>();
        if (!std::isfinite(value)) wrong("must be finite");
        return value;
    }

    [[nodiscard]] std::uint64_t count() const
    {
        const double value = number();
        if (value < 0 || value != std::floor(value) || value > 9007199254740992.0) wrong("must be a whole number, 0 or more");
        return static_cast<std::uint64_t>(value);
    }

    [[nodiscard]] bool boolean() const
    {
        if (!json_.is_boolean()) wrong("must be true or false");
        return json_.get<bool>();
    }

    [[nodiscard]] std::string string_or(std::string_view field, std::string_view absent) const
    {
        return has(field) ? at(field).string() : std::string(absent);
    }
    [[nodiscard]] double number_or(std::string_view field, double absent) const
    {
        return has(field) ? at(field).number() : absent;
    }
    [[nodiscard]] std::uint64_t count_or(std::string_view field, std::uint64_t absent) const
    {
        return has(field) ? at(field).count() : absent;
    }

    [[noreturn]] void wrong(std::string_view must) const
    {
        throw FormatError{std::format("{} {}", where_.empty() ? "it" : where_, must)};
    }

private:
    const Json& json_;
    std::string where_;
};

/// Reads `path` as a document of `schema` and makes a record of it; whatever is wrong becomes one line.
template <typename Make>
auto read_document(const std::filesystem::path& path, std::string_view schema, Make make)
    -> Result<decltype(make(std::declval<Value>()))>
{
    const auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    try {
        const Json json = Json::parse(*text);
        const Value document(json, "");
        const std::string found = document.string_or("schema", "none");
        if (found != schema) return fail("read {}: its schema is {}, {} is needed", path.string(), found, schema);
        return make(document);
    } catch (const FormatError& error) {
        return fail("read {}: {}", path.string(), error.message);
    } catch (const nlohmann::json::exception& error) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the bracket says nothing to people.
        const std::string_view what = error.what();
        const std::size_t bracket = what.find("] ");
        return fail("read {}: not JSON: {}", path.string(),
                    bracket == std::string_view::npos ? what : what.substr(bracket + 2));
    }
}

Quality parse_quality(const Value& value)
{
    return {.perplexity = value.at("perplexity").number(),
            .perplexity_error = value.number_or("perplexity_error", 0),
            .kld = value.number_or("kl_divergence", 0),
            .kld_error = value.number_or("kl_divergence_error", 0),
            .same_top = value.number_or("same_top", 0),
            .tokens = value.count_or("tokens", 0),
            .kld_tokens = value.count_or("kl_divergence_tokens", 0)};
}

Sampled parse_sampled(const Value& value, const std::string& field)
{
    Sampled sampled;
    if (!value.has(field)) return sampled;
    sampled.median = sampled.low = sampled.high = value.at(field).number();
    if (value.has(field + "_interval")) {
        const std::vector<Value> bounds = value.at(field + "_interval").elements();
        if (bounds.size() != 2) value.at(field + "_interval").wrong("must have two bounds");
        sampled.low = bounds[0].number();
        sampled.high = bounds[1].number();
    }
    sampled.confidence = value.number_or(field + "_confidence", 0);
    if (value.has(field + "_samples")) {
        for (const Value& sample : value.at(field + "_samples").elements()) sampled.samples.push_back(sample.number());
    }
    return sampled;
}

Speed parse_speed(const Value& value)
{
    return {.latency_ms = parse_sampled(value, "latency_ms"),
            .prompt_tokens_per_second = parse_sampled(value, "prompt_tokens_per_second")};
}

std::vector<Fallback> parse_fallbacks(const Value& value)
{
    std::vector<Fallback> fallbacks;
    if (!value.has("fallbacks")) return fallbacks;
    for (const Value& entry : value.at("fallbacks").elements()) {
        fallbacks.push_back({.layer = entry.string_or("layer", ""),
                             .tensor = entry.at("tensor").string(),
                             .wanted = entry.at("wanted").string(),
                             .used = entry.at("used").string(),
                             .columns = entry.count_or("columns", 0)});
    }
    return fallbacks;
}

Measurement parse_measurement(const Value& value, std::string name)
{
    Measurement measurement{.name = std::move(name),
                            .memory_bytes = value.at("memory_bytes").count(),
                            .bits_per_weight = value.number_or("file_bits_per_weight", 0)};
    if (value.has("perplexity")) measurement.quality = parse_quality(value);
    measurement.speed = parse_speed(value);
    return measurement;
}

Measurement parse_measurement(const Value& value) { return parse_measurement(value, value.at("name").string()); }

std::vector<Measurement> parse_measurements(const Value& value)
{
    std::vector<Measurement> measurements;
    for (const Value& entry : value.elements()) measurements.push_back(parse_measurement(entry));
    return measurements;
}

std::array<double, kMetrics> parse_by_metric(const Value& value)
{
    std::array<double, kMetrics> values{};
    for (std::size_t j = 0; j < kMetrics; ++j) values[j] = value.at(kMetricNames[j]).number();
    return values;
}

Metrics parse_metrics(const Value& value)
{
    return {value.at("memory_bytes").number(), value.at("latency_ms").number(), value.at("perplexity").number()};
}

/// What a plan and a study say of a distribution. `types`: the order of its counts.
Candidate parse_candidate(const Value& value, const std::vector<std::string>& types)
{
    Candidate candidate{.closeness = value.at("closeness").number(),
                        .distance_ideal = value.number_or("distance_to_ideal", 0),
                        .distance_anti_ideal = value.number_or("distance_to_anti_ideal", 0)};
    for (const std::string& type : types) candidate.counts.push_back(value.at("distribution").count_or(type, 0));
    candidate.estimate = parse_metrics(value.at("estimate"));
    candidate.kld = value.at("estimate").number_or("kl_divergence", 0);
    return candidate;
}

Plan parse_plan(const Value& value)
{
    Plan plan;
    plan.model = value.string_or("model", "");
    plan.model_name = value.string_or("model_name", "");
    plan.method = value.string_or("method", "");
    plan.embedding_type = value.string_or("embedding_type", "");
    for (const Value& entry : value.at("allocation").elements()) {
        plan.allocation.push_back({.layer = entry.at("layer").string(), .type = entry.at("type").string()});
    }
    plan.fallbacks = parse_fallbacks(value);
    if (!value.has("types") || !value.has("distribution")) return plan;
    for (const Value& entry : value.at("types").elements()) {
        plan.types.push_back(entry.at("type").string());
        plan.costs.push_back(parse_metrics(entry));
    }
    plan.weights = parse_by_metric(value.at("weights"));
    plan.ranking.candidates = value.number_or("candidates", 0);
    plan.ranking.best.push_back(parse_candidate(value, plan.types));
    return plan;
}

MixedModel parse_mixed(const Value& value)
{
    MixedModel model{.allocation = {}, .measurement = parse_measurement(value)};
    for (const auto& [layer, type] : value.at("allocation").fields()) model.allocation.push_back({layer, type.string()});
    return model;
}

LayerSensitivity parse_probes(const Value& value)
{
    LayerSensitivity layer{.layer = value.at("layer").string(), .parameters = value.at("parameters").count(), .probes = {}};
    for (const Value& cell : value.at("probes").elements()) {
        layer.probes.push_back({.memory_bytes = cell.at("memory_bytes").count(),
                                .measured = cell.at("measured").boolean(),
                                .kld = cell.at("kl_divergence").number(),
                                .kld_error = cell.number_or("kl_divergence_error", 0),
                                .tokens = cell.count_or("tokens", 0),
                                .squared_error = cell.number_or("squared_error", 0)});
        if (layer.probes.back().kld < 0) cell.at("kl_divergence").wrong("must not be negative");
    }
    return layer;
}

// ---- writing -------------------------------------------------------------------------------------------------------

Json document(std::string_view schema) { return Json{{"schema", schema}}; }

std::string text_of(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

void put(Json& json, const std::string& field, const Sampled& sampled)
{
    if (sampled.median == 0) return;  // not measured
    json[field] = sampled.median;
    if (sampled.samples.empty()) return;
    json[field + "_interval"] = {sampled.low, sampled.high};
    json[field + "_confidence"] = sampled.confidence;
    json[field + "_samples"] = sampled.samples;
}

void put(Json& json, const Quality& quality)
{
    json["perplexity"] = quality.perplexity;
    json["perplexity_error"] = quality.perplexity_error;
    json["tokens"] = quality.tokens;
    if (quality.kld_tokens == 0) return;
    json["kl_divergence"] = quality.kld;
    json["kl_divergence_error"] = quality.kld_error;
    json["same_top"] = quality.same_top;
    json["kl_divergence_tokens"] = quality.kld_tokens;
}

void put(Json& json, const Speed& speed)
{
    put(json, "latency_ms", speed.latency_ms);
    put(json, "prompt_tokens_per_second", speed.prompt_tokens_per_second);
}

void put(Json& json, const Measurement& measurement)
{
    json["memory_bytes"] = measurement.memory_bytes;
    json["file_bits_per_weight"] = measurement.bits_per_weight;
    put(json, measurement.speed);
    if (measurement.quality.perplexity > 0) put(json, measurement.quality);
}

void put(Json& json, const std::vector<Fallback>& fallbacks)
{
    json["fallbacks"] = Json::array();
    for (const Fallback& entry : fallbacks) {
        json["fallbacks"].push_back(
            {{"layer", entry.layer}, {"tensor", entry.tensor}, {"wanted", entry.wanted}, {"used", entry.used}});
        if (entry.columns > 0) json["fallbacks"].back()["columns"] = entry.columns;
    }
}

Json metrics_json(const Metrics& metrics)
{
    return {{"memory_bytes", metrics[0]}, {"latency_ms", metrics[1]}, {"perplexity", metrics[2]}};
}

Json by_metric(const std::array<double, kMetrics>& values)
{
    Json json;
    for (std::size_t j = 0; j < kMetrics; ++j) json[std::string(kMetricNames[j])] = values[j];
    return json;
}

void put(Json& json, const Candidate& candidate, const std::vector<std::string>& types)
{
    for (std::size_t i = 0; i < types.size(); ++i) json["distribution"][types[i]] = candidate.counts[i];
    json["closeness"] = candidate.closeness;
    json["distance_to_ideal"] = candidate.distance_ideal;
    json["distance_to_anti_ideal"] = candidate.distance_anti_ideal;
    json["estimate"] = metrics_json(candidate.estimate);
    if (candidate.kld > 0) json["estimate"]["kl_divergence"] = candidate.kld;
}

void put(Json& json, const Limits& limits)
{
    json["limits"] = Json::object();
    if (limits.memory_bytes) json["limits"]["memory_bytes"] = *limits.memory_bytes;
    if (limits.context > 0) json["limits"]["context"] = limits.context;
    if (limits.latency_ms) json["limits"]["latency_ms"] = *limits.latency_ms;
    if (limits.kld) json["limits"]["kl_divergence"] = *limits.kld;
    if (limits.perplexity_increase) json["limits"]["perplexity_increase"] = *limits.perplexity_increase;
}

/// A whole number where a double is exact.
Json count_json(double count)
{
    constexpr double kExact = 9'007'199'254'740'992;  // 2^53
    return count < kExact ? Json(static_cast<std::uint64_t>(count)) : Json(count);
}

Json plan_json(const Plan& plan)
{
    Json json = document("apreqel.plan/1");
    json["model"] = plan.model;
    json["model_name"] = plan.model_name;
    json["method"] = plan.method;
    json["weights"] = by_metric(plan.weights);
    if (plan.method == "front") put(json, plan.limits);
    if (plan.method == "front") json["epsilon"] = plan.epsilon;
    if (plan.method == "front") json["latency_error"] = plan.latency_error;
    json["candidates"] = count_json(plan.ranking.candidates);
    put(json, plan.chosen(), plan.types);
    json["embedding_type"] = plan.embedding_type;
    json["allocation"] = Json::array();
    for (const LayerType& entry : plan.allocation) json["allocation"].push_back({{"layer", entry.layer}, {"type", entry.type}});
    put(json, plan.fallbacks);
    json["normalization"] = {{"norm", by_metric(plan.ranking.norm)},
                             {"ideal", by_metric(plan.ranking.ideal)},
                             {"anti_ideal", by_metric(plan.ranking.anti_ideal)}};
    json["types"] = Json::array();
    for (std::size_t i = 0; i < plan.types.size(); ++i) {
        Json type{{"type", plan.types[i]}};
        type.update(metrics_json(plan.costs[i]));
        json["types"].push_back(type);
    }
    json["runners_up"] = Json::array();
    for (std::size_t k = 1; k < plan.ranking.best.size(); ++k) {
        Json candidate;
        put(candidate, plan.ranking.best[k], plan.types);
        json["runners_up"].push_back(candidate);
    }
    return json;
}

Json measurement_json(const Measurement& measurement)
{
    Json json{{"name", measurement.name}};
    put(json, measurement);
    return json;
}

Json mixed_json(const MixedModel& model)
{
    Json json = measurement_json(model.measurement);
    for (const LayerType& entry : model.allocation) json["allocation"][entry.layer] = entry.type;
    return json;
}

Json probes_json(const LayerSensitivity& layer)
{
    Json json{{"layer", layer.layer}, {"parameters", layer.parameters}, {"probes", Json::array()}};
    for (const Probe& probe : layer.probes) {
        Json cell{{"memory_bytes", probe.memory_bytes}, {"kl_divergence", probe.kld}, {"measured", probe.measured}};
        if (probe.measured) {
            cell["kl_divergence_error"] = probe.kld_error;
            cell["tokens"] = probe.tokens;
        }
        cell["squared_error"] = probe.squared_error;
        json["probes"].push_back(cell);
    }
    return json;
}

std::string_view place_name(TensorPlace place)
{
    switch (place) {
        case TensorPlace::layer: return "layer";
        case TensorPlace::embedding: return "embedding";
        case TensorPlace::fixed: return "fixed";
    }
    return "";
}

std::string_view residual_name(Residual residual)
{
    switch (residual) {
        case Residual::sequential: return "sequential";
        case Residual::parallel: return "parallel";
        case Residual::other: return "other";
    }
    return "";
}

}  // namespace

std::string to_json(const Inventory& inventory, const std::vector<TypeWeight>& weights)
{
    Json json = document("apreqel.inventory/1");
    json["model"] = inventory.fingerprint;
    json["model_name"] = inventory.name;
    json["architecture"] = inventory.architecture;
    json["files"] = Json::array();
    for (const auto& file : inventory.files) json["files"].push_back(file.string());
    json["blocks"] = inventory.blocks;
    json["experts"] = inventory.experts;
    json["parameters"] = inventory.parameters();
    json["tensor_bytes"] = inventory.size_bytes();
    json["tied_embeddings"] = inventory.tied_embeddings;
    json["residual"] = residual_name(inventory.residual);
    json["residual_reason"] = inventory.residual_reason;
    json["layers"] = Json::array();
    for (const Layer& layer : inventory.layers) {
        Json entry{{"layer", layer.name}, {"parameters", layer.parameters}, {"tensors", Json::array()}};
        for (const std::size_t t : layer.tensors) entry["tensors"].push_back(inventory.tensors[t].name);
        json["layers"].push_back(entry);
    }
    json["tensors"] = Json::array();
    for (const Tensor& tensor : inventory.tensors) {
        json["tensors"].push_back({{"name", tensor.name},
                                   {"role", tensor.role},
                                   {"shape", tensor.shape},
                                   {"type", type_name(tensor.type)},
                                   {"size_bytes", tensor.size_bytes},
                                   {"place", place_name(tensor.place)}});
    }
    json["types"] = Json::array();
    for (const TypeWeight& weight : weights) {
        Json entry{{"type", weight.type},
                   {"memory_bytes", weight.tensor_bytes},
                   {"file_bytes", weight.file_bytes},
                   {"file_bits_per_weight", weight.bits_per_weight}};
        put(entry, weight.fallbacks);
        json["types"].push_back(entry);
    }
    return text_of(json);
}

std::string to_json(const Scores& scores, std::string_view key)
{
    Json json = document("apreqel.scores/1");
    if (!key.empty()) json["key"] = key;
    json["model"] = scores.model;
    json["model_name"] = scores.model_name;
    json["gamma"] = scores.gamma;
    json["prompts"] = scores.prompts;
    json["tokens"] = scores.tokens;
    json["prompts_source"] = scores.prompts_source;
    json["layers"] = Json::array();
    for (const LayerScore& layer : scores.layers) {
        json["layers"].push_back({{"layer", layer.layer},
                                  {"score", layer.score},
                                  {"rewards", layer.rewards},
                                  {"penalties", layer.penalties},
                                  {"mean_similarity", layer.mean_similarity}});
    }
    return text_of(json);
}

std::string to_json(const Profile& profile, std::string_view key)
{
    Json json = document("apreqel.profile/1");
    if (!key.empty()) json["key"] = key;
    json["model"] = profile.model;
    json["model_name"] = profile.model_name;
    json["layers"] = profile.layers;
    json["embedding_type"] = profile.embedding_type;
    json["device"] = profile.device;
    json["text"] = profile.text;
    json["version"] = profile.version;
    json["types"] = Json::array();
    for (const UniformVariant& variant : profile.types) {
        Json entry{{"type", variant.type}, {"bits_per_weight", variant.bits_per_weight}};
        put(entry, variant.measurement);
        put(entry, variant.fallbacks);
        json["types"].push_back(entry);
    }
    json["mixes"] = Json::array();
    for (const MixedModel& mix : profile.mixes) json["mixes"].push_back(mixed_json(mix));
    return text_of(json);
}

std::string to_json(const Sensitivity& sensitivity, std::string_view key)
{
    Json json = document("apreqel.sensitivity/1");
    if (!key.empty()) json["key"] = key;
    json["model"] = sensitivity.model;
    json["model_name"] = sensitivity.model_name;
    json["text"] = sensitivity.text;
    json["version"] = sensitivity.version;
    json["embedding_type"] = sensitivity.embedding_type;
    json["fixed_bytes"] = sensitivity.fixed_bytes;
    json["embedding_bytes"] = sensitivity.embedding_bytes;
    json["kv_bytes_per_token"] = sensitivity.kv_bytes_per_token;
    json["embedding_kl_divergence"] = sensitivity.embedding_kld;
    json["noise_floor"] = sensitivity.noise_floor;
    json["types"] = sensitivity.types;
    json["layers"] = Json::array();
    for (const LayerSensitivity& layer : sensitivity.layers) json["layers"].push_back(probes_json(layer));
    if (!sensitivity.embedding.probes.empty()) json["embedding"] = probes_json(sensitivity.embedding);
    json["separability"] = {{"pairs", sensitivity.separability.pairs},
                            {"median_factor", sensitivity.separability.median_factor},
                            {"worst_factor", sensitivity.separability.worst_factor}};
    return text_of(json);
}

std::string to_json(const Plan& plan) { return text_of(plan_json(plan)); }

std::string to_json(const std::vector<Measurement>& measurements, const std::string& device, const std::string& text)
{
    Json json = document("apreqel.measurements/1");
    json["device"] = device;
    json["text"] = text;
    json["models"] = Json::array();
    for (const Measurement& measurement : measurements) json["models"].push_back(measurement_json(measurement));
    return text_of(json);
}

std::string to_json(const RunResult& result)
{
    Json json = document("apreqel.run/1");
    json["device"] = result.device;
    json["text"] = result.text;
    json["version"] = result.version;
    json["plan"] = plan_json(result.plan);
    json["reference"] = measurement_json(result.reference);
    json["uniform"] = Json::array();
    for (const Measurement& measurement : result.uniform) json["uniform"].push_back(measurement_json(measurement));
    json["mix"] = measurement_json(result.mix);
    json["tried"] = Json::array();
    for (const Measurement& measurement : result.tried) json["tried"].push_back(measurement_json(measurement));
    if (!result.instead.empty()) json["instead"] = result.instead;
    json["limits_kept"] = result.limits_kept;
    return text_of(json);
}

std::string to_json(const Evaluation& evaluation)
{
    const Profile& profile = evaluation.profile;
    Json json = document("apreqel.study/1");
    json["model"] = profile.model;
    json["model_name"] = profile.model_name;
    json["device"] = profile.device;
    json["text"] = profile.text;
    json["version"] = profile.version;
    json["embedding_type"] = profile.embedding_type;
    json["reference"] = measurement_json(evaluation.reference);
    json["uniform"] = Json::array();
    for (const Measurement& measurement : evaluation.uniform) json["uniform"].push_back(measurement_json(measurement));
    json["settings"] = Json::array();
    for (const SettingResult& setting : evaluation.settings) {
        Json entry{{"category", setting.category}, {"weights", by_metric(setting.plan.weights)}};
        put(entry, setting.plan.chosen(), setting.plan.types);
        json["settings"].push_back(entry);
    }
    json["models"] = Json::array();
    for (const MixedModel& model : evaluation.models) {
        json["models"].push_back(mixed_json(model));
    }
    const auto put_gain = [](Json& entry, const std::vector<Measurement>& uniform, const std::vector<Measurement>& models) {
        const auto gain = hypervolume_gain(uniform, models);
        if (gain && gain->gain) entry["hypervolume_gain"] = *gain->gain;
        if (gain && gain->low) entry["hypervolume_gain_interval"] = {*gain->low, *gain->high};
    };
    json["sets"] = Json::array();
    for (const ModelSet& set : evaluation.sets) {
        Json entry{{"name", set.name},
                   {"types", set.types},
                   {"models", set.models},
                   {"baseline", set.baseline},
                   {"candidates", Json::array()}};
        for (const Candidate& candidate : set.candidates) {
            Json planned;
            put(planned, candidate, set.types);
            entry["candidates"].push_back(planned);
        }
        if (set.estimated_gain) entry["estimated_gain"] = *set.estimated_gain;
        put_gain(entry, baseline_of(evaluation, set), models_of(evaluation, set.models));
        json["sets"].push_back(entry);
    }
    json["orders"] = Json::array();
    for (const OrderResult& order : evaluation.orders) {
        Json entry{{"order", order.order}, {"models", order.models}};
        put_gain(entry, evaluation.uniform, models_of(evaluation, order.models));
        json["orders"].push_back(entry);
    }
    return text_of(json);
}

std::string to_json(const Quality& quality)
{
    Json json = document("apreqel.quality/1");
    put(json, quality);
    return text_of(json);
}

std::string to_json(const std::vector<Speed>& speeds)
{
    Json json = document("apreqel.speed/1");
    json["models"] = Json::array();
    for (const Speed& speed : speeds) {
        Json entry = Json::object();
        put(entry, speed);
        json["models"].push_back(entry);
    }
    return text_of(json);
}

std::string to_json(const ImportanceMatrix& matrix, const Inventory& inventory)
{
    Json json = document("apreqel.imatrix/1");
    json["model"] = inventory.fingerprint;
    json["model_name"] = inventory.name;
    json["text"] = matrix.text;
    json["context"] = matrix.context;
    json["chunks"] = matrix.chunks;
    json["tensors"] = Json::array();
    for (const InputSums& sums : matrix.tensors) {
        const std::uint64_t inputs = std::accumulate(sums.inputs.begin(), sums.inputs.end(), std::uint64_t{0});
        const double squares = std::accumulate(sums.squares.begin(), sums.squares.end(), 0.0);
        const double columns = static_cast<double>(sums.squares.size()) / static_cast<double>(sums.inputs.size());
        json["tensors"].push_back({{"tensor", sums.tensor},
                                   {"matrices", sums.inputs.size()},
                                   {"inputs", inputs},
                                   {"mean_square", squares / (columns * static_cast<double>(inputs))}});
    }
    return text_of(json);
}

Result<Scores> read_scores(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.scores/1", [](const Value& value) {
        Scores scores;
        scores.model = value.string_or("model", "");
        scores.model_name = value.string_or("model_name", "");
        scores.gamma = value.number_or("gamma", scores.gamma);
        scores.prompts = value.count_or("prompts", 0);
        scores.tokens = value.count_or("tokens", 0);
        scores.prompts_source = value.string_or("prompts_source", "");
        for (const Value& entry : value.at("layers").elements()) {
            scores.layers.push_back({.layer = entry.at("layer").string(),
                                     .score = entry.at("score").number(),
                                     .rewards = entry.count_or("rewards", 0),
                                     .penalties = entry.count_or("penalties", 0),
                                     .mean_similarity = entry.number_or("mean_similarity", 1)});
        }
        return scores;
    });
}

Result<Profile> read_profile(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.profile/1", [](const Value& value) {
        Profile profile;
        profile.model = value.string_or("model", "");
        profile.model_name = value.string_or("model_name", "");
        profile.layers = value.at("layers").count();
        profile.embedding_type = value.string_or("embedding_type", "");
        profile.device = value.string_or("device", "");
        profile.text = value.string_or("text", "");
        profile.version = value.string_or("version", "");
        for (const Value& entry : value.at("types").elements()) {
            UniformVariant variant;
            variant.type = entry.at("type").string();
            const auto type = parse_type(std::string_view(variant.type).substr(0, variant.type.find('+')));
            if (!entry.has("bits_per_weight") && !type) throw FormatError{type.error().message};
            variant.bits_per_weight = entry.number_or("bits_per_weight", type ? bits_per_weight(*type) : 0);
            static_cast<void>(entry.at("latency_ms").number());  // required here, though not where only quality is kept
            static_cast<void>(entry.at("perplexity").number());
            variant.measurement = parse_measurement(entry, variant.type);
            variant.fallbacks = parse_fallbacks(entry);
            profile.types.push_back(std::move(variant));
        }
        if (value.has("mixes"))
            for (const Value& mix : value.at("mixes").elements()) profile.mixes.push_back(parse_mixed(mix));
        return profile;
    });
}

Result<Plan> read_plan(const std::filesystem::path& path) { return read_document(path, "apreqel.plan/1", parse_plan); }

Result<Sensitivity> read_sensitivity(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.sensitivity/1", [](const Value& value) {
        Sensitivity sensitivity{.model = value.string_or("model", ""),
                                .model_name = value.string_or("model_name", ""),
                                .text = value.string_or("text", ""),
                                .version = value.string_or("version", ""),
                                .embedding_type = value.string_or("embedding_type", ""),
                                .fixed_bytes = value.count_or("fixed_bytes", 0),
                                .embedding_bytes = value.count_or("embedding_bytes", 0),
                                .kv_bytes_per_token = value.count_or("kv_bytes_per_token", 0),
                                .embedding_kld = value.number_or("embedding_kl_divergence", 0),
                                .noise_floor = value.number_or("noise_floor", 0)};
        for (const Value& type : value.at("types").elements()) sensitivity.types.push_back(type.string());
        for (const Value& entry : value.at("layers").elements()) {
            LayerSensitivity layer = parse_probes(entry);
            if (layer.probes.size() != sensitivity.types.size()) entry.at("probes").wrong("must be one for each type");
            sensitivity.layers.push_back(std::move(layer));
        }
        if (value.has("embedding")) {
            sensitivity.embedding = parse_probes(value.at("embedding"));
            if (sensitivity.embedding.probes.size() != sensitivity.types.size())
                value.at("embedding").at("probes").wrong("must be one for each type");
        }
        if (value.has("separability")) {
            const Value held = value.at("separability");
            sensitivity.separability = {.pairs = held.count_or("pairs", 0),
                                        .median_factor = held.number_or("median_factor", 1),
                                        .worst_factor = held.number_or("worst_factor", 1)};
        }
        return sensitivity;
    });
}

Result<RunResult> read_run(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.run/1", [](const Value& value) {
        RunResult result{.plan = parse_plan(value.at("plan")),
                         .reference = parse_measurement(value.at("reference")),
                         .uniform = parse_measurements(value.at("uniform")),
                         .mix = parse_measurement(value.at("mix")),
                         .tried = value.has("tried") ? parse_measurements(value.at("tried")) : std::vector<Measurement>(),
                         .instead = value.string_or("instead", ""),
                         .limits_kept = !value.has("limits_kept") || value.at("limits_kept").boolean(),
                         .device = value.string_or("device", ""),
                         .text = value.string_or("text", ""),
                         .version = value.string_or("version", "")};
        if (result.plan.ranking.best.empty()) value.at("plan").wrong("must have types and a distribution");
        return result;
    });
}

Result<Evaluation> read_evaluation(const std::filesystem::path& path, const Profile& profile, const Scores& scores)
{
    return read_document(path, "apreqel.study/1", [&](const Value& value) {
        Evaluation evaluation{.profile = profile, .scores = scores};
        if (value.string_or("model", "") != profile.model) value.at("model").wrong("is not the model of the profile");
        evaluation.reference = parse_measurement(value.at("reference"));
        evaluation.uniform = parse_measurements(value.at("uniform"));
        evaluation.profile.types.clear();  // the profile may hold more types than the paper's part of the study
        for (const Measurement& uniform : evaluation.uniform) {
            const auto variant = std::ranges::find(profile.types, uniform.name, &UniformVariant::type);
            if (variant == profile.types.end()) value.at("uniform").wrong("are not types of the profile: run the study again");
            evaluation.profile.types.push_back(*variant);
        }
        Plan plan{.model = profile.model, .model_name = profile.model_name};
        for (const UniformVariant& variant : evaluation.profile.types) {
            plan.types.push_back(variant.type);
            plan.costs.push_back(metrics_of(variant.measurement));
        }
        for (const Value& entry : value.at("settings").elements()) {
            SettingResult setting{.category = entry.at("category").string(), .plan = plan};
            setting.plan.weights = parse_by_metric(entry.at("weights"));
            setting.plan.ranking.best.push_back(parse_candidate(entry, plan.types));
            evaluation.settings.push_back(std::move(setting));
        }
        for (const Value& entry : value.at("models").elements()) {
            evaluation.models.push_back(parse_mixed(entry));
        }
        const auto indices = [&](const Value& list) {
            std::vector<std::size_t> models;
            for (const Value& model : list.elements()) {
                if (model.count() >= evaluation.models.size()) model.wrong("is not one of the models");
                models.push_back(model.count());
            }
            return models;
        };
        if (value.has("sets")) {
            for (const Value& entry : value.at("sets").elements()) {
                ModelSet set{.name = entry.at("name").string(),
                             .types = {},
                             .candidates = {},
                             .models = indices(entry.at("models")),
                             .baseline = entry.has("baseline") ? indices(entry.at("baseline")) : std::vector<std::size_t>(),
                             .estimated_gain = {}};
                for (const Value& type : entry.at("types").elements()) set.types.push_back(type.string());
                for (const Value& candidate : entry.at("candidates").elements())
                    set.candidates.push_back(parse_candidate(candidate, set.types));
                if (set.models.empty() || (!set.candidates.empty() && set.candidates.size() != set.models.size()))
                    entry.at("models").wrong("must be one for each candidate");
                if (entry.has("estimated_gain")) set.estimated_gain = entry.at("estimated_gain").number();
                evaluation.sets.push_back(std::move(set));
            }
        }
        for (const Value& entry : value.at("orders").elements()) {
            OrderResult order{.order = entry.at("order").string(), .models = indices(entry.at("models"))};
            if (order.models.size() != evaluation.settings.size()) entry.at("models").wrong("must be one for each setting");
            evaluation.orders.push_back(std::move(order));
        }
        if (evaluation.orders.empty() || evaluation.settings.empty() || evaluation.uniform.empty())
            value.wrong("must have settings, types and orders");
        return evaluation;
    });
}

Result<Quality> read_quality(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.quality/1", parse_quality);
}

Result<std::vector<Speed>> read_speeds(const std::filesystem::path& path)
{
    return read_document(path, "apreqel.speed/1", [](const Value& value) {
        std::vector<Speed> speeds;
        for (const Value& entry : value.at("models").elements()) speeds.push_back(parse_speed(entry));
        return speeds;
    });
}

std::string read_key(const std::filesystem::path& path)
{
    const auto text = read_text(path);
    if (!text) return "";
    const Json json = Json::parse(*text, nullptr, false);
    return json.is_object() && json.contains("key") && json["key"].is_string() ? json["key"].get<std::string>() : "";
}

Result<std::vector<std::string>> read_prompts(const std::filesystem::path& path)
{
    const auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    std::vector<std::string> prompts;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text->size(); ++number) {
        const std::size_t end = std::min(text->find('\n', begin), text->size());
        std::string line = text->substr(begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) line.pop_back();
        if (line.find_first_not_of(" \t") == std::string::npos) continue;
        if (line.front() != '{') {
            prompts.push_back(std::move(line));
            continue;
        }
        const Json json = Json::parse(line, nullptr, false);
        const auto pick = [&](const char* field) { return json.is_object() && json.contains(field) ? json[field] : Json(); };
        Json prompt = pick("prompt");
        if (prompt.is_null()) prompt = pick("text");
        if (prompt.is_null() && pick("turns").is_array() && !pick("turns").empty()) prompt = pick("turns").front();
        if (!prompt.is_string()) {
            return fail("read {}: line {} is no JSON object with a prompt, text or turns field", path.string(), number + 1);
        }
        prompts.push_back(prompt.get<std::string>());
    }
    if (prompts.empty()) return fail("read {}: it holds no prompts", path.string());
    return prompts;
}

std::string prompts_jsonl(const std::vector<std::string>& prompts)
{
    std::string lines;
    for (const std::string& prompt : prompts) lines += Json{{"prompt", prompt}}.dump() + "\n";
    return lines;
}

}  // namespace apreqel
