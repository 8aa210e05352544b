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

TEST_CASE("an interval is printed with what it covers", "[report]")
{
    Measurement model{.name = "q4_K", .memory_bytes = 1024};
    model.speed.latency_ms = {.median = 0.2, .low = 0.19, .high = 0.21, .confidence = 0.5, .samples = {0.19, 0.21}};
    CHECK(measurement_row(model)[3] == "0.200 [0.190, 0.210] 50.0 %");
    CHECK(!measurement_header("")[3].contains("95"));
}

}  // namespace
}  // namespace apreqel
