#include "cli/terminal.h"

#include "base/printable.h"
#include "base/scratch.h"
#include "runtime/rpc.h"
#include "runtime/session.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <mutex>

namespace apreqel {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

/// Between two drawings of a line, and between two lines of a step that lasts.
constexpr std::chrono::milliseconds kRedrawPause{100};
constexpr std::chrono::seconds kLinePause{30};

/// Lock-free, as a signal handler needs: two threads may get a signal each at the same time.
std::atomic<bool> stop_asked = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal)
{
    if (stop_asked.exchange(true)) {
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
}

/// Work must go on where nobody can read of it.
void write_to_stderr(std::string_view text)
{
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
    static_cast<void>(std::fflush(stderr));
}

/// "42 s", "3 min 05 s", "1 h 20 min".
std::string duration(double seconds)
{
    const auto whole = std::lround(seconds);
    if (whole < 60) return std::format("{} s", whole);
    if (whole < 3600) return std::format("{} min {:02} s", whole / 60, whole % 60);
    return std::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

double seconds_between(Screen::Clock::time_point from, Screen::Clock::time_point to)
{
    return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Screen standard_error()
{
    return {.redraws = ::isatty(STDERR_FILENO) != 0, .write = write_to_stderr, .now = Screen::Clock::now};
}

Terminal::Terminal(bool quiet, Screen screen) : quiet_(quiet), screen_(std::move(screen)) {}

void Terminal::clear_line()
{
    if (line_open_) screen_.write(kClearLine);
    line_open_ = false;
}

void Terminal::begin(std::string_view step, double total)
{
    step_ = printable_line(step);
    total_ = total;
    start_ = shown_ = screen_.now();
    if (!screen_.redraws) return;
    shown_ -= kRedrawPause;
    advance(0);
}

void Terminal::advance(double done)
{
    const Screen::Clock::time_point now = screen_.now();
    if (quiet_ || now - shown_ < (screen_.redraws ? Screen::Clock::duration(kRedrawPause) : kLinePause)) return;
    shown_ = now;
    const double part = total_ > 0 ? std::clamp(done / total_, 0.0, 1.0) : 0;
    const double elapsed = seconds_between(start_, now);
    std::string line = std::format("{}  {:3.0f} %", step_, 100 * part);
    if (part > 0 && elapsed > 1) line += std::format("  ETA {}", duration(elapsed * (1 - part) / part));
    clear_line();
    screen_.write(screen_.redraws ? line : line + "\n");
    line_open_ = screen_.redraws;
}

void Terminal::end(std::string_view outcome)
{
    clear_line();
    if (quiet_) return;
    const std::string took = duration(seconds_between(start_, screen_.now()));
    screen_.write(std::format("{}{}{} ({})\n", step_, outcome.empty() ? "" : ": ", printable_line(outcome), took));
}

void Terminal::warn(std::string_view message)
{
    clear_line();
    screen_.write(std::format("apreqel: warning: {}\n", printable_line(message)));
}

bool Terminal::stop_requested() const { return stop_asked; }

int report(const Error& error)
{
    if (::isatty(STDERR_FILENO) != 0) write_to_stderr(kClearLine);  // a progress line may stand there
    write_to_stderr(std::format("apreqel: error: {}\n", printable_line(error.message)));
    if (!error.hint.empty()) write_to_stderr(std::format("hint: {}\n", printable_line(error.hint)));
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
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        if (std::signal(signal, on_signal) == SIG_IGN) std::signal(signal, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
}

void keep_standard_streams()
{
    // Opened the wrong way round, so that reading and writing fail as they would on a closed stream. open takes the lowest free
    // number, and that is this one.
    constexpr std::array kModes{O_WRONLY, O_RDONLY, O_RDONLY};
    for (int stream = 0; stream < static_cast<int>(kModes.size()); ++stream) {
        if (::fcntl(stream, F_GETFD) == -1) static_cast<void>(::open("/dev/null", kModes[static_cast<std::size_t>(stream)]));
    }
}

void report_aborts()
{
    on_abort([](const char* message) {
        static std::mutex last;  // whoever aborts after the first waits for the end
        last.lock();
        remove_scratch_folders();
        ::_exit(report(abort_error(message)));
    });
}

}  // namespace apreqel
