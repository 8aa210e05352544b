#include "base/file.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

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

TEST_CASE("a copy is the bytes of the range asked for", "[base]")
{
    const TempDir folder;
    REQUIRE(write_text(folder / "in", "0123456789"));
    const auto in = InputFile::open(folder / "in");
    auto out = OutputFile::create(folder / "out");
    REQUIRE(out->copy_at(0, *in, 4, 3));
    REQUIRE(out->copy_at(3, *in, 0, 2));
    REQUIRE(out->commit());
    CHECK(read_text(folder / "out") == "45601");
}

}  // namespace
}  // namespace apreqel
