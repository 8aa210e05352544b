#include "base/printable.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("text of any language is shown as it is", "[base]")
{
    for (const char* text : {"", "blk.0.attn", "± × — é 漢 😀", "\u00a0\U0010FFFF"}) {
        CHECK(printable_text(text) == text);
        CHECK(printable_line(text) == text);
        CHECK(printable_json(text) == text);
    }
}

TEST_CASE("control characters, reading directions and what is not UTF-8 become visible", "[base]")
{
    CHECK(printable_text("a\x1b[31mb\a\x7f\t\r") == "a\uFFFD[31mb\uFFFD\uFFFD\uFFFD\uFFFD");
    CHECK(printable_text("\u0080\u009b2J\u009f") == "\uFFFD\uFFFD2J\uFFFD");
    CHECK(printable_text("\u202e\u2066\u2069\u200f\u061c\u2028") == "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
    CHECK(printable_text("\x9b[\xff") == "\uFFFD[\uFFFD");                    // bytes of no UTF-8
    CHECK(printable_text("\xc0\x9b") == "\uFFFD\uFFFD");                      // overlong
    CHECK(printable_text("\xe0\x80\x9b") == "\uFFFD\uFFFD\uFFFD");            // overlong
    CHECK(printable_text("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");            // surrogate
    CHECK(printable_text("\xf4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");  // past the last code point
    CHECK(printable_text("a\xe6\xbc") == "a\uFFFD\uFFFD");                    // cut
    CHECK(printable_text(std::string_view("\0x", 2)) == "\uFFFDx");
}

TEST_CASE("newlines stay in a text and not in a line", "[base]")
{
    CHECK(printable_text("a\nb\n") == "a\nb\n");
    CHECK(printable_line("a\nb\r\n") == "a\uFFFDb\uFFFD\uFFFD");
}

TEST_CASE("a JSON document keeps its meaning and shows no control character", "[base]")
{
    CHECK(printable_json("{\n  \"a\": \"\x7f\u009b\u202e\\u001b\"\n}\n") ==
          "{\n  \"a\": \"\\u007f\\u009b\\u202e\\u001b\"\n}\n");
}

TEST_CASE("a message quotes a file as a string literal, and not all of it", "[base]")
{
    CHECK(escaped("x\x1b[2J\ny\t\r") == "x\\x1b[2J\\ny\\t\\r");
    CHECK(escaped("\u009b") == "\\xc2\\x9b");
    CHECK(escaped("\xff\xfe") == "\\xff\\xfe");
    CHECK(escaped(std::string(1000, 'a'), 10) == "aaaaaaaaaa…");
    CHECK(escaped("aaaaaaaaaa", 10) == "aaaaaaaaaa");
}

TEST_CASE("what is printable is told from what is not", "[base]")
{
    CHECK(is_printable("é 模型 😀 ½"));
    CHECK(!is_printable("a\tb"));
    CHECK(!is_printable("\u202e"));
    CHECK(!is_printable("\xff"));
}

}  // namespace
}  // namespace apreqel
