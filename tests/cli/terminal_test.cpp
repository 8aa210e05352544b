#include "cli/terminal.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A screen that remembers, with a clock that is set.
struct Recorded {
    Screen::Clock::time_point time{};
    std::string text;

    Screen screen(bool redraws)
    {
        return {.redraws = redraws, .write = [this](std::string_view part) { text += part; }, .now = [this] { return time; }};
    }
    /// What was written since the last call.
    std::string taken() { return std::exchange(text, {}); }
};

TEST_CASE("without a terminal a step prints a line every half minute while it lasts, and one when it ends", "[cli]")
{
    Recorded recorded;
    Terminal terminal(false, recorded.screen(false));
    terminal.begin("q4_K: perplexity", 100);
    recorded.time += seconds(29);
    terminal.advance(10);
    CHECK(recorded.taken().empty());
    recorded.time += seconds(31);
    terminal.advance(25);
    CHECK(recorded.taken() == "q4_K: perplexity   25 %  ETA 3 min 00 s\n");
    recorded.time += seconds(29);
    terminal.advance(30);
    CHECK(recorded.taken().empty());
    recorded.time += seconds(91);
    terminal.advance(50);
    CHECK(recorded.taken() == "q4_K: perplexity   50 %  ETA 3 min 00 s\n");
    terminal.end("7.55");
    CHECK(recorded.taken() == "q4_K: perplexity: 7.55 (3 min 00 s)\n");
    terminal.begin("next", 1);
    CHECK(recorded.taken().empty());
    recorded.time += seconds(5);
    terminal.end("");
    CHECK(recorded.taken() == "next (5 s)\n");
}

TEST_CASE("on a terminal a step is one line, drawn again", "[cli]")
{
    Recorded recorded;
    Terminal terminal(false, recorded.screen(true));
    terminal.begin("latency", 10);
    CHECK(recorded.taken() == "latency    0 %");
    recorded.time += milliseconds(50);
    terminal.advance(1);
    CHECK(recorded.taken().empty());
    recorded.time += seconds(20);
    terminal.advance(5);
    CHECK(recorded.taken() == "\r\x1b[Klatency   50 %  ETA 20 s");
    terminal.warn("noisy");
    CHECK(recorded.taken() == "\r\x1b[Kapreqel: warning: noisy\n");
    terminal.end("1 ms");
    CHECK(recorded.taken() == "latency: 1 ms (20 s)\n");
}

TEST_CASE("a quiet terminal has only warnings, and no step can write escape sequences", "[cli]")
{
    Recorded recorded;
    for (const bool redraws : {false, true}) {
        Terminal quiet(true, recorded.screen(redraws));
        quiet.begin("step", 1);
        recorded.time += std::chrono::minutes(2);
        quiet.advance(0.5);
        quiet.end("done");
        CHECK(recorded.taken().empty());
        quiet.warn("a\x1b[2J\nb");
        CHECK(recorded.taken() == "apreqel: warning: a\uFFFD[2J\uFFFDb\n");
    }
    Terminal terminal(false, recorded.screen(false));
    terminal.begin("\x1b]0;owned\a", 1);
    terminal.end("\u009b2J");
    CHECK(recorded.taken() == "\uFFFD]0;owned\uFFFD: \uFFFD2J (0 s)\n");
}

}  // namespace
}  // namespace apreqel
