#include "study/workspace.h"

#include "base/file.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <csignal>

namespace apreqel {
namespace {

struct Warnings : Monitor {
    void warn(std::string_view message) override { list.emplace_back(message); }
    std::vector<std::string> list;
};

/// Another process that has the lock of a workspace until it is killed.
class Holder {
public:
    explicit Holder(const Workspace& workspace)
    {
        std::array<int, 2> ready{};
        REQUIRE(::pipe(ready.data()) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            const auto lock = WorkspaceLock::take(workspace);
            const char locked = lock ? 'y' : 'n';
            static_cast<void>(::write(ready[1], &locked, 1));
            for (;;) ::pause();
        }
        char locked = 0;
        REQUIRE(::read(ready[0], &locked, 1) == 1);
        REQUIRE(locked == 'y');
        ::close(ready[0]);
        ::close(ready[1]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { kill(); }

    void kill()
    {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

TEST_CASE("one process at a time writes to a workspace, and another is told who does", "[study]")
{
    const TempDir folder;
    const Workspace workspace(folder / "m.gguf", {});
    REQUIRE(workspace.create());
    Holder holder(workspace);
    const auto refused = WorkspaceLock::take(workspace);
    REQUIRE(!refused);
    INFO(refused.error().message);
    CHECK(refused.error().message.contains(workspace.directory().string()));
    CHECK(refused.error().message.contains(std::format("process {} on ", holder.pid())));
    CHECK(refused.error().message.contains("since 2"));
    CHECK(refused.error().message.contains("apreqel_tests"));
    CHECK(refused.error().hint.contains("-C DIR"));
    const Workspace elsewhere(folder / "m.gguf", folder / "other");
    REQUIRE(elsewhere.create());
    CHECK(WorkspaceLock::take(elsewhere));

    holder.kill();  // however it ends, its lock ends with it
    auto mine = WorkspaceLock::take(workspace);
    REQUIRE(mine);
    CHECK(!WorkspaceLock::take(workspace));
    mine->reset();
    CHECK(WorkspaceLock::take(workspace));
}

TEST_CASE("who holds a workspace is one line, whatever the lock file says", "[study]")
{
    const TempDir folder;
    const Workspace workspace(folder / "m.gguf", {});
    REQUIRE(workspace.create());
    Holder holder(workspace);
    std::FILE* file = std::fopen(workspace.path("lock").c_str(), "w");  // in place: the lock is on this very file
    REQUIRE(file != nullptr);
    std::fputs("\x1b[2J\nprocess\t1\n", file);
    std::fclose(file);
    const auto refused = WorkspaceLock::take(workspace);
    REQUIRE(!refused);
    const std::string& message = refused.error().message;
    CHECK(message.ends_with("in use by \uFFFD[2J"));
}

TEST_CASE("what a killed process left half written goes when the workspace is taken again", "[study]")
{
    const TempDir folder;
    const Workspace workspace(folder / "m.gguf", {});
    REQUIRE(workspace.create());
    for (const char* name : {"variants/q4_K-1.gguf.part.a1B2c3", "profile.json.part.ZZZZZZ", "sense/reference-1.expected",
                             "variants/q4_K-1.gguf", "reference-1.expected", "notes.part.txt"})
        REQUIRE(write_text(workspace.path(name), "x"));
    {
        Holder other(workspace);
        CHECK(!WorkspaceLock::take(workspace));  // it may be writing these
    }
    REQUIRE(write_text(workspace.path("speed/models.json.part.123456"), "x"));
    REQUIRE(WorkspaceLock::take(workspace));
    CHECK(!std::filesystem::exists(workspace.path("variants/q4_K-1.gguf.part.a1B2c3")));
    CHECK(!std::filesystem::exists(workspace.path("profile.json.part.ZZZZZZ")));
    CHECK(!std::filesystem::exists(workspace.path("speed/models.json.part.123456")));
    CHECK(!std::filesystem::exists(workspace.path("sense/reference-1.expected")));
    CHECK(std::filesystem::exists(workspace.path("variants/q4_K-1.gguf")));
    CHECK(std::filesystem::exists(workspace.path("reference-1.expected")));
    CHECK(std::filesystem::exists(workspace.path("notes.part.txt")));
}

TEST_CASE("an artifact that was changed since it was sealed is set aside once", "[study]")
{
    const TempDir folder;
    const Workspace workspace(folder / "m.gguf", {});
    REQUIRE(workspace.create());
    const auto path = workspace.path("text.txt");
    Warnings warnings;
    CHECK(workspace.holds(path, warnings) == false);
    REQUIRE(write_text(path, "some words"));
    REQUIRE(workspace.seal(path, warnings));
    CHECK(workspace.holds(path, warnings) == true);
    CHECK(workspace.offers(path, warnings) == true);
    REQUIRE(write_text(path, "other word"));
    CHECK(workspace.offers(path, warnings) == false);
    CHECK(warnings.list.size() == 1);
    CHECK(std::filesystem::exists(path));
    CHECK(workspace.holds(path, warnings) == false);
    REQUIRE(warnings.list.size() == 2);
    CHECK(warnings.list.back().contains("text.txt is damaged"));
    CHECK(!std::filesystem::exists(path));
    CHECK(read_text(path.string() + ".damaged") == "other word");
    CHECK(workspace.holds(path, warnings) == false);
    CHECK(warnings.list.size() == 2);
    REQUIRE(write_text(path, "never sealed"));  // its process was killed a moment too early
    CHECK(workspace.holds(path, warnings) == true);
    std::filesystem::resize_file(path, 3);
    CHECK(Workspace(folder / "m.gguf", {}).holds(path, warnings) == false);
    workspace.remove(path);
    CHECK(std::filesystem::exists(path.string() + ".damaged"));
}

}  // namespace
}  // namespace apreqel
