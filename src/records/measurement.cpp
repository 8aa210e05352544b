#include "records/document.h"
#include "records/fields.h"

#include <apreqel/contest.h>

namespace apreqel {
namespace {

/// A figure and its spread: four fields that begin with the same name.
void sampled_fields(Archive& archive, const std::string& name, Sampled& sampled, std::string_view meaning)
{
    archive.optional(name, sampled.median, meaning, {.rule = Rule::positive, .written = sampled.median != 0});
    const bool spread = !sampled.samples.empty();
    std::vector<double> bounds{sampled.low, sampled.high};
    if (archive.reading()) bounds.assign(2, sampled.median);
    archive.optional(name + "_interval", bounds, "its lower and upper bound", {.written = spread});
    archive.demand(bounds.size() == 2, name + "_interval", "must have two bounds");
    archive.demand(bounds.front() <= bounds.back(), name + "_interval", "must be in order");
    sampled.low = bounds.front();
    sampled.high = bounds.back();
    archive.optional(name + "_confidence", sampled.confidence, "coverage of the interval",
                     {.rule = Rule::share, .written = spread});
    archive.optional(name + "_samples", sampled.samples, "one value per round", {.rule = Rule::positive, .written = spread});
    archive.optional(name + "_raw_samples", sampled.raw, "the same as measured, where the drift of the machine was taken out",
                     {.rule = Rule::positive, .written = !sampled.raw.empty()});
}

/// Bounds of an interval, where there is one.
void bounds_field(Archive& archive, std::string_view name, const std::optional<Interval>& interval, std::string_view meaning)
{
    std::vector<double> bounds;
    if (interval) bounds = {interval->low, interval->high};
    archive.optional(name, bounds, meaning, {.written = interval.has_value()});
}

/// Whether everything was measured that a contest compares.
bool comparable(const Measurement& model)
{
    return model.memory_bytes > 0 && model.speed.latency_ms.median > 0 && model.quality.kld_tokens > 0 && model.quality.kld > 0;
}

}  // namespace

void quality_fields(Archive& archive, Quality& quality, bool written)
{
    archive.optional("perplexity", quality.perplexity, "on the text", {.rule = Rule::positive, .written = written});
    archive.optional("perplexity_error", quality.perplexity_error, "its standard error",
                     {.rule = Rule::not_negative, .written = written});
    archive.optional("tokens", quality.tokens, "tokens scored for it", {.written = written});
    const bool compared = written && quality.kld_tokens > 0;
    archive.optional("kl_divergence", quality.kld, "mean KL divergence to the full-precision model, nats per token",
                     {.written = compared});
    archive.optional("kl_divergence_error", quality.kld_error, "its standard error",
                     {.rule = Rule::not_negative, .written = compared});
    archive.optional("same_top", quality.same_top,
                     "share of tokens whose most likely token is that of the full-precision model",
                     {.rule = Rule::share, .written = compared});
    archive.optional("kl_divergence_tokens", quality.kld_tokens, "tokens scored for it", {.written = compared});
    archive.optional("nll_by_chunk", quality.chunk_nll, "by chunk of the text: Σ −log p over its scored tokens, nats",
                     {.written = !quality.chunk_nll.empty()});
    archive.optional("kl_divergence_by_chunk", quality.chunk_kld, "by chunk: Σ KL divergence, nats",
                     {.written = !quality.chunk_kld.empty()});
}

void fields(Archive& archive, Quality& quality)
{
    archive.expect("perplexity");
    quality_fields(archive, quality, true);
}

void fields(Archive& archive, Speed& speed)
{
    sampled_fields(archive, "latency_ms", speed.latency_ms, "median, milliseconds per generated token");
    sampled_fields(archive, "prompt_tokens_per_second", speed.prompt_tokens_per_second, "median, processing a prompt");
    Energy& energy = speed.energy;
    const bool counted = archive.documenting() || energy.joules.median != 0;
    sampled_fields(archive, "energy_j", energy.joules,
                   "median, joules per generated token, those of the idle machine included");
    archive.optional("idle_power_w", energy.idle_watts, "watts before the models ran",
                     {.rule = Rule::not_negative, .written = counted});
    archive.optional("energy_source", energy.source, "what was counted", {.written = counted});
}

void fields(Archive& archive, std::vector<Speed>& speeds) { archive.required("models", speeds, "in the order of the files"); }

void measured_fields(Archive& archive, Measurement& measurement)
{
    if (archive.refer_to("what is measured")) return;
    archive.required("memory_bytes", measurement.memory_bytes, "of all tensors, without `cache`", {.rule = Rule::positive});
    archive.optional("file_bits_per_weight", measurement.bits_per_weight, "8 × `memory_bytes` ÷ parameters",
                     {.rule = Rule::not_negative});
    fields(archive, measurement.speed);
    quality_fields(archive, measurement.quality, measurement.quality.perplexity > 0);
    archive.optional("cache", measurement.cache, "the KV cache, where its types are chosen too: its bytes count as memory");
    archive.optional("placed", measurement.placed,
                     "where `memory_bytes` and that cache are, where it was chosen what is on accelerators");
}

void fields(Archive& archive, PlacedBytes& placed)
{
    archive.required("gpu_bytes", placed.gpu_bytes, "on accelerators");
    archive.required("main_bytes", placed.main_bytes, "in main memory");
}

void fields(Archive& archive, CacheChoice& cache)
{
    archive.required("type_k", cache.types.keys, "of the keys", {.rule = Rule::name});
    archive.required("type_v", cache.types.values, "of the values", {.rule = Rule::name});
    archive.required("bytes", cache.bytes, "of both", {.rule = Rule::positive});
}

void fields(Archive& archive, Measurement& measurement)
{
    archive.required("name", measurement.name, "type of a uniform variant, or file name");
    measured_fields(archive, measurement);
}

void rival_fields(Archive& archive, Measurement& rival, const Measurement& model, const Quality& reference)
{
    fields(archive, rival);
    const bool both = comparable(rival) && comparable(model);
    Contest result = both && archive.writing() ? contest(model, rival, reference) : Contest{};
    bool no_larger = result.no_larger();
    bool no_slower = result.no_slower();
    bool closer = result.closer();
    archive.object(
        "contest", "the model beside it",
        [&] {
            archive.optional("memory", result.memory, "bytes ÷ its bytes");
            archive.optional("latency", result.latency.median, "ms per token ÷ its, median of the rounds");
            bounds_field(archive, "latency_interval", Interval{.low = result.latency.low, .high = result.latency.high},
                         "of that, with the coverage of latencies");
            archive.optional("divergence", result.divergence, "KL divergence ÷ its");
            bounds_field(archive, "divergence_interval", result.divergence_interval,
                         "of that, 95 % over resampled chunks of the text");
            archive.optional("nll", result.nll, "mean −log p of the text's tokens less full precision's, nats",
                             {.written = result.has_chunks});
            archive.optional("rival_nll", result.rival_nll, "its mean −log p less full precision's, nats",
                             {.written = result.has_chunks});
            archive.optional("nll_error", result.nll_error,
                             "paired standard error of how much farther from 0 `nll` is than `rival_nll`",
                             {.rule = Rule::not_negative, .written = result.has_chunks});
            archive.optional("no_larger", no_larger, "than the rival");
            archive.optional("no_slower", no_slower, "beyond the noise");
            archive.optional("closer", closer,
                             "to full precision by KL divergence, and not farther by −log p beyond two standard errors");
        },
        both || !archive.writing());
}

void fields(Archive& archive, Fallback& fallback)
{
    archive.optional("layer", fallback.group, "empty for a tensor outside the layers", {.rule = Rule::label});
    archive.required("tensor", fallback.tensor, "its name", {.rule = Rule::name});
    archive.required("wanted", fallback.wanted, "type that it cannot have", {.rule = Rule::name});
    archive.required("used", fallback.used, "type that it has", {.rule = Rule::name});
    archive.optional("columns", fallback.columns, "weights in a row of it", {.written = fallback.columns > 0});
}

void fields(Archive& archive, MixedModel& model)
{
    fields(archive, model.measurement);
    archive.map("allocation", model.allocation, &GroupType::group, &GroupType::type, "the type of each layer, by its name");
}

void fields(Archive& archive, MeasuredModels& measured)
{
    archive.optional("device", measured.device, "machine, backend and threads the speeds hold for");
    archive.optional("text", measured.text, "file name, or how it was sampled");
    archive.required("models", measured.models, "in the order they were named");
}

std::string to_json(const std::vector<Measurement>& measurements, const std::string& device, const std::string& text)
{
    const MeasuredModels all{.device = device, .text = text, .models = measurements};
    return write_record(kMeasurementsSchema, all);
}

std::string to_json(const Quality& quality) { return write_record(kQualitySchema, quality); }
Result<Quality> parse_quality(std::string_view text) { return parse_record<Quality>(text, kQualitySchema); }
Result<Quality> read_quality(const std::filesystem::path& path) { return read_record<Quality>(path, kQualitySchema); }

std::string to_json(const std::vector<Speed>& speeds) { return write_record(kSpeedSchema, speeds); }
Result<std::vector<Speed>> parse_speeds(std::string_view text) { return parse_record<std::vector<Speed>>(text, kSpeedSchema); }
Result<std::vector<Speed>> read_speeds(const std::filesystem::path& path)
{
    return read_record<std::vector<Speed>>(path, kSpeedSchema);
}

}  // namespace apreqel
