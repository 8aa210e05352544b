// Standard streams that cannot be written, and signals that ask to stop.
#include "base/file.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdlib>
#include <format>
#include <string>
#include <vector>

namespace apreqel {
namespace {

const char* const kPlan =
    R"({"schema":"apreqel.plan/1","allocation":[{"layer":"blk.0.attn","type":"q4_K"},{"layer":"blk.0.ffn","type":"q8_0"}]})";

/// The exit code of the program in `folder`, run by a shell.
int exit_code(const TempDir& folder, const std::string& arguments_and_redirections)
{
    const std::string command =
        std::format("cd {} && {} {}", folder.path().string(), APREQEL_PROGRAM, arguments_and_redirections);
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_CASE("work goes on and is saved where its messages cannot be written", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .width = 224, .file = "m.gguf"});
    REQUIRE(write_text(folder / "plan.json", kPlan));
    REQUIRE(exit_code(folder, "quantize m.gguf --plan plan.json -o good.gguf >out 2>err") == 0);
    const std::string good = read_text(folder / "good.gguf").value();
    const std::string broken_pipe = "{ mkfifo pipe; (: <pipe) & exec 2>pipe; wait; }";
    for (const std::string redirection : {"2>&-", "2>/dev/full", ">out 2>&- <&-"}) {
        INFO(redirection);
        CHECK(exit_code(folder, "quantize m.gguf --plan plan.json -f -o out.gguf " + redirection) == 0);
        CHECK(read_text(folder / "out.gguf").value() == good);
        std::filesystem::remove(folder / "out.gguf");
    }
    const std::string command = std::format("cd {} && {}; {} quantize m.gguf --plan plan.json -o out.gguf",
                                            folder.path().string(), broken_pipe, APREQEL_PROGRAM);
    CHECK(std::system(command.c_str()) == 0);
    CHECK(read_text(folder / "out.gguf").value() == good);
}

TEST_CASE("a result that nobody can take is an error after the work is saved", "[cli]")
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    REQUIRE(write_text(folder / "plan.json", kPlan));
    CHECK(exit_code(folder, "quantize m.gguf --plan plan.json -o a.gguf >&- 2>err") == 1);
    CHECK(std::filesystem::exists(folder / "a.gguf"));
    CHECK(read_text(folder / "err").value().contains("write the result to stdout"));
    CHECK(exit_code(folder, "--help >/dev/full 2>err") == 1);
    CHECK(exit_code(folder, "quantize m.gguf --plan plan.json -o b.gguf >&- 2>&-") == 1);
    CHECK(read_text(folder / "b.gguf").value() == read_text(folder / "a.gguf").value());
}

/// Starts a measurement that lasts, sends it `signals` once it has begun, and gives what waitpid says of its end.
int end_of_signalled(const std::vector<int>& signals)
{
    const TempDir folder;
    make_tiny_model(folder.path(), {.blocks = 1, .file = "m.gguf"});
    std::string text;
    for (int i = 0; i < 400; ++i) text += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", text));
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(pipe[1], STDERR_FILENO);
        ::close(pipe[0]);
        ::close(pipe[1]);
        ::close(STDOUT_FILENO);
        if (::chdir(folder.path().c_str()) == 0)
            ::execl(APREQEL_PROGRAM, "apreqel", "profile", "m.gguf", "--types", "q4_K,q8_0", "--text", "text.txt", "--context",
                    "32", "-r", "10000", nullptr);
        ::_exit(127);
    }
    ::close(pipe[1]);
    char c = 0;
    while (::read(pipe[0], &c, 1) == 1 && c != '\n') {
    }
    for (const int signal : signals) ::kill(child, signal);
    while (::read(pipe[0], &c, 1) == 1) {
    }
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

TEST_CASE("one signal asks to stop, the second ends the program", "[cli]")
{
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        INFO(signal);
        const int status = end_of_signalled({signal});
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 130);
    }
    CHECK(WIFSIGNALED(end_of_signalled({SIGINT, SIGTERM})));
}

}  // namespace
}  // namespace apreqel
