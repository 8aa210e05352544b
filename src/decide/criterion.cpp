// The criteria there are, and what is said of them in words: weights and limits.
#include <apreqel/criterion.h>

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

namespace apreqel {
namespace {

double positive(double value) { return value > 0 ? value : kUnknown; }

double perplexity_increase(const Measurement& model, const Quality& reference)
{
    return positive(model.quality.perplexity) / positive(reference.perplexity) - 1;
}

constexpr std::array<Criterion, kCriteria> kTable{{
    {.name = "memory",
     .weight = "memory",
     .limit = "max-memory",
     .field = "memory_bytes",
     .heading = "memory",
     .limit_meaning =
         "Most memory, such as 4GiB or 4G (1024³ bytes each) or 4GB (1000³); by place, gpu=8GiB,cpu=16GiB, how many layers "
         "are on GPUs is chosen too",
     .dimension = Dimension::bytes,
     .digits = 2,
     .composition = Composition::counted,
     .of_device = false,
     .of = [](const Measurement& m, const Quality&) { return positive(static_cast<double>(m.bytes())); }},
    {.name = "GPU memory",
     .weight = "gpu",
     .limit = "max-memory gpu",
     .field = "gpu_memory_bytes",
     .heading = "GPU memory",
     .limit_meaning = "",
     .dimension = Dimension::bytes,
     .digits = 2,
     .composition = Composition::counted,
     .of_device = true,
     .of = [](const Measurement& m, const Quality&) { return m.placed ? static_cast<double>(m.placed->gpu_bytes) : kUnknown; }},
    {.name = "main memory",
     .weight = "cpu",
     .limit = "max-memory cpu",
     .field = "main_memory_bytes",
     .heading = "main memory",
     .limit_meaning = "",
     .dimension = Dimension::bytes,
     .digits = 2,
     .composition = Composition::counted,
     .of_device = true,
     .of = [](const Measurement& m,
              const Quality&) { return m.placed ? static_cast<double>(m.placed->main_bytes) : kUnknown; }},
    {.name = "latency",
     .weight = "latency",
     .limit = "max-latency",
     .field = "latency_ms",
     .heading = "ms/token",
     .limit_meaning = "Most time per generated token, such as 40ms",
     .dimension = Dimension::milliseconds,
     .digits = 3,
     .composition = Composition::timed,
     .of_device = true,
     .of = [](const Measurement& m, const Quality&) { return positive(m.speed.latency_ms.median); }},
    {.name = "prompt latency",
     .weight = "prompt",
     .limit = "max-prompt-latency",
     .field = "prompt_latency_ms",
     .heading = "ms/prompt token",
     .limit_meaning = "Most time per token of a prompt, such as 2ms",
     .dimension = Dimension::milliseconds,
     .digits = 4,
     .composition = Composition::timed,
     .of_device = true,
     .of = [](const Measurement& m, const Quality&) { return 1000 / positive(m.speed.prompt_tokens_per_second.median); }},
    {.name = "energy",
     .weight = "energy",
     .limit = "max-energy",
     .field = "energy_j",
     .heading = "J/token",
     .limit_meaning = "Most energy per generated token, such as 2J",
     .dimension = Dimension::joules,
     .digits = 4,
     .composition = Composition::timed,
     .of_device = true,
     .of = [](const Measurement& m, const Quality&) { return positive(m.speed.energy.joules.median); }},
    {.name = "KL divergence",
     .weight = "accuracy",
     .limit = "max-kld",
     .field = "kl_divergence",
     .heading = "KL divergence",
     .limit_meaning = "Most KL divergence to full precision, in nats per token",
     .dimension = Dimension::nats,
     .digits = 5,
     .composition = Composition::probed,
     .of_device = false,
     .of = [](const Measurement& m, const Quality&) { return m.quality.kld_tokens > 0 ? m.quality.kld : kUnknown; }},
    {.name = "perplexity",
     .weight = "accuracy",
     .limit = "",
     .field = "perplexity",
     .heading = "perplexity",
     .limit_meaning = "",
     .dimension = Dimension::one,
     .digits = 4,
     .composition = Composition::consequence,
     .of_device = false,
     .of = [](const Measurement& m, const Quality&) { return positive(m.quality.perplexity); }},
    {.name = "increase of perplexity",
     .weight = "",
     .limit = "max-perplexity-increase",
     .field = "perplexity_increase",
     .heading = "increase",
     .limit_meaning = "Most increase of perplexity, such as 1%",
     .dimension = Dimension::share,
     .digits = 4,
     .composition = Composition::consequence,
     .of_device = false,
     .of = perplexity_increase},
}};
static_assert(kTable[kMemory].name == "memory" && kTable[kGpuMemory].name == "GPU memory" &&
              kTable[kMainMemory].name == "main memory" && kTable[kLatency].name == "latency" &&
              kTable[kPromptLatency].name == "prompt latency" && kTable[kEnergy].name == "energy" &&
              kTable[kDivergence].name == "KL divergence" && kTable[kPerplexity].name == "perplexity" &&
              kTable[kPerplexityIncrease].name == "increase of perplexity");

/// The names that three bare numbers weigh.
constexpr std::array<std::string_view, 3> kPaperWeights{"memory", "latency", "accuracy"};

struct Preset {
    std::string_view name;
    std::array<double, kPaperWeights.size()> weights;
};

constexpr std::array kPresets{
    Preset{"balanced", {1.0 / 3, 1.0 / 3, 1.0 / 3}},
    Preset{"memory", {0.8, 0.1, 0.1}},
    Preset{"latency", {0.1, 0.8, 0.1}},
    Preset{"accuracy", {0.1, 0.1, 0.8}},
};

std::string_view trimmed(std::string_view text)
{
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    return text.substr(0, text.find_last_not_of(" \t") + 1);
}

/// A weight, or nothing if `text` is not a finite number of 0 or more.
std::optional<double> parse_weight(std::string_view text)
{
    double weight = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, weight);
    if (error != std::errc() || rest != end || !std::isfinite(weight) || weight < 0) return std::nullopt;
    return weight;
}

std::unexpected<Error> refuse(std::string_view text, std::string_view why)
{
    return std::unexpected(
        Error{ErrorCode::usage, std::format("weights \"{}\": {}", text, why),
              "give 0.2,0.6,0.2 (memory,latency,accuracy), or memory=.2,latency=.6,accuracy=.2, or one of balanced, "
              "memory, latency, accuracy"});
}

}  // namespace

