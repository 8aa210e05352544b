#include "base/printable.h"

#include <cstdint>
#include <format>
#include <optional>

namespace apreqel {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

struct CodePoint {
    std::uint32_t value;
    std::size_t bytes;
};

/// The code point that `text` starts with, as the Unicode standard's table 3-7 (well-formed UTF-8) allows it.
std::optional<CodePoint> first_of(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return CodePoint{lead, 1};
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
    return CodePoint{value, bytes};
}

bool is_unsafe(std::uint32_t c)
{
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    const bool separator = c == 0x2028 || c == 0x2029;
    const bool bidirectional =  // Unicode's property Bidi_Control
        c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    return control || separator || bidirectional;
}

/// `text` with what `replace` gives for each unsafe code point. Newlines stay as they are if `lines`.
template <typename Replace>
std::string replaced(std::string_view text, bool lines, Replace replace)
{
    std::string safe;
    safe.reserve(text.size());
    while (!text.empty()) {
        const auto point = first_of(text);
        const bool kept = point && (!is_unsafe(point->value) || (lines && point->value == '\n'));
        const std::size_t bytes = point ? point->bytes : 1;
        safe += kept ? std::string(text.substr(0, bytes)) : replace(point);
        text.remove_prefix(bytes);
    }
    return safe;
}

std::string visible(const std::optional<CodePoint>& /*point*/) { return std::string(kReplacement); }

}  // namespace

std::string printable_text(std::string_view text) { return replaced(text, true, visible); }

std::string printable_line(std::string_view text) { return replaced(text, false, visible); }

std::string printable_json(std::string_view json)
{
    return replaced(json, true, [](const std::optional<CodePoint>& point) {
        return point ? std::format("\\u{:04x}", point->value) : std::string(kReplacement);
    });
}

}  // namespace apreqel
