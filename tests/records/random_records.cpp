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
    return quality;
}

Speed RandomRecords::speed()
{
    return {.latency_ms = sampled(), .prompt_tokens_per_second = below(2) == 0 ? sampled() : Sampled{.samples = {}}};
}

Measurement RandomRecords::measurement(std::string name)
{
    return {.name = std::move(name),
            .memory_bytes = 1 + count() / 2,
            .bits_per_weight = number(),
            .quality = quality(),
            .speed = speed()};
}

std::vector<Fallback> RandomRecords::fallbacks()
{
    std::vector<Fallback> fallbacks(below(3));
    for (Fallback& entry : fallbacks) entry = {below(2) == 0 ? "" : layer_name(below(9)), text() + "t", "q3_K", text() + "u"};
    return fallbacks;
}

MixedModel RandomRecords::mixed(const Profile& profile)
{
    MixedModel mixed{.allocation = {}, .measurement = measurement(text())};
    for (std::size_t l = 0; l < profile.layers; ++l)
        mixed.allocation.push_back({layer_name(l), profile.types[below(profile.types.size())].type});
    return mixed;
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
    Profile profile{.model = "m",
                    .model_name = text(),
                    .layers = layers,
                    .embedding_type = "q6_K",
                    .types = {},
                    .device = text(),
                    .text = text(),
                    .version = text()};
    const std::string names[] = {"q4_K", "q8_0+imatrix", "my \"own\" é", "q3_K"};
    const std::size_t types = 1 + below(4);
    for (std::size_t t = 0; t < types; ++t) profile.types.push_back({names[t], number(), measurement(names[t]), fallbacks()});
    for (std::size_t m = below(3); m > 0; --m) profile.mixes.push_back(mixed(profile));
    return profile;
}

Sensitivity RandomRecords::sensitivity(const Profile& profile)
{
    Sensitivity made{.model = "m",
                     .model_name = text(),
                     .text = text(),
                     .version = text(),
                     .embedding_type = "q6_K",
                     .kv_bytes_per_token = count(),
                     .embedding_kld = number(),
                     .noise_floor = number(),
                     .types = {},
                     .layers = {},
                     .separability = {below(9), number(), number()}};
    made.fixed_bytes = count();
    made.embedding_bytes = made.fixed_bytes / 2;
    for (const UniformVariant& variant : profile.types) made.types.push_back(variant.type);
    const auto probes = [&](std::string layer) {
        GroupSensitivity probed{.layer = std::move(layer), .parameters = 1 + count() / 2, .probes = {}};
        for (std::size_t t = 0; t < made.types.size(); ++t) {
            probed.probes.push_back(
                {.memory_bytes = 1 + count() / 2, .measured = below(2) == 0, .kld = number(), .squared_error = number()});
            if (probed.probes.back().measured) probed.probes.back().kld_error = number();
            if (probed.probes.back().measured) probed.probes.back().tokens = count();
        }
        return probed;
    };
    for (std::size_t l = 0; l < profile.layers; ++l) made.layers.push_back(probes(layer_name(l)));
    if (below(2) == 0) made.embedding = probes("embedding");
    return made;
}

Candidate RandomRecords::candidate(std::size_t types)
{
    Candidate candidate{.counts = {},
                        .estimate = {number(), number(), number()},
                        .closeness = share(),
                        .distance_ideal = number(),
                        .distance_anti_ideal = number(),
                        .kld = number()};
    for (std::size_t t = 0; t < types; ++t) candidate.counts.push_back(below(99));
    return candidate;
}

Plan RandomRecords::plan(const Profile& profile)
{
    Plan plan{.model = "m",
              .model_name = text(),
              .method = below(2) == 0 ? "paper" : "front",
              .weights = {number(), number(), number()},
              .embedding_type = "q6_K",
              .fallbacks = fallbacks()};
    for (const UniformVariant& variant : profile.types) {
        plan.types.push_back(variant.type);
        plan.costs.push_back({number(), number(), number()});
    }
    plan.ranking = {.candidates = below(2) == 0 ? static_cast<double>(count()) : 6.6e16,
                    .norm = {number(), number(), number()},
                    .ideal = {number(), -number(), number()},
                    .anti_ideal = {number(), number(), number()}};
    for (std::size_t k = 1 + below(3); k > 0; --k) plan.ranking.best.push_back(candidate(plan.types.size()));
    plan.allocation = mixed(profile).allocation;
    if (plan.method == "paper") return plan;
    plan.epsilon = share();
    plan.latency_error = share();
    plan.limits = {.latency_ms = number(), .perplexity_increase = number(), .context = below(9)};
    if (below(2) == 0) plan.limits.memory_bytes = 1 + count() / 2;
    if (below(2) == 0) plan.limits.kld = number();
    return plan;
}

RunResult RandomRecords::run(const Profile& profile)
{
    RunResult result{.plan = plan(profile),
                     .reference = measurement(text()),
                     .uniform = {measurement(text())},
                     .mix = measurement(text()),
                     .instead = below(2) == 0 ? "" : "q4_K",
                     .limits_kept = below(2) == 0,
                     .device = text(),
                     .text = text(),
                     .version = text()};
    if (below(2) == 0) result.tried.push_back(measurement(text()));
    return result;
}

Evaluation RandomRecords::evaluation(const Profile& profile, const Scores& scores)
{
    Evaluation made{.profile = profile, .scores = scores, .reference = measurement(text())};
    for (const UniformVariant& variant : profile.types) made.uniform.push_back(measurement(variant.type));
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
        made.sets.push_back(std::move(set));
    }
    return made;
}

}  // namespace apreqel
