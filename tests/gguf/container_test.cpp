// The reader of the container, with files nobody should have made.
#include "gguf/container.h"
#include "gguf/header_writer.h"
#include "gguf/log.h"
#include "support/compare.h"
#include "support/temp_dir.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <gguf.h>
#include <algorithm>
#include <memory>
#include <random>
#include <vector>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

namespace {

template <typename T>
std::string raw(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string raw_string(const std::string& text) { return raw<std::uint64_t>(text.size()) + text; }
std::string u32_entry(const std::string& key, std::uint32_t value)
{
    return raw_string(key) + raw<std::int32_t>(GGUF_TYPE_UINT32) + raw(value);
}

/// A GGUF file in parts, each of which a test can spoil.
struct File {
    std::string magic = "GGUF";
    std::uint32_t version = 3;
    std::uint64_t tensors = 2;
    std::uint64_t entries = 1;
    std::string metadata = u32_entry("some.number", 7);
    std::string first_name = raw_string("first.weight");
    std::string first_shape = raw<std::uint32_t>(2) + raw<std::int64_t>(32) + raw<std::int64_t>(3);
    std::int32_t first_type = 0;
    std::uint64_t first_offset = 0;
    std::string second = raw_string("second.weight") + raw<std::uint32_t>(1) + raw<std::int64_t>(5) + raw<std::int32_t>(1) +
                         raw<std::uint64_t>(384);
    std::size_t data = 384 + 10;

    [[nodiscard]] std::string bytes() const
    {
        std::string all = magic + raw(version) + raw(tensors) + raw(entries) + metadata + first_name + first_shape +
                          raw(first_type) + raw(first_offset) + second;
        all.resize(padded(all.size(), 32) + data, '\0');
        return all;
    }
};

Result<Container> read(const TempDir& folder, const std::string& bytes)
{
    spill(folder / "file.gguf", bytes);
    auto file = InputFile::open(folder / "file.gguf");
    REQUIRE(file);
    return Container::read(*file);
}

bool libggml_accepts(const std::filesystem::path& path)
{
    const LogCapture quiet;
    gguf_context* gguf = gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr});
    gguf_free(gguf);
    return gguf != nullptr;
}

}  // namespace

TEST_CASE("the reader tells what a file holds", "[gguf]")
{
    const TempDir folder;
    File file;
    file.entries = 4;
    const std::string text = raw_string("some.text") + raw<std::int32_t>(GGUF_TYPE_STRING) + raw_string("hello");
    const std::string list = raw_string("some.list") + raw<std::int32_t>(GGUF_TYPE_ARRAY) +
                             raw<std::int32_t>(GGUF_TYPE_UINT32) + raw<std::uint64_t>(2) + raw<std::uint32_t>(4) +
                             raw<std::uint32_t>(5);
    file.metadata += text + list + raw_string("some.flag") + raw<std::int32_t>(GGUF_TYPE_BOOL) + raw<std::int8_t>(1);
    const auto container = read(folder, file.bytes());
    INFO((container ? "" : container.error().message));
    REQUIRE(container);
    CHECK(container->natural("some.number") == 7);
    CHECK(container->number("some.number") == 7);
    CHECK(container->text("some.text") == "hello");
    CHECK(container->boolean("some.flag") == true);
    CHECK(container->naturals("some.list", 10) == std::vector<std::uint64_t>{4, 5});
    CHECK_FALSE(container->naturals("some.list", 1));
    CHECK_FALSE(container->text("some.number"));
    CHECK_FALSE(container->natural("some.text"));
    CHECK_FALSE(container->natural("no.such.key"));
    CHECK(container->encoded(*container->find("some.text")) == text);

    REQUIRE(container->tensors().size() == 2);
    const StoredTensor& first = container->tensors()[0];
    CHECK(first.name == "first.weight");
    CHECK(first.shape == std::array<std::int64_t, 4>{32, 3, 1, 1});
    CHECK(first.size_bytes == 32 * 3 * 4);
    CHECK(first.offset == file.bytes().size() - file.data);
    CHECK(container->tensors()[1].offset == first.offset + 384);
}

