#include "base/scratch.h"

#include "base/file.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("a scratch folder is new, and goes with what is in it", "[base]")
{
    const TempDir parent;
    std::filesystem::path path;
    {
        auto scratch = ScratchFolder::create(parent.path());
        REQUIRE(scratch);
        const ScratchFolder moved = std::move(*scratch);
        const auto other = ScratchFolder::create(parent.path());
        REQUIRE(other);
        path = moved.path();
        CHECK(path.parent_path() == parent.path());
        CHECK(path != other->path());
        std::filesystem::create_directories(path / "in");
        REQUIRE(write_text(path / "in" / "file", "text"));
        CHECK(std::filesystem::exists(path));
    }
    CHECK(std::filesystem::is_empty(parent.path()));
    const auto nowhere = ScratchFolder::create(parent / "absent");
    REQUIRE(!nowhere);
    CHECK(nowhere.error().message.contains("absent: No such file"));
}

TEST_CASE("a program that ends in the middle takes its scratch folders with it", "[base]")
{
    const TempDir parent;
    const auto one = ScratchFolder::create(parent.path());
    const auto two = ScratchFolder::create(parent.path());
    REQUIRE(one);
    REQUIRE(two);
    REQUIRE(write_text(one->path() / "file", "text"));
    remove_scratch_folders();
    CHECK(std::filesystem::is_empty(parent.path()));
}

}  // namespace
}  // namespace apreqel
