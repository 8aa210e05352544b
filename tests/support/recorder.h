// A monitor that remembers what it was told.
#pragma once

#include "base/monitor.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace apreqel {

/// Records the steps, and asks to stop when a step of that name has begun.
struct Recorder : Monitor {
    Recorder() = default;
    explicit Recorder(std::string stop) : stop_at(std::move(stop)) {}
    void begin(std::string_view step, double) override
    {
        steps.emplace_back(step);
        stopped = stopped || (!stop_at.empty() && step.contains(stop_at));
    }
    void end(std::string_view outcome) override { outcomes.emplace_back(outcome); }
    void warn(std::string_view message) override { warnings.emplace_back(message); }
    [[nodiscard]] bool stop_requested() const override { return stopped; }

    std::string stop_at;
    bool stopped = false;
    std::vector<std::string> steps;
    std::vector<std::string> outcomes;
    std::vector<std::string> warnings;
};

}  // namespace apreqel
