// What to do next when some plans were built and measured: build another, or ship one of them.
#pragma once

#include <apreqel/plan.h>

#include <string>
#include <variant>
#include <vector>

namespace apreqel {

/// A plan that was built, and what it measured.
struct Attempt {
    Plan plan;
    Measurement measurement;
};

/// What was measured together, in the same rounds: only then do latencies compare.
struct Session {
    std::vector<Attempt> attempts;     ///< in the order they were planned
    std::vector<Measurement> uniform;  ///< in the order of the profile's types
    Quality reference{};               ///< of the full-precision model
};

/// Build this, measure it with all that was built before, and ask again.
struct TryNext {
    Plan plan;
};

/// Ship this.
struct Ship {
    Plan plan;
    std::size_t attempt;      ///< index; of the nearest attempt where a uniform type is shipped
    std::string uniform{};    ///< the uniform type that measured better than every mix, or empty
    Measurement measurement;  ///< of what is shipped
    bool limits_kept = true;  ///< as measured
    std::string because;      ///< one line for people
};

inline constexpr std::size_t kMostAttempts = 3;

/// The paper's method builds its plan and ships it. The front method corrects its predictions by what was measured and plans
/// again, as long as that changes the plan and for at most `kMostAttempts` attempts; then it ships the best measured of all
/// attempts and uniform types: what keeps the limits, or comes nearest, first, then by closeness. `scores` for the paper's method,
/// `sensitivity` for the front.
/// Errors: those of make_plan and make_front_plan for the first plan.
[[nodiscard]] Result<std::variant<TryNext, Ship>> refine(const Profile& profile, const Scores* scores,
                                                         const Sensitivity* sensitivity, const PlanRequest& request,
                                                         const Session& session);

}  // namespace apreqel