std::span<const Criterion, kCriteria> criteria() { return kTable; }

Metrics metrics_of(const Measurement& model, const Quality& reference)
{
    Metrics metrics{};
    for (std::size_t c = 0; c < kCriteria; ++c) metrics[c] = kTable[c].of(model, reference);
    return metrics;
}

const Objectives& paper_objectives()
{
    static const Objectives objectives{kMemory, kLatency, kPerplexity};
    return objectives;
}

const Objectives& front_objectives()
{
    static const Objectives objectives{kMemory, kLatency, kDivergence};
    return objectives;
}

std::vector<double> columns_of(const Metrics& metrics, const Objectives& objectives)
{
    std::vector<double> columns;
    for (const std::size_t c : objectives) columns.push_back(metrics[c]);
    return columns;
}

Result<ContextMemory> f16_context(std::uint64_t tokens, std::uint64_t kv_bytes_per_token)
{
    if (tokens > 0 && kv_bytes_per_token == 0) {
        return std::unexpected(Error{ErrorCode::usage, "plan: the header of this model does not tell the size of its KV cache",
                                     "bench, or profile --shape, with --kv-context asks libllama; plan --device takes that"});
    }
    return ContextMemory{.tokens = tokens, .cache_bytes = tokens * kv_bytes_per_token};
}

Metrics with_context(Metrics metrics, const ContextMemory& context)
{
    metrics[kMemory] += static_cast<double>(context.bytes());
    metrics[kGpuMemory] += static_cast<double>(context.gpu_bytes());
    metrics[kMainMemory] += static_cast<double>(context.bytes() - context.gpu_bytes());
    return metrics;
}

double limit_excess(const Limits& limits, const Metrics& model)
{
    const Metrics metrics = with_context(model, limits.context);
    double most = 0;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (limits.most[c] == kUnlimited) continue;
        most = std::isnan(metrics[c]) ? kUnlimited : std::max(most, metrics[c] / limits.most[c]);
    }
    return most;
}

double counted_excess(const Limits& limits, const Metrics& metrics)
{
    Limits counted = limits;
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (kTable[c].composition != Composition::counted) counted.most[c] = kUnlimited;
    return limit_excess(counted, metrics);
}

bool set_weight(Weights& weights, std::string_view name, double value)
{
    bool found = false;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (name.empty() || kTable[c].weight != name) continue;
        weights[c] = value;
        found = true;
    }
    return found;
}

Result<Weights> parse_weights(std::string_view text)
{
    Weights weights{};
    if (const auto preset = std::ranges::find(kPresets, trimmed(text), &Preset::name); preset != kPresets.end()) {
        for (std::size_t w = 0; w < kPaperWeights.size(); ++w) set_weight(weights, kPaperWeights[w], preset->weights[w]);
        return weights;
    }
    std::vector<std::string_view> parts;
    for (const auto part : std::views::split(text, ',')) parts.push_back(trimmed(std::string_view(part)));
    const bool named = text.contains('=');
    if (!named && parts.size() != kPaperWeights.size()) return refuse(text, "not three numbers, names or a preset");
    std::vector<std::string_view> given;
    for (std::size_t p = 0; p < parts.size(); ++p) {
        std::string_view number = parts[p];
        std::string_view name = named ? std::string_view() : kPaperWeights[p];
        if (named) {
            const std::size_t equals = number.find('=');
            if (equals == std::string_view::npos) return refuse(text, std::format("\"{}\" names no criterion", number));
            name = trimmed(number.substr(0, equals));
            if (std::ranges::contains(given, name)) return refuse(text, std::format("{} is given twice", name));
            number = trimmed(number.substr(equals + 1));
        }
        given.push_back(name);
        const auto weight = parse_weight(number);
        if (!weight) return refuse(text, std::format("\"{}\" is not a number of 0 or more", number));
        if (!set_weight(weights, name, *weight)) return refuse(text, std::format("\"{}\" names no criterion", name));
    }
    if (std::ranges::all_of(weights, [](double weight) { return weight == 0; })) return refuse(text, "all are 0");
    return weights;
}

}  // namespace apreqel
