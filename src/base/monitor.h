// How long work reports to whoever watches, and asks whether to go on.
#pragma once

#include <string_view>

namespace apreqel {

/// Work that takes long announces a step, advances it, and ends it; between batches it asks `stop_requested`.
/// This base watches nothing and never stops: what tests and library callers need.
class Monitor {
public:
    virtual ~Monitor() = default;

    /// A step of `total` units begins, such as "q4_K: perplexity" of 64 chunks.
    virtual void begin(std::string_view /*step*/, double /*total*/) {}
    /// `done` units of the step are complete.
    virtual void advance(double /*done*/) {}
    /// The step is complete; `outcome` is its result in a few words.
    virtual void end(std::string_view /*outcome*/) {}
    /// Something the user should know that does not stop the work.
    virtual void warn(std::string_view /*message*/) {}
    /// True once the user asked to stop: keep what is done, return ErrorCode::interrupted. Asked by the threads that compute too.
    [[nodiscard]] virtual bool stop_requested() const { return false; }
};

}  // namespace apreqel
