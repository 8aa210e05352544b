#include "base/file.h"
#include "support/compare.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <fstream>
#include <vector>

namespace apreqel {
namespace {

std::size_t entries(const std::filesystem::path& folder)
{
    return static_cast<std::size_t>(std::ranges::distance(std::filesystem::directory_iterator(folder)));
}

TEST_CASE("a file that is not committed leaves the destination and its folder as they were", "[base]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "out", "old"));
    {
        auto file = OutputFile::create(folder / "out");
        REQUIRE(file);
        REQUIRE(file->write_at(0, std::as_bytes(std::span("new", 3))));
    }
    CHECK(read_text(folder / "out") == "old");
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a committed file replaces the destination", "[base]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "out", "old"));
    REQUIRE(write_text(folder / "out", "newer"));
    CHECK(read_text(folder / "out") == "newer");
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("files that cannot be read or written say which and why", "[base]")
{
    const TempDir folder;
    CHECK(read_text(folder / "absent").error().message.contains("absent: No such file"));
    CHECK(read_text(folder.path()).error().message.contains("not a regular file"));
    CHECK(write_text(folder / "no" / "folder", "x").error().message.contains("No such file"));
    REQUIRE(write_text(folder / "big", "12345"));
    CHECK(read_text(folder / "big", 4).error().message.contains("more than the 4 allowed"));
    const auto file = InputFile::open(folder / "big");
    std::array<std::byte, 3> bytes{};
    CHECK(!file->read_at(3, bytes));
}

TEST_CASE("what is no regular file is neither read nor replaced, and never waited for", "[base]")
{
    const TempDir folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    std::filesystem::create_symlink(folder / "fifo", folder / "link");
    const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string name = (folder / "socket").string();
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    for (const auto& [path, kind] : std::vector<std::pair<std::filesystem::path, std::string>>{{folder / "fifo", "a FIFO"},
                                                                                               {folder / "link", "a FIFO"},
                                                                                               {folder / "socket", "a socket"},
                                                                                               {"/dev/null", "a device"},
                                                                                               {folder.path(), "a folder"}}) {
        CAPTURE(path);
        CHECK(read_text(path).error().message.contains("it is " + kind + ", not a regular file"));
        const auto before = entries(folder.path());
        const auto written = write_text(path, "x");
        REQUIRE(!written);
        CHECK(written.error().code == ErrorCode::usage);
        CHECK(written.error().message.contains("it is " + kind + ", not a regular file"));
        CHECK(entries(folder.path()) == before);
    }
    ::close(server);
}

TEST_CASE("writing to a link replaces the file that it names", "[base]")
{
    const TempDir folder;
    std::filesystem::create_directory(folder / "there");
    REQUIRE(write_text(folder / "there" / "file", "old"));
    std::filesystem::create_symlink(folder / "there" / "file", folder / "link");
    REQUIRE(write_text(folder / "link", "new"));
    CHECK(std::filesystem::is_symlink(folder / "link"));
    CHECK(read_text(folder / "there" / "file") == "new");
    std::filesystem::remove(folder / "there" / "file");
    CHECK(write_text(folder / "link", "x").error().message.contains("leads nowhere"));
}

TEST_CASE("temporary files that a killed process left go, those being written stay", "[base]")
{
    const TempDir folder;
    std::filesystem::create_directories(folder / "deep" / "er");
    const auto left = [&](const std::filesystem::path& path) { std::ofstream(folder / path) << "half"; };
    left("out.part.aB3xYz");
    left("other.part.aB3xYz");
    left("third.part.aB3xYz");
    remove_abandoned_parts_of(folder / "third");
    CHECK(!std::filesystem::exists(folder / "third.part.aB3xYz"));
    left("deep/er/out.part.aB3xYz");
    left("out.part.long-name");  // not a name that this program makes
    std::filesystem::create_symlink(folder / "out.part.long-name", folder / "link.part.aB3xYz");
    auto writing = OutputFile::create(folder / "out");
    REQUIRE(writing);
    CHECK(!std::filesystem::exists(folder / "out.part.aB3xYz"));
    CHECK(std::filesystem::exists(folder / "other.part.aB3xYz"));  // of another destination
    const auto second = OutputFile::create(folder / "out");
    remove_abandoned_parts(folder.path());
    CHECK(!std::filesystem::exists(folder / "other.part.aB3xYz"));
    CHECK(!std::filesystem::exists(folder / "deep" / "er" / "out.part.aB3xYz"));
    CHECK(std::filesystem::exists(folder / "out.part.long-name"));
    CHECK(std::filesystem::exists(second->temporary_path()));
    REQUIRE(writing->commit());
    CHECK(std::filesystem::exists(folder / "out"));
    remove_abandoned_parts(folder / "absent");
}

TEST_CASE("a file that is moved replaces what is there, also on another file system", "[base]")
{
    const TempDir folder;
    const std::filesystem::path memory = "/dev/shm";
    const TempDir other(std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path());
    for (const auto& target : {folder / "target", other / "target"}) {
        spill(folder / "source", std::string(5'000'000, 'x') + "end");
        spill(target, "old");
        REQUIRE(move_file(folder / "source", target));
        CHECK(slurp(target) == std::string(5'000'000, 'x') + "end");
        CHECK(!std::filesystem::exists(folder / "source"));
        spill(folder / "source", "new");
        CHECK(!move_file(folder / "source", folder / "absent" / "target"));
        CHECK(slurp(folder / "source") == "new");
    }
}

TEST_CASE("more than the disk has free is an error with both numbers", "[base]")
{
    const TempDir folder;
    CHECK(check_space(folder.path(), 1));
    CHECK(check_space(folder / "absent", 1ULL << 62));  // writing will tell
    const auto refused = check_space(folder.path(), 1ULL << 62);
    REQUIRE(!refused);
    CHECK(refused.error().message.contains("4611686018427387904 bytes are needed, the disk has "));
    CHECK(refused.error().hint.contains("-C DIR"));
}

}  // namespace
}  // namespace apreqel
