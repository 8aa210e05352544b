#include <apreqel/refine.h>

#include <algorithm>
#include <format>
#include <optional>
#include <ranges>
#include <tuple>

namespace apreqel {
namespace {

/// Latency in the profile ÷ latency in the session, by the uniform types: a machine that has changed its speed since must not
/// look like a wrong prediction.
double pace(const Profile& profile, const Session& session, std::size_t criterion)
{
    double then = 0;
    double now = 0;
    for (const Measurement& uniform : session.uniform) {
        if (!std::ranges::contains(profile.model.types, uniform.name, &UniformVariant::type)) continue;
        then += metrics_of(measurement_of(profile, uniform.name))[criterion];
        now += metrics_of(uniform)[criterion];
    }
    return now > 0 && then > 0 ? then / now : 1;
}

/// What a model of the session measured, times at the profile's pace.
Metrics paced_metrics(const Profile& profile, const Session& session, const Measurement& model)
{
    Metrics metrics = metrics_of(model, session.reference);
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (criteria()[c].composition == Composition::timed) metrics[c] *= pace(profile, session, c);
    return metrics;
}

/// The attempts as mixes that correct what is predicted.
std::vector<MixedModel> evidence(const Profile& profile, const Session& session)
{
    std::vector<MixedModel> mixes;
    for (const Attempt& attempt : session.attempts) {
        mixes.push_back({attempt.plan.allocation, attempt.measurement});
        Speed& speed = mixes.back().measurement.speed;
        speed.latency_ms.median *= pace(profile, session, kLatency);
        speed.prompt_tokens_per_second.median /= pace(profile, session, kPromptLatency);
    }
    return mixes;
}

/// A plan that corrects the ones before it by what was measured on them. Nothing if there is none, or they had it already.
std::optional<Plan> corrected(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                              const Session& session)
{
    auto plan = make_front_plan(profile, sensitivity, request, evidence(profile, session));
    if (!plan) return std::nullopt;
    const auto had_it = [&](const Attempt& attempt) {
        return std::ranges::equal(attempt.plan.allocation, plan->allocation, {}, &GroupType::type, &GroupType::type);
    };
    if (std::ranges::any_of(session.attempts, had_it)) return std::nullopt;
    return std::move(*plan);
}

/// The plan that gives one type to all layers, with what the type measured.
Plan uniform_plan(Plan plan, const Profile& profile, const Measurement& uniform, double closeness)
{
    std::erase_if(plan.allocation, [](const GroupType& entry) { return entry.group == kEmbedding; });
    for (GroupType& entry : plan.allocation) entry.type = uniform.name;
    Candidate chosen{.counts = std::vector<std::size_t>(plan.types.size()),
                     .estimate = metrics_of(measurement_of(profile, uniform.name), profile.model.reference),
                     .closeness = closeness};
    const auto place = std::ranges::find(plan.types, uniform.name) - plan.types.begin();
    chosen.counts[static_cast<std::size_t>(place)] = plan.allocation.size();
    plan.ranking.best = {std::move(chosen)};
    plan.fallbacks = std::ranges::find(profile.model.types, uniform.name, &UniformVariant::type)->fallbacks;
    return plan;
}

/// Of all that was measured: what keeps the limits, or comes nearest; then the closest, then mixes, then the earlier.
Ship best_measured(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request, const Session& session)
{
    struct Entry {
        const Measurement* model;
        double excess;  ///< of the limits; 1: kept
        double closeness;
        bool mix;
    };
    const Plan& first = session.attempts.front().plan;
    std::vector<Entry> entries;
    const auto add = [&](const Measurement& model, bool mix) {
        const Metrics metrics = paced_metrics(profile, session, model);
        entries.push_back({&model, std::max(1.0, limit_excess(request.limits, metrics, sensitivity.kv_bytes_per_token)),
                           measured_closeness(first, metrics), mix});
    };
    for (const Attempt& attempt : session.attempts) add(attempt.measurement, true);
    for (const Measurement& uniform : session.uniform)
        if (std::ranges::contains(first.types, uniform.name)) add(uniform, false);
    const auto rank = [](const Entry& entry) { return std::tuple(-entry.excess, entry.closeness, entry.mix); };
    const auto best = std::ranges::max_element(entries, {}, rank);
    const auto mixes = std::ranges::subrange(entries.begin(), entries.begin() + std::ssize(session.attempts));
    const auto best_mix = std::ranges::max_element(mixes, {}, rank);
    const auto attempt = static_cast<std::size_t>(best_mix - mixes.begin());

    Ship ship{.plan = session.attempts[attempt].plan,
              .attempt = attempt,
              .measurement = *best->model,
              .limits_kept = best->excess <= 1,
              .because = {}};
    const std::string measured = std::format("closeness {:.4f} as measured", best->closeness);
    if (best->mix) {
        ship.because = session.attempts.size() > 1
                           ? std::format("plan {} of {}: {}", attempt + 1, session.attempts.size(), measured)
                           : measured;
    } else {
        ship.uniform = best->model->name;
        ship.plan = uniform_plan(std::move(ship.plan), profile, *best->model, best->closeness);
        ship.because = std::format("all {}: {}, the best mix {:.4f}", ship.uniform, measured, best_mix->closeness);
    }
    return ship;
}

}  // namespace

Result<std::variant<TryNext, Ship>> refine(const Profile& profile, const Scores* scores, const Sensitivity* sensitivity,
                                           const PlanRequest& request, const Session& session)
{
    const bool front = request.method == Method::front;
    if (session.attempts.empty()) {
        auto plan = front ? make_front_plan(profile, *sensitivity, request) : make_plan(profile, *scores, request);
        if (!plan) return std::unexpected(plan.error());
        return TryNext{std::move(*plan)};
    }
    if (!front) {
        const Attempt& only = session.attempts.front();
        return Ship{.plan = only.plan, .attempt = 0, .measurement = only.measurement, .because = "the paper's method"};
    }
    if (session.attempts.size() < kMostAttempts)
        if (auto next = corrected(profile, *sensitivity, request, session)) return TryNext{std::move(*next)};
    return best_measured(profile, *sensitivity, request, session);
}

}  // namespace apreqel
