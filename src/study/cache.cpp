#include "base/file.h"
#include "quantize/shape.h"
#include "quantize/write_models.h"
#include "study/form.h"
#include "study/keys.h"
#include "study/prober.h"
#include "study/profile.h"
#include "study/text.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace apreqel {
namespace {

/// Of libllama's, those that are smaller than the usual one.
constexpr std::array<std::string_view, 6> kTried{"q8_0", "q5_1", "q5_0", "iq4_nl", "q4_1", "q4_0"};

/// Two sequences, as a prober keeps twice as many. Long ones: what is rounded is read by all tokens after it.
constexpr ProbeSequences kSequences{.count = 1, .length = 512};

CacheTypes with_keys(std::string type) { return {.keys = std::move(type)}; }
CacheTypes with_values(std::string type) { return {.values = std::move(type)}; }

using MakeTypes = CacheTypes (*)(std::string);

/// Nothing: the model cannot have it here.
Result<std::optional<ContextMemory>> memory_of(const Study& study, const CacheTypes& types)
{
    RunSettings run = study.timed_run();
    run.cache = types;
    auto memory = study.runtime->context_memory(study.model(), run, study.settings.context, study.monitor);
    if (memory) return std::move(*memory);
    if (memory.error().code == ErrorCode::interrupted || types == CacheTypes{}) return std::unexpected(memory.error());
    return std::nullopt;
}

/// The types that the model can have of one part, with the bytes of the cache, and of the buffers that they need beside the usual ones.
Result<std::vector<CacheCost>> possible_types(const Study& study, MakeTypes make)
{
    std::vector<CacheCost> part;
    std::uint64_t usual_buffers = 0;
    for (std::size_t i = 0; i <= kTried.size(); ++i) {
        const std::string type(i == 0 ? kCacheType : kTried[i - 1]);
        const auto memory = memory_of(study, make(type));
        if (!memory) return std::unexpected(memory.error());
        if (!*memory) continue;
        if (i == 0) usual_buffers = (*memory)->buffer_bytes;
        const std::uint64_t more = std::max((*memory)->buffer_bytes, usual_buffers) - usual_buffers;
        part.push_back({.type = type, .bytes = (*memory)->cache_bytes + more});
    }
    return part;
}

/// Leaves out types of values that some type of the keys does not go with.
Result<> leave_out_impossible_pairs(const Study& study, CacheProfile& cache)
{
    std::vector<CacheCost> possible{cache.values.front()};
    for (std::size_t v = 1; v < cache.values.size(); ++v) {
        bool every = true;
        for (std::size_t k = 1; every && k < cache.keys.size(); ++k) {
            const auto memory = memory_of(study, {.keys = cache.keys[k].type, .values = cache.values[v].type});
            if (!memory) return std::unexpected(memory.error());
            every = memory->has_value();
        }
        if (every) possible.push_back(cache.values[v]);
    }
    cache.values = std::move(possible);
    return {};
}

Result<> probe(Prober& prober, std::vector<CacheCost>& part, MakeTypes make, Monitor& monitor, double& done)
{
    for (CacheCost& type : part) {
        if (type.type == kCacheType) continue;  // what the others are compared with
        const auto divergence = prober.measure_cache(make(type.type));
        if (!divergence) return std::unexpected(divergence.error());
        type.kld = divergence->kld;
        type.kld_error = divergence->kld_error;
        type.tokens = divergence->tokens;
        monitor.advance(++done);
    }
    return {};
}

/// What each type does to the predictions of the full-precision model.
Result<> probe_types(const Study& study, QuantType form, const std::string& text, CacheProfile& cache)
{
    auto prober =
        Prober::open(study, {.form = form, .sequences = kSequences, .chunks = 0, .reference = {}, .identity = {}}, text);
    if (!prober) return std::unexpected(prober.error());
    const std::size_t types = cache.keys.size() + cache.values.size() - 2;
    study.monitor.begin("KV cache: KL divergence", static_cast<double>(types));
    if (auto recorded = (*prober)->record(); !recorded) return recorded;
    double done = 0;
    if (auto probed = probe(**prober, cache.keys, with_keys, study.monitor, done); !probed) return probed;
    if (auto probed = probe(**prober, cache.values, with_values, study.monitor, done); !probed) return probed;
    study.monitor.end(std::format("{} types of keys and values", types));
    return {};
}

/// The times of one shape with each type.
Result<> time_types(const Study& study, CacheProfile& cache)
{
    const auto shape = study.workspace.path("shapes/cache.gguf");
    TypeAssignment assigned = assign_types(study.inventory, study.settings.types.front(), study.settings.embedding_type);
    const ModelSpec spec{
        .path = shape, .types = std::move(assigned.types), .notes = {}, .origins = std::move(assigned.origins)};
    if (auto written = write_shape(study.inventory, spec); !written) return written;
    std::vector<CacheTypes> caches;
    for (const CacheCost& type : cache.keys) caches.push_back(with_keys(type.type));
    for (std::size_t v = 1; v < cache.values.size(); ++v) caches.push_back(with_values(cache.values[v].type));
    const std::vector<std::filesystem::path> models(caches.size(), shape);
    auto speeds = time_models(study, models, caches);
    study.workspace.remove(shape);
    if (!speeds) return std::unexpected(speeds.error());
    for (std::size_t k = 0; k < cache.keys.size(); ++k) cache.keys[k].speed = (*speeds)[k];
    cache.values.front().speed = speeds->front();
    for (std::size_t v = 1; v < cache.values.size(); ++v) cache.values[v].speed = (*speeds)[cache.keys.size() + v - 1];
    return {};
}

}  // namespace

Result<CacheProfile> cache_profile(const Study& full)
{
    if (full.settings.context == 0) return usage_error("KV cache: it is not said how many tokens it has to hold");
    Study study = full;
    study.settings.speed = as_needed(study.settings.speed);
    study.settings.run.cache = {};
    if (auto enough = check_texts(study, {probing(study)}); !enough) return std::unexpected(enough.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const Facts facts = Facts::of(study)
                            .with(Input::type, type_name(study.settings.types.front().type))
                            .with(Input::calibration, digest({*text}))
                            .with(Input::form, type_name(*form))
                            .with(Input::context, std::format("{}, {}", study.settings.context, kEstimated));
    const auto artifact = facts.path(study.workspace, kCacheCosts);
    if (!study.settings.remeasure)
        if (auto kept = read_kept(artifact, read_cache_profile, study.monitor)) return std::move(*kept);
    auto keys = possible_types(study, with_keys);
    if (!keys) return std::unexpected(keys.error());
    auto values = possible_types(study, with_values);
    if (!values) return std::unexpected(values.error());
    CacheProfile cache{.tokens = study.settings.context, .keys = std::move(*keys), .values = std::move(*values)};
    if (auto left_out = leave_out_impossible_pairs(study, cache); !left_out) return std::unexpected(left_out.error());
    if (auto probed = probe_types(study, *form, *text, cache); !probed) return std::unexpected(probed.error());
    if (auto timed = time_types(study, cache); !timed) return std::unexpected(timed.error());
    if (auto written = write_text(artifact, to_json(cache, facts.key(kCacheCosts))); !written)
        return std::unexpected(written.error());
    return cache;
}

}  // namespace apreqel
