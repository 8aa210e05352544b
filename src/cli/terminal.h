// What the user sees on stderr while work goes on, and how they stop it.
#pragma once

#include "base/monitor.h"

#include <apreqel/error.h>

#include <chrono>
#include <functional>
#include <string>

namespace apreqel {

/// Where progress is shown.
struct Screen {
    using Clock = std::chrono::steady_clock;

    bool redraws = false;  ///< a terminal, on which a line can be drawn again
    std::function<void(std::string_view)> write;
    std::function<Clock::time_point()> now;
};

/// stderr. What cannot be written there is lost, and nothing else.
[[nodiscard]] Screen standard_error();

/// Progress on a screen: one line with percentage and ETA, redrawn, if it is a terminal; else a plain line per finished step,
/// and one every half minute while a step lasts. A signal asks to stop: see catch_interrupts.
class Terminal : public Monitor {
public:
    /// `quiet`: only warnings.
    explicit Terminal(bool quiet, Screen screen = standard_error());

    void begin(std::string_view step, double total) override;
    void advance(double done) override;
    void end(std::string_view outcome) override;
    void warn(std::string_view message) override;
    [[nodiscard]] bool stop_requested() const override;

private:
    void clear_line();

    bool quiet_;
    Screen screen_;
    bool line_open_ = false;
    std::string step_;
    double total_ = 0;
    Screen::Clock::time_point start_;
    Screen::Clock::time_point shown_;
};

/// "apreqel: error: message" and its hint on stderr; the exit code for it.
int report(const Error& error);

/// Makes Ctrl-C, SIGTERM and SIGHUP a request to stop; the second of them ends the program. What the program was started to
/// ignore (nohup) stays ignored. A pipe that nobody reads, or a file that may not grow, becomes an error of the writing call.
void catch_interrupts();

/// Gives standard streams that are closed a file of their own, on which their use fails: else the next file that is opened would
/// take their number, and messages would go into it.
void keep_standard_streams();

/// Ends the program with an error instead of a core dump where libggml would abort.
void report_aborts();

}  // namespace apreqel
