#include "base/printable.h"

#include <cstdint>
#include <format>
#include <optional>

namespace apreqel {
namespace {

/// A code point of UTF-8, and where it stands.
struct CodePoint {
    std::uint32_t value;
    std::string_view bytes;
};

/// The code point that `text` starts with, as the Unicode standard's table 3-7 (well-formed UTF-8) allows it.
std::optional<CodePoint> first_of(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return CodePoint{lead, text.substr(0, 1)};
    const std::size_t bytes = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (bytes == 0 || text.size() < bytes) return std::nullopt;
    std::uint32_t value = lead & (0xFFU >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
        value = value << 6 | (byte(i) & 0x3FU);
    }
    const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (overlong || surrogate || value > 0x10FFFF) return std::nullopt;
    return CodePoint{value, text.substr(0, bytes)};
}

bool is_unsafe(std::uint32_t c)
{
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    const bool separator = c == 0x2028 || c == 0x2029;
    const bool bidirectional =  // Unicode's property Bidi_Control
        c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    return control || separator || bidirectional;
}

constexpr auto kAll = static_cast<std::size_t>(-1);

/// `text` with what `replace(bytes, code point)` gives for what is unsafe. Newlines stay as they are if `lines`.
template <typename Replace>
std::string replaced(std::string_view text, std::size_t most, bool lines, Replace replace)
{
    std::string safe;
    while (!text.empty()) {
        if (safe.size() >= most) return safe + "…";
        const auto point = first_of(text);
        const std::string_view bytes = point ? point->bytes : text.substr(0, 1);
        const bool kept = point && (!is_unsafe(point->value) || (lines && point->value == '\n'));
        safe += kept ? std::string(bytes) : replace(bytes, point);
        text.remove_prefix(bytes.size());
    }
    return safe;
}

std::string replacement(std::string_view /*bytes*/, const std::optional<CodePoint>& /*point*/) { return "\uFFFD"; }

}  // namespace

bool is_printable(std::string_view text) { return printable_line(text) == text; }

std::string escaped(std::string_view text, std::size_t most)
{
    return replaced(text, most, false, [](std::string_view bytes, const auto&) -> std::string {
        if (bytes == "\n") return "\\n";
        if (bytes == "\r") return "\\r";
        if (bytes == "\t") return "\\t";
        std::string escapes;
        for (const char byte : bytes) escapes += std::format("\\x{:02x}", static_cast<unsigned char>(byte));
        return escapes;
    });
}

std::string printable_line(std::string_view text) { return replaced(text, kAll, false, replacement); }

std::string printable_text(std::string_view text) { return replaced(text, kAll, true, replacement); }

std::string printable_json(std::string_view json)
{
    return replaced(json, kAll, true, [](std::string_view bytes, const std::optional<CodePoint>& point) {
        return point ? std::format("\\u{:04x}", point->value) : replacement(bytes, point);
    });
}

}  // namespace apreqel