TEST_CASE("hostile files are refused in one line", "[gguf]")
{
    struct Case {
        std::string what;
        std::string expected;
        std::string bytes;
    };
    std::vector<Case> cases;
    const auto spoil = [&](const std::string& what, const std::string& expected, auto change) {
        File file;
        change(file);
        cases.push_back({what, expected, file.bytes()});
    };
    const auto shape = [](std::initializer_list<std::int64_t> extents) {
        std::string bytes = raw(static_cast<std::uint32_t>(extents.size()));
        for (const std::int64_t extent : extents) bytes += raw(extent);
        return bytes;
    };
    const auto array = [](std::int32_t type, std::uint64_t count) {
        return raw_string("a") + raw<std::int32_t>(GGUF_TYPE_ARRAY) + raw(type) + raw(count);
    };
    cases.push_back({"empty", "not a GGUF", ""});
    cases.push_back({"three bytes", "not a GGUF", "GGU"});
    cases.push_back({"text", "not a GGUF", "This is a text that somebody named model.gguf."});
    cases.push_back({"magic only", "ends inside its header", "GGUF"});
    spoil("magic", "not a GGUF", [](File& f) { f.magic = "GGML"; });
    spoil("version 0", "version", [](File& f) { f.version = 0; });
    spoil("version 1", "version 1", [](File& f) { f.version = 1; });
    spoil("version 4", "version 4", [](File& f) { f.version = 4; });
    spoil("big endian", "big-endian", [](File& f) { f.version = 0x03000000; });
    spoil("tensor count", "tensors", [](File& f) { f.tensors = ~0ULL; });
    spoil("more tensors than there are", "damaged|ends", [](File& f) { f.tensors = 60000; });
    spoil("metadata count", "metadata entries", [](File& f) { f.entries = 1ULL << 40; });
    spoil("empty key", "key 0", [](File& f) { f.metadata = u32_entry("", 1); });
    spoil("unprintable key", "key 0", [](File& f) { f.metadata = u32_entry("a\x1b[2J", 1); });
    spoil("endless key", "string of", [](File& f) { f.metadata = raw<std::uint64_t>(1ULL << 62); });
    spoil("key twice", "two metadata entries", [](File& f) { f.entries = 2, f.metadata += f.metadata; });
    spoil("value type 99", "unknown type 99", [](File& f) { f.metadata = raw_string("a") + raw<std::int32_t>(99) + raw(0); });
    spoil("negative value type", "unknown type -1",
          [](File& f) { f.metadata = raw_string("a") + raw<std::int32_t>(-1) + raw(0); });
    spoil("array of arrays", "unknown type 9", [&](File& f) { f.metadata = array(GGUF_TYPE_ARRAY, 1); });
    spoil("endless array", "elements", [&](File& f) { f.metadata = array(GGUF_TYPE_UINT64, 1ULL << 61); });
    spoil("array past the end", "ends inside", [&](File& f) { f.metadata = array(GGUF_TYPE_UINT64, 1ULL << 20); });
    spoil("strings past the end", "ends inside|string of", [&](File& f) { f.metadata = array(GGUF_TYPE_STRING, 1ULL << 20); });
    spoil("alignment 0", "general.alignment", [](File& f) { f.metadata = u32_entry("general.alignment", 0); });
    spoil("alignment 24", "general.alignment", [](File& f) { f.metadata = u32_entry("general.alignment", 24); });
    spoil("alignment 2^31", "general.alignment", [](File& f) { f.metadata = u32_entry("general.alignment", 1U << 31); });
    spoil("alignment as text", "general.alignment", [](File& f) {
        f.metadata = raw_string("general.alignment") + raw<std::int32_t>(GGUF_TYPE_STRING) + raw_string("32");
    });
    spoil("tensor without name", "tensor 0", [](File& f) { f.first_name = raw_string(""); });
    spoil("tensor name of 64 bytes", "string of 64", [](File& f) { f.first_name = raw_string(std::string(64, 'x')); });
    spoil("tensor name with a NUL", "tensor 0", [](File& f) { f.first_name = raw_string(std::string("a\0b", 3)); });
    spoil("tensor twice", "two tensors", [](File& f) { f.first_name = raw_string("second.weight"); });
    spoil("five dimensions", "5 dimensions", [&](File& f) { f.first_shape = shape({32, 1, 1, 1, 1}); });
    spoil("dimension of 0", "impossible shape", [&](File& f) { f.first_shape = shape({32, 0}); });
    spoil("negative dimension", "impossible shape", [&](File& f) { f.first_shape = shape({32, -3}); });
    spoil("shape that overflows", "impossible shape",
          [&](File& f) { f.first_shape = shape({1LL << 32, 1LL << 32, 1LL << 32}); });
    spoil("shape past the end", "ends inside the weights", [&](File& f) { f.first_shape = shape({1LL << 50}); });
    spoil("unknown type", "type 43", [](File& f) { f.first_type = 43; });
    spoil("retired type", "type 4", [](File& f) { f.first_type = 4; });
    spoil("negative type", "type -1", [](File& f) { f.first_type = -1; });
    spoil("rows that fit no block", "not a multiple of 256", [](File& f) { f.first_type = 12; });
    spoil("first offset", "does not follow", [](File& f) { f.first_offset = 32; });
    spoil("weights cut off", "ends inside the weights of second.weight", [](File& f) { f.data -= 1; });
    spoil("all weights cut off", "ends inside the weights of first.weight", [](File& f) { f.data = 0; });

    const TempDir folder;
    for (const Case& hostile : cases) {
        CAPTURE(hostile.what);
        const auto container = read(folder, hostile.bytes);
        REQUIRE_FALSE(container);
        CAPTURE(container.error().message);
        CHECK(std::ranges::all_of(container.error().message, [](char c) { return c >= 0x20 && c < 0x7f; }));
        const auto bar = hostile.expected.find('|');
        const bool said = container.error().message.contains(hostile.expected.substr(0, bar)) ||
                          (bar != std::string::npos && container.error().message.contains(hostile.expected.substr(bar + 1)));
        CHECK(said);
    }
}

