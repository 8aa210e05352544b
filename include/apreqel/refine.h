// Which plans to build and measure, and which of them to ship.
#pragma once

#include <apreqel/contest.h>
#include <apreqel/plan.h>

#include <string>
#include <variant>
#include <vector>

namespace apreqel {

/// A plan that was built, and what it measured.
struct Attempt {
    Plan plan;
    Measurement measurement;
    std::vector<Speed> beside{};  ///< of the session's rivals, in its rounds
};

/// What was measured at one pace of the machine: only then do latencies compare.
struct Session {
    std::vector<Attempt> attempts;  ///< in the order they were planned
    Quality reference{};            ///< of the full-precision model
    /// Models that what is shipped is to be better than, in every criterion and as measured. Before there are attempts, their
    /// speed is that at the profile's pace.
    std::vector<Measurement> rivals{};
};

/// The attempt beside one of the session's rivals, `rival` its index.
[[nodiscard]] Contest contest(const Attempt& attempt, const Session& session, std::size_t rival);

/// Build these, measure them with all that was built before, and ask again.
struct TryNext {
    std::vector<Plan> plans;
};

/// Ship this attempt.
struct Ship {
    std::size_t attempt;      ///< index
    bool limits_kept = true;  ///< as measured
    std::string because;      ///< one line for people
};

/// Plans of the front method that differ where the predictions are unsure: the best of what is predicted; the best in each of
/// some worlds that the measurements leave open (Thompson 1933, Biometrika 25: draws from what is believed); and the best
/// uniform type that keeps the limits. 1 to 4 plans, none twice. Same input, same plans. Errors: those of make_front_plan.
[[nodiscard]] Result<std::vector<Plan>> make_candidates(const Profile& profile, const Sensitivity& sensitivity,
                                                        const PlanRequest& request);

inline constexpr std::size_t kMostAttempts = 5;
/// As long as none of them beats the rivals.
inline constexpr std::size_t kMostAgainstRivals = 8;

/// The front method's next step: what keeps the limits and is better than the rivals, or comes nearest to that, and among what
/// does is closest to the ideal. It builds its candidates; as long as what was measured leads to a plan that promises more than
/// the best of them measured, and for at most `kMostAttempts` attempts, or `kMostAgainstRivals`, it builds that too; then it ships the best measured, of
/// equals the earlier.
/// Errors: those of make_front_plan for the candidates.
[[nodiscard]] Result<std::variant<TryNext, Ship>> refine(const Profile& profile, const Sensitivity& sensitivity,
                                                         const PlanRequest& request, const Session& session);

/// What to ship if nothing more is built: the best of the attempts, at least one. What was not measured of them counts as predicted.
[[nodiscard]] Ship best_of(const PlanRequest& request, const Session& session);

/// True if both give every group the same type, and the KV cache.
[[nodiscard]] bool same_types(const Plan& plan, const Plan& other);

/// "all q4_K", or "plan 2" for a mix that is the second of its session.
[[nodiscard]] std::string attempt_name(const Plan& plan, std::size_t attempt);

}  // namespace apreqel
