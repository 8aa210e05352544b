#include "cli/terminal.h"

#include "runtime/session.h"

#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <print>

namespace apreqel {
namespace {

/// Set by the signal, read by the threads that compute.
std::atomic<bool> stop_asked = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // else a signal may not set it

void on_signal(int signal)
{
    stop_asked = true;
    std::signal(signal, SIG_DFL);  // the next one ends the program
}

/// "42 s", "3 min 05 s", "1 h 20 min".
std::string duration(double seconds)
{
    const auto whole = std::lround(seconds);
    if (whole < 60) return std::format("{} s", whole);
    if (whole < 3600) return std::format("{} min {:02} s", whole / 60, whole % 60);
    return std::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to)
{
    return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Terminal::Terminal(bool quiet) : quiet_(quiet), redraws_(!quiet && ::isatty(STDERR_FILENO) != 0) {}

void Terminal::clear_line()
{
    if (line_open_) std::print(stderr, "\r\x1b[K");
    line_open_ = false;
}

void Terminal::begin(std::string_view step, double total)
{
    step_ = step;
    total_ = total;
    start_ = Clock::now();
    last_draw_ = {};
    advance(0);
}

void Terminal::advance(double done)
{
    const Clock::time_point now = Clock::now();
    if (!redraws_ || seconds_between(last_draw_, now) < 0.1) return;
    last_draw_ = now;
    const double part = total_ > 0 ? std::clamp(done / total_, 0.0, 1.0) : 0;
    const double elapsed = seconds_between(start_, now);
    std::string line = std::format("{}  {:3.0f} %", step_, 100 * part);
    if (part > 0 && elapsed > 1) line += std::format("  ETA {}", duration(elapsed * (1 - part) / part));
    clear_line();
    std::print(stderr, "{}", line);
    std::fflush(stderr);
    line_open_ = true;
}

void Terminal::end(std::string_view outcome)
{
    clear_line();
    if (quiet_) return;
    const std::string took = duration(seconds_between(start_, Clock::now()));
    std::println(stderr, "{}{}{} ({})", step_, outcome.empty() ? "" : ": ", outcome, took);
}

void Terminal::warn(std::string_view message)
{
    clear_line();
    std::println(stderr, "apreqel: warning: {}", message);
}

bool Terminal::stop_requested() const { return stop_asked; }

int report(const Error& error)
{
    if (::isatty(STDERR_FILENO) != 0) std::print(stderr, "\r\x1b[K");  // a progress line may stand there
    std::println(stderr, "apreqel: error: {}", error.message);
    if (!error.hint.empty()) std::println(stderr, "hint: {}", error.hint);
    switch (error.code) {
        case ErrorCode::failed: return 1;
        case ErrorCode::usage: return 2;
        case ErrorCode::infeasible: return 3;
        case ErrorCode::interrupted: return 130;
    }
    return 1;
}

void catch_interrupts()
{
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is noticed when writing
}

void report_aborts()
{
    on_abort([](const char* message) {
        std::println(stderr, "apreqel: error: libggml stopped: {}", message);
        ::_exit(1);
    });
}

}  // namespace apreqel