TEST_CASE("what the reader accepts, libggml accepts, whatever was done to the file", "[gguf]")
{
    File file;
    file.entries = 5;
    file.metadata += raw_string("t") + raw<std::int32_t>(GGUF_TYPE_STRING) + raw_string("text") +
                     u32_entry("general.alignment", 32) + raw_string("f") + raw<std::int32_t>(GGUF_TYPE_ARRAY) +
                     raw<std::int32_t>(GGUF_TYPE_FLOAT64) + raw<std::uint64_t>(2) + raw(1.0) + raw(2.0) + raw_string("s") +
                     raw<std::int32_t>(GGUF_TYPE_ARRAY) + raw<std::int32_t>(GGUF_TYPE_STRING) + raw<std::uint64_t>(2) +
                     raw_string("x") + raw_string("");
    const std::string intact = file.bytes();
    const std::size_t header = intact.size() - file.data;
    const TempDir folder;
    REQUIRE(read(folder, intact));
    REQUIRE(libggml_accepts(folder / "file.gguf"));

    constexpr std::array<std::uint64_t, 12> kExtremes{0,   1,          4,          9,          31,         43,
                                                      255, 0x7fffffff, 0xffffffff, 1ULL << 62, 1ULL << 63, ~0ULL};
    std::mt19937_64 random(20);
    const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    int accepted = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string bytes = intact;
        for (std::size_t i = 0; i <= below(3); ++i) {
            const std::size_t place = below(header);
            switch (below(4)) {
                case 0: bytes[place] = static_cast<char>(random()); break;
                case 1: bytes[place] = static_cast<char>(bytes[place] ^ (1 << below(8))); break;
                case 2: bytes.replace(place, 4, raw(static_cast<std::uint32_t>(kExtremes[below(kExtremes.size())]))); break;
                default: bytes.replace(place, 8, raw(kExtremes[below(kExtremes.size())])); break;
            }
        }
        if (below(8) == 0) bytes.resize(below(bytes.size()));
        const auto container = read(folder, bytes);
        if (!container) {
            REQUIRE_FALSE(container.error().message.contains('\n'));
            continue;
        }
        ++accepted;
        for (const MetadataEntry& entry : container->metadata()) {
            (void)container->text(entry.key);
            (void)container->natural(entry.key);
            (void)container->number(entry.key);
            (void)container->boolean(entry.key);
            (void)container->naturals(entry.key, 100);
        }
        CAPTURE(round);
        REQUIRE(libggml_accepts(folder / "file.gguf"));
    }
    CHECK(accepted > 100);
}

TEST_CASE("a written header reads back", "[gguf]")
{
    HeaderWriter writer(32);
    writer.add_text("some.text", "with \"quotes\"");
    writer.add_u32("some.number", 42);
    writer.add_texts("some.texts", std::vector<std::string>{"one", "", "three"});
    writer.add_tensor("a.weight", {256, 3, 1, 1}, QuantType{12}, 3 * 144);
    writer.add_tensor("b.weight", {7, 1, 1, 1}, QuantType{0}, 28);
    const HeaderLayout layout = writer.finish();
    std::string bytes = layout.bytes;
    bytes.resize(layout.file_bytes, '\0');
    const TempDir folder;
    const auto container = read(folder, bytes);
    REQUIRE(container);
    CHECK(libggml_accepts(folder / "file.gguf"));
    CHECK(container->text("some.text") == "with \"quotes\"");
    CHECK(container->natural("some.number") == 42);
    CHECK(container->texts(*container->find("some.texts")) == std::vector<std::string_view>{"one", "", "three"});
    CHECK(container->tensors()[0].offset == layout.offsets[0]);
    CHECK(container->tensors()[1].offset == layout.offsets[1]);
    CHECK(layout.file_bytes == layout.offsets[1] + 32);
}

TEST_CASE("a captured log becomes the cause and nothing reaches stderr", "[gguf]")
{
    const TempDir folder;
    spill(folder / "not.gguf", "nonsense");
    const LogCapture outer;
    {
        const LogCapture log;
        CHECK(log.first_error() == "no reason given");
        gguf_free(gguf_init_from_file((folder / "not.gguf").c_str(), {.no_alloc = true, .ctx = nullptr}));
        CHECK_THAT(log.first_error(), ContainsSubstring("magic"));
    }
    CHECK(outer.first_error() == "no reason given");
}
