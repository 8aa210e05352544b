#include "base/printable.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("text from a file is shown without what a terminal would obey", "[base]")
{
    CHECK(printable("m\x1b[31m\r\nfake") == "m\uFFFD[31m\uFFFD\uFFFDfake");
    CHECK(printable("\u009b2J\x7f\u2028") == "\uFFFD2J\uFFFD\uFFFD");  // CSI as one character, DEL, line separator
    CHECK(printable("é 模型 😀 ½") == "é 模型 😀 ½");
    CHECK(is_printable("é 模型 😀 ½"));
    CHECK(!is_printable("a\tb"));
}

TEST_CASE("what is not UTF-8 is replaced byte by byte", "[base]")
{
    CHECK(printable("\xff") == "\uFFFD");
    CHECK(printable("\xc0\xaf") == "\uFFFD\uFFFD");            // too long a form of '/'
    CHECK(printable("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");  // half of a surrogate pair
    CHECK(printable("\xf4\x90\x80\x80").size() == 4 * 3);      // beyond Unicode
    CHECK(printable("a\xe2\x82") == "a\uFFFD\uFFFD");          // cut off
    CHECK(is_printable("\xf4\x8f\xbf\xbd"));
}

TEST_CASE("a message quotes a file as a string literal, and not all of it", "[base]")
{
    CHECK(escaped("x\x1b[2J\ny\t\r") == "x\\x1b[2J\\ny\\t\\r");
    CHECK(escaped("\u009b") == "\\xc2\\x9b");
    CHECK(escaped("\xff\xfe") == "\\xff\\xfe");
    CHECK(escaped(std::string(1000, 'a'), 10) == "aaaaaaaaaa…");
    CHECK(escaped("aaaaaaaaaa", 10) == "aaaaaaaaaa");
}

}  // namespace
}  // namespace apreqel
