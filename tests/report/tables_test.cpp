#include "report/tables.h"
#include "report/table.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("tables are aligned by characters, not bytes", "[report]")
{
    CHECK(format_table({{"a", "b"}, {"± 1", "22"}, {"x", "3"}}) == "a     b\n± 1  22\nx     3\n");
}

TEST_CASE("what files say cannot break a Markdown table", "[report]")
{
    const std::string text = tables_markdown({{.title = "T", .rows = {{"name", "n"}, {"a|b<script>\nc", "1"}}, .note = "so"}});
    CHECK(text == "## T\n\n| name | n |\n|---|---:|\n| a\\|b\\<script> c | 1 |\n\nso.\n");
}

}  // namespace
}  // namespace apreqel
