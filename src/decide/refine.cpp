#include <apreqel/refine.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <optional>
#include <tuple>

namespace apreqel {
namespace {

/// Time predicted ÷ time measured, over all attempts together: the machine may have changed its speed since the profile was
/// made, which is no news of the types.
double pace(const Session& session, std::size_t criterion)
{
    double logs = 0;
    double count = 0;
    for (const Attempt& attempt : session.attempts) {
        const double ratio =
            attempt.plan.chosen().estimate[criterion] / metrics_of(attempt.measurement, session.reference)[criterion];
        if (!(ratio > 0) || !std::isfinite(ratio)) continue;
        logs += std::log(ratio);
        ++count;
    }
    return count > 0 ? std::exp(logs / count) : 1;
}

/// The attempts as mixes that correct what is predicted.
std::vector<MixedModel> evidence(const Session& session)
{
    std::vector<MixedModel> mixes;
    for (const Attempt& attempt : session.attempts) {
        mixes.push_back({attempt.plan.allocation, attempt.measurement});
        Speed& speed = mixes.back().measurement.speed;
        speed.latency_ms.median *= pace(session, kLatency);
        speed.prompt_tokens_per_second.median /= pace(session, kPromptLatency);
        speed.energy.joules.median *= pace(session, kEnergy);
    }
    return mixes;
}

/// What a plan has to keep at the pace of the profile, which predictions have: a limit is one of this session.
PlanRequest paced(PlanRequest request, const Session& session)
{
    Metrics& most = request.limits.most;
    for (const Measurement& rival : session.rivals) {
        request.nearest = true;
        const Metrics metrics = with_context(metrics_of(rival, session.reference), request.limits.context);
        for (const std::size_t c : front_objectives())
            if (metrics[c] > 0) most[c] = std::min(most[c], metrics[c]);
    }
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (criteria()[c].composition == Composition::timed) most[c] *= pace(session, c);
    return request;
}

/// How good an attempt is: how far it is from what it has to keep (1: not at all) and how close it is, as measured, the machine's pace
/// left out of the closeness only: a limit is a limit.
struct Merit {
    double counted;  ///< excess of what is exact; it is not weighed against what is measured
    double excess;
    double closeness;

    /// Greater is better.
    [[nodiscard]] auto rank() const { return std::tuple(-counted, -excess, closeness); }
};

Merit merit_of(const Attempt& attempt, const Session& session, const PlanRequest& request)
{
    Metrics metrics = metrics_of(attempt.measurement, session.reference);
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (std::isnan(metrics[c])) metrics[c] = attempt.plan.chosen().estimate[c];
    double counted = std::max(1.0, counted_excess(request.limits, metrics));
    double excess = limit_excess(request.limits, metrics);
    for (std::size_t r = 0; r < session.rivals.size(); ++r) {
        const Contest beside = contest(attempt, session, r);
        counted = std::max(counted, beside.memory);
        excess = std::max(excess, beside.shortfall());
    }
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (criteria()[c].composition == Composition::timed) metrics[c] *= pace(session, c);
    return {counted, std::max(1.0, excess), measured_closeness(session.attempts.front().plan, metrics)};
}

/// A plan that corrects the ones before it by what was measured on them, and promises more than the best of them. Nothing if
/// there is none, or it was built already.
std::optional<Plan> corrected(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                              const Session& session, const Merit& best)
{
    const std::vector<MixedModel> mixes = evidence(session);
    const auto is_new = [&](const Plan& plan) {
        return std::ranges::none_of(session.attempts, [&](const Attempt& attempt) { return same_types(attempt.plan, plan); });
    };
    auto plan = make_front_plan(profile, sensitivity, paced(request, session), mixes);
    // What was built and falls short falls short by less than can be predicted: aim farther.
    for (const double margin : {0.99, 0.975, 0.95}) {
        if (!plan || is_new(*plan) || session.rivals.empty() || best.excess <= 1) break;
        PlanRequest farther = paced(request, session);
        for (const std::size_t c : front_objectives())
            if (criteria()[c].composition != Composition::counted) farther.limits.most[c] *= margin;
        plan = make_front_plan(profile, sensitivity, farther, mixes);
    }
    if (!plan || !is_new(*plan)) return std::nullopt;
    plan->request = request;
    constexpr double kWorthIt = 0.002;  // less than that is noise, and building it takes a while
    const double promised = measured_closeness(session.attempts.front().plan, plan->chosen().estimate);
    if (best.excess <= 1 && promised < best.closeness + kWorthIt) return std::nullopt;
    return std::move(*plan);
}

}  // namespace

Contest contest(const Attempt& attempt, const Session& session, std::size_t rival)
{
    Measurement beside = session.rivals[rival];
    if (rival < attempt.beside.size()) beside.speed = attempt.beside[rival];
    return contest(attempt.measurement, beside, session.reference);
}

Result<std::variant<TryNext, Ship>> refine(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                                           const Session& session)
{
    if (session.attempts.empty()) {
        auto plans = make_candidates(profile, sensitivity, paced(request, session));
        if (!plans) return std::unexpected(plans.error());
        for (Plan& plan : *plans) plan.request = request;
        return TryNext{std::move(*plans)};
    }
    Ship best = best_of(request, session);
    const Merit merit = merit_of(session.attempts[best.attempt], session, request);
    const bool beaten = session.rivals.empty() || merit.excess <= 1;
    if (session.attempts.size() < (beaten ? kMostAttempts : kMostAgainstRivals)) {
        if (auto next = corrected(profile, sensitivity, request, session, merit)) return TryNext{.plans = {std::move(*next)}};
    }
    return best;
}

Ship best_of(const PlanRequest& request, const Session& session)
{
    std::vector<Merit> merits;
    for (const Attempt& attempt : session.attempts) merits.push_back(merit_of(attempt, session, request));
    const auto best = std::ranges::max_element(merits, {}, &Merit::rank);
    const auto shipped = static_cast<std::size_t>(best - merits.begin());
    Ship ship{.attempt = shipped,
              .limits_kept = best->excess <= 1,
              .because = std::format("{}, the closest of {} ({:.4f})", attempt_name(session.attempts[shipped].plan, shipped),
                                     merits.size(), best->closeness)};
    if (ship.limits_kept || session.rivals.empty()) return ship;
    ship.because = std::format("{}, the nearest of {}", attempt_name(session.attempts[shipped].plan, shipped), merits.size());
    return ship;
}

std::string attempt_name(const Plan& plan, std::size_t attempt)
{
    std::optional<std::string> type;  // of the layers
    for (const GroupType& entry : plan.allocation) {
        if (entry.group == kEmbedding) continue;
        if (type && *type != entry.type) return std::format("plan {}", attempt + 1);
        type = entry.type;
    }
    return std::format("all {}", type.value_or(""));
}

}  // namespace apreqel
