#include "records/random_records.h"

#include <cmath>

namespace apreqel {

std::string layer_name(std::size_t layer) { return std::format("blk.{}.{}", layer / 2, layer % 2 == 0 ? "attn" : "ffn"); }

double RandomRecords::number() { return share() * std::pow(10.0, static_cast<double>(below(180)) - 90) + 1e-95; }

std::string RandomRecords::text()
{
    constexpr std::string_view kPieces[] = {"a", "Z", " ", "\"", "\\", "/", "é", "模型", "😀", "<", "{", ":", "\uFFFD", "0"};
    std::string text;
    for (std::size_t i = below(8); i > 0; --i) text += kPieces[below(std::size(kPieces))];
    return text;
}

Sampled RandomRecords::sampled()
{
    Sampled sampled{.median = number(), .samples = {}};
    sampled.low = sampled.high = sampled.median;
    if (below(3) == 0) return sampled;
    sampled.low = sampled.median * share();
    sampled.high = sampled.median * (1 + share());
    sampled.confidence = share();
    for (std::size_t i = 1 + below(4); i > 0; --i) sampled.samples.push_back(number());
    if (below(2) == 0) sampled.raw.assign(sampled.samples.size(), number());
    return sampled;
}

Quality RandomRecords::quality()
{
    Quality quality{.perplexity = number(), .perplexity_error = number(), .tokens = count()};
    if (below(2) == 0) return quality;
    quality.kld = number() - number();
    quality.kld_error = number();
    quality.same_top = share();
    quality.kld_tokens = 1 + count() / 2;
    quality.chunk_nll = {number(), number()};
    quality.chunk_kld = {number() - number()};
    return quality;
}

Speed RandomRecords::speed()
{
    return {.latency_ms = sampled(),
            .prompt_tokens_per_second = below(2) == 0 ? sampled() : Sampled{.samples = {}},
            .energy = below(2) == 0 ? Energy{} : Energy{.joules = sampled(), .idle_watts = number(), .source = text()}};
}

Measurement RandomRecords::measurement(std::string name)
{
    return {.name = std::move(name),
            .memory_bytes = 1 + count() / 2,
            .bits_per_weight = number(),
            .quality = quality(),
            .speed = speed(),
            .cache = cache_choice()};
}

std::optional<CacheChoice> RandomRecords::cache_choice()
{
    if (below(2) == 0) return std::nullopt;
    return CacheChoice{.types = {.keys = "q8_0", .values = text() + "v"}, .bytes = 1 + count() / 2};
}

std::vector<CacheCost> RandomRecords::cache_part(std::uint64_t usual_bytes)
{
    std::vector<CacheCost> part{{.type = std::string(kCacheType), .bytes = usual_bytes, .speed = speed()}};
    for (const char* type : {"q8_0", "q4_0"}) {
        if (below(2) == 0) continue;
        part.push_back({.type = type,
                        .bytes = 1 + usual_bytes / 2 + count() / 2,
                        .kld = number(),
                        .kld_error = number(),
                        .tokens = count(),
                        .speed = speed()});
    }
    return part;
}

std::vector<Fallback> RandomRecords::fallbacks()
{
    std::vector<Fallback> fallbacks(below(3));
    for (Fallback& entry : fallbacks)
        entry = {below(2) == 0 ? "" : layer_name(below(9)), text() + "t", "q3_K", text() + "u", below(999)};
    return fallbacks;
}

std::vector<GroupType> RandomRecords::allocation(const Profile& profile)
{
    std::vector<GroupType> allocation;
    const auto& types = profile.model.types;
    for (std::size_t l = 0; l < profile.model.layers; ++l)
        allocation.push_back({layer_name(l), types[below(types.size())].type});
    return allocation;
}

MixedModel RandomRecords::mixed(const Profile& profile)
{
    return {.allocation = allocation(profile), .measurement = measurement(text())};
}

Scores RandomRecords::scores(std::size_t layers)
{
    Scores scores{.model = "m",
                  .model_name = text(),
                  .gamma = share(),
                  .prompts = below(99),
                  .tokens = count(),
                  .prompts_source = text(),
                  .layers = {}};
    for (std::size_t l = 0; l < layers; ++l)
        scores.layers.push_back({layer_name(l), number() - number(), count(), count(), 2 * share() - 1});
    return scores;
}

Profile RandomRecords::profile(std::size_t layers)
{
    const std::string version = text();
    Profile profile{.model = {.model = "m",
                              .model_name = text(),
                              .layers = layers,
                              .embedding_type = "q6_K",
                              .text = text(),
                              .version = version,
                              .types = {}},
                    .device = {.model = "m", .device = text(), .version = version, .models = {}}};
    if (below(2) == 0) profile.device.workload = {below(9), 1 + below(9), below(9)};
    profile.device.context = context();
    if (below(2) == 0) profile.device.embedding_type = profile.model.embedding_type;
    if (below(2) == 0) profile.model.reference = quality();
    const std::string names[] = {"q4_K", "q8_0+imatrix", "my \"own\" é", "q3_K"};
    const std::size_t types = 1 + below(4);
    for (std::size_t t = 0; t < types; ++t) {
        profile.model.types.push_back({.type = names[t],
                                       .bits_per_weight = number(),
                                       .memory_bytes = 1 + count() / 2,
                                       .file_bits_per_weight = number(),
                                       .quality = quality(),
                                       .fallbacks = fallbacks()});
        profile.device.models.push_back({.name = names[t], .speed = speed()});
    }
    for (std::size_t m = below(3); m > 0; --m)
        profile.device.models.push_back({.name = text(), .allocation = allocation(profile), .speed = speed()});
    if (below(2) == 0) {
        const std::uint64_t usual = 1 + count() / 2;
        profile.cache = CacheProfile{.tokens = 1 + below(9999), .keys = cache_part(usual), .values = cache_part(usual)};
    }
    return profile;
}

Sensitivity RandomRecords::sensitivity(const Profile& profile)
{
    Sensitivity made{.model = "m",
                     .model_name = text(),
                     .text = text(),
                     .version = text(),
                     .fixed_bytes = count(),
                     .kv_bytes_per_token = count(),
                     .noise_floor = number(),
                     .types = {},
                     .groups = {},
                     .separability = {below(9), number(), number()}};
    for (const UniformVariant& variant : profile.model.types) made.types.push_back(variant.type);
    const auto add = [&](std::string name, std::string layer, std::string part) {
        GroupSensitivity group{.group = std::move(name),
                               .layer = std::move(layer),
                               .part = std::move(part),
                               .parameters = 1 + count() / 2,
                               .probes = {}};
        for (std::size_t t = 0; t < made.types.size(); ++t) {
            group.probes.push_back(
                {.memory_bytes = 1 + count() / 2, .measured = below(2) == 0, .kld = number(), .squared_error = number()});
            if (group.probes.back().measured) group.probes.back().kld_error = number();
            if (group.probes.back().measured) group.probes.back().tokens = count();
        }
        made.groups.push_back(std::move(group));
    };
    for (std::size_t l = 0; l < profile.model.layers; ++l) add(layer_name(l), layer_name(l), l % 2 == 0 ? "attn" : "ffn");
    if (below(2) == 0) return made;
    add("embedding", "", "embedding");
    made.groups.back().fixed_type = made.types.front();
    return made;
}

Candidate RandomRecords::candidate(std::size_t types)
{
    Candidate candidate{.counts = {},
                        .estimate = metrics(),
                        .cache = cache_choice(),
                        .closeness = share(),
                        .distance_ideal = number(),
                        .distance_anti_ideal = number()};
    for (std::size_t t = 0; t < types; ++t) candidate.counts.push_back(below(99));
    return candidate;
}

Metrics RandomRecords::metrics()
{
    Metrics metrics{};
    for (double& value : metrics) value = number();
    if (below(2) == 0) metrics[kPromptLatency] = kUnknown;
    return metrics;
}

ContextMemory RandomRecords::context()
{
    if (below(2) == 0) return {};
    return {.tokens = 1 + below(9), .cache_type_k = "q8_0", .cache_bytes = count(), .buffer_bytes = count()};
}

Plan RandomRecords::plan(const Profile& profile)
{
    const bool front = below(2) == 0;
    Plan plan{.model = "m",
              .model_name = text(),
              .text = text(),
              .device = text(),
              .request = {.method = front ? Method::front : Method::paper},
              .objectives = front ? front_objectives() : paper_objectives(),
              .ranking = {.candidates = below(2) == 0 ? static_cast<double>(count()) : 6.6e16, .scale = {}, .best = {}},
              .embedding_type = "q6_K",
              .allocation = allocation(profile),
              .fallbacks = fallbacks()};
    for (const char* weight : {"memory", "latency", "accuracy"}) set_weight(plan.request.weights, weight, number());
    for (const UniformVariant& variant : profile.model.types) {
        plan.types.push_back(variant.type);
        plan.costs.push_back(metrics());
    }
    for (std::size_t column = 0; column < plan.objectives.size(); ++column) {
        plan.ranking.scale.norm.push_back(number());
        plan.ranking.scale.ideal.push_back(-number());
        plan.ranking.scale.anti_ideal.push_back(number());
    }
    for (std::size_t k = 1 + below(3); k > 0; --k) plan.ranking.best.push_back(candidate(plan.types.size()));
    if (!front) return plan;
    if (below(2) == 0) plan.epsilon = share();
    plan.latency_error = share();
    plan.request.limits.context = context();
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (!criteria()[c].limit.empty() && below(2) == 0) plan.request.limits.most[c] = number();
    return plan;
}

Layout RandomRecords::layout()
{
    Layout layout{.architecture = text() + "a",
                  .blocks = 1 + count() / 2,
                  .model_name = text(),
                  .device = text(),
                  .text = text(),
                  .version = text(),
                  .embedding_type = below(2) == 0 ? "q6_K" : "",
                  .embedding = below(2) == 0 ? text() + "t" : "",
                  .runs = {},
                  .fallbacks = fallbacks()};
    for (const std::string role : {"attn", "ffn_gate+ffn_up"}) {
        std::uint64_t block = below(3);
        for (std::size_t r = below(4); r > 0; --r) {
            const std::uint64_t last = block + below(5);
            if (last < layout.blocks) layout.runs.push_back({role, block, last, text() + "t"});
            block = last + 1 + below(2);
        }
    }
    return layout;
}

RunResult RandomRecords::run(const Profile& profile)
{
    RunResult result{.plan = plan(profile),
                     .reference = measurement(text()),
                     .uniform = {measurement(text())},
                     .mix = measurement(text()),
                     .because = text(),
                     .limits_kept = below(2) == 0,
                     .device = text(),
                     .text = text(),
                     .version = text()};
    if (below(2) == 0) result.tried.push_back({.predicted = metrics(), .measured = measurement(text())});
    if (below(2) == 0) result.rivals = {result.mix};  // others could be 10^185 times as large
    return result;
}

Evaluation RandomRecords::evaluation(const Profile& profile, const Scores& scores)
{
    Evaluation made{.profile = profile, .scores = scores, .reference = measurement(text())};
    for (const UniformVariant& variant : profile.model.types) made.uniform.push_back(measurement(variant.type));
    for (std::size_t m = 1 + below(4); m > 0; --m) made.models.push_back(mixed(profile));
    const auto some = [&](std::size_t size) {
        std::vector<std::size_t> models;
        for (; size > 0; --size) models.push_back(below(made.models.size()));
        return models;
    };
    for (std::size_t s = 1 + below(3); s > 0; --s) {
        made.settings.push_back({.category = text(), .plan = plan(profile)});
        made.settings.back().plan.ranking.best.resize(1);
    }
    for (std::size_t o = 1 + below(3); o > 0; --o) made.orders.push_back({text(), some(made.settings.size())});
    for (std::size_t s = below(3); s > 0; --s) {
        ModelSet set{.name = text(),
                     .types = {"q4_K", "x"},
                     .candidates = {},
                     .models = some(1 + below(3)),
                     .baseline = some(below(3)),
                     .estimated_gain = {}};
        if (below(2) == 0) set.estimated_gain = number();
        if (below(2) == 0)
            for (std::size_t k = 0; k < set.models.size(); ++k) set.candidates.push_back(candidate(2));
        if (below(2) == 0)
            for (const std::size_t m : set.models) set.rivals.push_back(made.models[m].measurement);
        made.sets.push_back(std::move(set));
    }
    return made;
}

}  // namespace apreqel
