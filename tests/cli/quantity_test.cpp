#include "cli/quantity.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("sizes are read as people write them", "[cli]")
{
    const auto bytes = [](std::string_view text) { return parse_quantity(text, kSizeUnits).value_or(-1); };
    CHECK(bytes("4096") == 4096);
    CHECK(bytes("4096 B") == 4096);
    for (const char* text : {"4G", "4g", "4 G", "4GiB", "4 GiB", " 4gib ", "+4G", "4.0 GiB", "4096MiB", "4194304 K"})
        CHECK(bytes(text) == 4294967296);
    for (const char* text : {"4GB", "4 GB", "4gb", "4000 MB", "4e9"}) CHECK(bytes(text) == 4e9);
    CHECK(bytes("1.5KiB") == 1536);
    CHECK(bytes("2T") == 0x1p41);
}

TEST_CASE("times and shares have their own units", "[cli]")
{
    CHECK(parse_quantity("40 ms", kTimeUnits) == 40);
    CHECK(parse_quantity("40", kTimeUnits) == 40);
    CHECK(parse_quantity(".04s", kTimeUnits) == 40);
    CHECK(parse_quantity("40000µs", kTimeUnits) == 40);
    CHECK(parse_quantity("1 %", kShareUnits) == 0.01);
    CHECK(parse_quantity("0.01", kShareUnits) == 0.01);
    CHECK(!parse_quantity("40 GiB", kTimeUnits));
    CHECK(!parse_quantity("1 %", kSizeUnits));
}

TEST_CASE("what is no finite number is refused", "[cli]")
{
    for (const char* text : {"", " ", "G", "nan", "NaN", "inf", "-inf", "infinity", "1e999", "1e-999", "0x10", "4,5", "4 4",
                             "4GG", "--4", "+-4", "four", "1e308 T"}) {
        INFO(text);
        CHECK(!parse_quantity(text, kSizeUnits));
    }
    CHECK(parse_quantity("4 XB", kSizeUnits).error().message.contains("GiB"));
}

TEST_CASE("a flag's value is checked against its range, and left without its unit", "[cli]")
{
    const auto check = [](const CLI::Validator& validator, std::string text) {
        std::string message = validator(text);
        return message.empty() ? text : "refused: " + message;
    };
    CHECK(check(quantity(kShareUnits, 0, 1), "5 %") == "0.05");
    CHECK(check(quantity(kShareUnits, 0, 1), "101%").starts_with("refused"));
    CHECK(check(quantity(kNoUnits, -1, 1), "nan").starts_with("refused"));
    CHECK(check(positive_quantity(kTimeUnits), "40 ms") == "40");
    CHECK(check(positive_quantity(kTimeUnits), "0").starts_with("refused"));
    CHECK(check(positive_quantity(kTimeUnits), "-1 ms").starts_with("refused"));
    CHECK(check(whole_number(1, 4096), " 8 ") == "8");
    for (const char* text : {"0", "4097", "-1", "1.5", "1e3", "", "99999999999999999999", "0x8", "8 threads"}) {
        INFO(text);
        CHECK(check(whole_number(1, 4096), text).starts_with("refused"));
    }
}

}  // namespace
}  // namespace apreqel
