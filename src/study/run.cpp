#include "base/file.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/variants.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <optional>

namespace apreqel {
namespace {

/// A mix that was planned, built and measured.
struct Attempt {
    Plan plan;
    std::filesystem::path path;
    Measurement measurement{};
};

/// What was measured in one session.
struct Session {
    std::vector<Attempt> attempts;
    std::vector<Measurement> uniform;
};

/// Attempts the front method makes at most: the plan, and as many corrections from what was measured.
constexpr std::size_t kMostAttempts = 3;

/// The file of a plan, in the workspace.
Result<Attempt> build(const Study& study, Plan plan)
{
    Attempt attempt{.plan = std::move(plan), .path = {}};
    attempt.path = study.workspace.keyed("mixes/attempt.gguf", allocation_key(study, attempt.plan.allocation));
    if (std::filesystem::exists(attempt.path)) return attempt;
    if (auto built = quantize(study.inventory, attempt.plan, study.workspace, attempt.path, thread_count(study.settings.run),
                              study.monitor, study.settings.types);
        !built) {
        return std::unexpected(built.error());
    }
    return attempt;
}

/// Measures the attempts and the uniform types, in the same rounds: only then do their latencies compare.
Result<> measure(const Study& study, const std::string& name, Session& session)
{
    std::vector<ModelFile> files = variant_files(study);
    const auto uniform = static_cast<std::ptrdiff_t>(files.size());
    for (std::size_t a = 0; a < session.attempts.size(); ++a)
        files.push_back({session.attempts[a].path, a == 0 ? name : std::format("{}, plan {}", name, a + 1)});
    auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());
    for (std::size_t a = 0; a < session.attempts.size(); ++a)
        session.attempts[a].measurement = std::move((*measurements)[static_cast<std::size_t>(uniform) + a]);
    session.uniform.assign(measurements->begin(), measurements->begin() + uniform);
    return {};
}

/// Latency then ÷ now, by the uniform types: a machine that has changed its speed since the profile must not look like a
/// wrong prediction.
double pace(const Profile& profile, const Session& session)
{
    double then = 0;
    double now = 0;
    for (const UniformVariant& variant : profile.types) then += variant.measurement.speed.latency_ms.median;
    for (const Measurement& uniform : session.uniform) now += uniform.speed.latency_ms.median;
    return now > 0 ? then / now : 1;
}

/// Bytes, ms per token at the profile's pace, and KL divergence.
Metrics paced_metrics(const Measurement& measurement, double pace)
{
    Metrics metrics = metrics_of(measurement);
    return {metrics[0], metrics[1] * pace, measurement.quality.kld};
}

/// How far a measured model exceeds the limits: see limit_excess.
double excess(const Limits& limits, const Measurement& measured, const Measurement& reference, const Sensitivity& sensitivity,
              double pace)
{
    return limit_excess(limits, paced_metrics(measured, pace), measured.quality.perplexity / reference.quality.perplexity - 1,
                        sensitivity.kv_bytes_per_token);
}

/// A plan that corrects the ones before it by what was measured on them. Nothing if there is none, or they had it already.
std::optional<Plan> corrected(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                              const Session& session)
{
    Profile corrected = profile;
    for (const Attempt& attempt : session.attempts) {
        corrected.mixes.push_back({attempt.plan.allocation, attempt.measurement});
        corrected.mixes.back().measurement.speed.latency_ms.median *= pace(profile, session);
    }
    auto plan = make_front_plan(corrected, sensitivity, request.weights, request.limits, request.normalization,
                                request.runners_up, request.mix_embedding);
    if (!plan) return std::nullopt;
    const auto had_it = [&](const Attempt& attempt) {
        return std::ranges::equal(attempt.plan.allocation, plan->allocation, {}, &LayerType::type, &LayerType::type);
    };
    if (std::ranges::any_of(session.attempts, had_it)) return std::nullopt;
    return std::move(*plan);
}

/// The uniform type that is better than a mix in memory, latency or KL divergence and in none worse.
const Measurement* better_uniform(const Session& session, const Attempt& attempt)
{
    for (const Measurement& uniform : session.uniform)
        if (dominates(paced_metrics(uniform, 1), paced_metrics(attempt.measurement, 1))) return &uniform;
    return nullptr;
}

/// Puts a uniform type in the place of what was planned.
void take_uniform(Plan& plan, const Measurement& uniform)
{
    std::erase_if(plan.allocation, [](const LayerType& entry) { return entry.layer == kEmbedding; });
    for (LayerType& entry : plan.allocation) entry.type = uniform.name;
    Candidate& chosen = plan.ranking.best.front();
    for (std::size_t q = 0; q < plan.types.size(); ++q)
        chosen.counts[q] = plan.types[q] == uniform.name ? plan.allocation.size() : 0;
    chosen.estimate = metrics_of(uniform);
    chosen.kld = uniform.quality.kld;
}

}  // namespace

