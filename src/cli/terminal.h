// What the user sees on stderr while work goes on, and how they stop it.
#pragma once

#include "base/monitor.h"

#include <apreqel/error.h>

#include <chrono>
#include <string>

namespace apreqel {

/// Progress on stderr: one line with percentage and ETA, redrawn, if stderr is a terminal; else a plain line per
/// finished step. Ctrl-C asks to stop; a second one ends the program at once.
class Terminal : public Monitor {
public:
    /// `quiet`: only warnings.
    explicit Terminal(bool quiet);

    void begin(std::string_view step, double total) override;
    void advance(double done) override;
    void end(std::string_view outcome) override;
    void warn(std::string_view message) override;
    [[nodiscard]] bool stop_requested() const override;

private:
    using Clock = std::chrono::steady_clock;

    void clear_line();

    bool quiet_;
    bool redraws_;
    bool line_open_ = false;
    std::string step_;
    double total_ = 0;
    Clock::time_point start_;
    Clock::time_point last_draw_;
};

/// "apreqel: error: message" and its hint on stderr; the exit code for it.
int report(const Error& error);

/// Makes Ctrl-C (and SIGTERM) a request to stop.
void catch_interrupts();

/// Ends the program with an error instead of a core dump where libggml would abort.
void report_aborts();

}  // namespace apreqel
