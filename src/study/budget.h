// A time that work has.
#pragma once

#include "base/monitor.h"

#include <chrono>
#include <optional>
#include <string_view>

namespace apreqel {

/// Asks to stop when the watched monitor does, and when the time is up; not any more once what there is must be finished.
class Budget : public Monitor {
public:
    /// `minutes`: 0: no end.
    Budget(Monitor& watched, double minutes)
        : watched_(watched), seconds_(minutes > 0 ? std::optional(60 * minutes) : std::nullopt)
    {
    }

    void begin(std::string_view step, double total) override { watched_.begin(step, total); }
    void advance(double done) override { watched_.advance(done); }
    void end(std::string_view outcome) override { watched_.end(outcome); }
    void warn(std::string_view message) override { watched_.warn(message); }
    [[nodiscard]] bool stop_requested() const override
    {
        return !finishing_ && (watched_.stop_requested() || seconds_left().value_or(1) <= 0);
    }

    /// Nothing: there is no end.
    [[nodiscard]] std::optional<double> seconds_left() const
    {
        if (!seconds_) return std::nullopt;
        return *seconds_ - std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

    /// What remains to be done takes as long as it takes.
    void finish() { finishing_ = true; }

private:
    Monitor& watched_;
    std::optional<double> seconds_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    bool finishing_ = false;
};

}  // namespace apreqel
