// docs/formats.md and the lists of fields. APREQEL_UPDATE_GOLDEN=1 rewrites the tables in it.
#include "base/file.h"
#include "records/format.h"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>

namespace apreqel {
namespace {

constexpr std::string_view kBegin = "<!-- fields: ";
constexpr std::string_view kEnd = "<!-- end -->";

/// `page` with every table between its marks made again.
std::string with_tables(const std::string& page)
{
    std::string made;
    std::size_t begin = 0;
    while (true) {
        const std::size_t mark = page.find(kBegin, begin);
        if (mark == std::string::npos) return made + page.substr(begin);
        const std::size_t line = page.find('\n', mark) + 1;
        const std::string section = page.substr(mark + kBegin.size(), page.find(" -->", mark) - mark - kBegin.size());
        const auto table = documented_fields(section);
        REQUIRE(table);
        made += page.substr(begin, line - begin) + *table;
        begin = page.find(kEnd, line);
        REQUIRE(begin != std::string::npos);
    }
}

TEST_CASE("docs/formats.md lists the fields that are read and written", "[records]")
{
    const std::filesystem::path path = APREQEL_FORMATS;
    const auto page = read_text(path);
    REQUIRE(page);
    const std::string made = with_tables(*page);
    if (std::getenv("APREQEL_UPDATE_GOLDEN") != nullptr) REQUIRE(write_text(path, made));
    CHECK(read_text(path) == made);
    for (const char* field :
         {"| `types[].memory_bytes` |", "| `layers[].score` |", "| `runners_up` |", "| `models[].allocation` |"})
        CHECK(made.contains(field));
}

}  // namespace
}  // namespace apreqel