Result<RunResult> run(const Study& study, const PlanRequest& request, const std::filesystem::path& output)
{
    const bool front = request.method == "front";
    if (front && study.settings.quality.kld_chunks == 0)
        return usage_error("run: the front method chooses by KL divergence, which is measured on 0 chunks of text");
    const auto profiled = profile(study);
    if (!profiled) return std::unexpected(profiled.error());
    Sensitivity sensitivity;
    Result<Plan> plan;
    if (front) {
        auto sensed = sense(study, request.sense);
        if (!sensed) return std::unexpected(sensed.error());
        sensitivity = std::move(*sensed);
        plan = make_front_plan(*profiled, sensitivity, request.weights, request.limits, request.normalization,
                               request.runners_up, request.mix_embedding);
    } else {
        const auto scores = score(study);
        if (!scores) return std::unexpected(scores.error());
        plan = make_plan(*profiled, *scores, request.weights, request.runners_up);
    }
    if (!plan) return std::unexpected(plan.error());

    Session session;
    const auto attempt = [&](Plan next) -> Result<> {
        auto built = build(study, std::move(next));
        if (!built) return std::unexpected(built.error());
        session.attempts.push_back(std::move(*built));
        return measure(study, output.filename().string(), session);
    };
    if (auto measured = attempt(std::move(*plan)); !measured) return std::unexpected(measured.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    while (front && session.attempts.size() < kMostAttempts) {
        auto next = corrected(*profiled, sensitivity, request, session);
        if (!next) break;
        if (auto measured = attempt(std::move(*next)); !measured) return std::unexpected(measured.error());
    }

    // Of the attempts that keep the limits, or of all if none does, the one nearest to what was asked for.
    const double now = pace(*profiled, session);
    const auto rank = [&](const Attempt& tried) {
        const bool kept = excess(request.limits, tried.measurement, *reference, sensitivity, now) <= 1;
        return std::pair(kept, front ? closeness_of(session.attempts.front().plan, paced_metrics(tried.measurement, now)) : 0);
    };
    const auto best = std::ranges::max_element(session.attempts, {}, rank);
    RunResult result{.plan = best->plan,
                     .reference = std::move(*reference),
                     .uniform = session.uniform,
                     .mix = best->measurement,
                     .device = profiled->device,
                     .text = profiled->text,
                     .version = profiled->version};
    for (std::size_t a = 0; a < session.attempts.size(); ++a) {
        if (session.attempts.begin() + static_cast<std::ptrdiff_t>(a) == best) continue;
        result.tried.push_back(session.attempts[a].measurement);
        result.tried.back().name = std::format("plan {}", a + 1);
    }
    if (const Measurement* uniform = front ? better_uniform(session, *best) : nullptr) {
        result.tried.push_back(best->measurement);
        result.tried.back().name = std::format("plan {}", best - session.attempts.begin() + 1);
        result.instead = uniform->name;
        result.mix = *uniform;
        take_uniform(result.plan, *uniform);
    }
    result.mix.name = output.filename().string();
    result.limits_kept = excess(request.limits, result.mix, result.reference, sensitivity, now) <= 1;

    if (auto written = quantize(study.inventory, result.plan, study.workspace, output, thread_count(study.settings.run),
                                study.monitor, study.settings.types);
        !written) {
        return std::unexpected(written.error());
    }
    std::vector<std::filesystem::path> files;
    for (const Attempt& tried : session.attempts) files.push_back(tried.path);
    remove_mixes(files);
    if (auto written = write_text(study.workspace.path("plan.json"), to_json(result.plan)); !written)
        return std::unexpected(written.error());
    if (auto written = write_text(study.workspace.path("run.json"), to_json(result)); !written)
        return std::unexpected(written.error());
    return result;
}

}  // namespace apreqel
