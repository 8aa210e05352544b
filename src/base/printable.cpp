#include "base/printable.h"

#include <format>
#include <utility>

namespace apreqel {
namespace {

/// The character that `text` begins with and its bytes; 0 bytes where it is not UTF-8 (Unicode, table 3-7).
std::pair<char32_t, std::size_t> first_character(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || bytes > text.size()) return {0, 0};
    char32_t character = lead & (0x7FU >> bytes);
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return {0, 0};
        character = character << 6U | (byte(i) & 0x3FU);
    }
    const bool shortest = bytes == 2 || (bytes == 3 && character >= 0x800) || (bytes == 4 && character >= 0x10000);
    const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
    if (!shortest || surrogate || character > 0x10FFFF) return {0, 0};
    return {character, bytes};
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029; }

/// Copies `text`, with `replace(bytes)` in the place of what is not printable.
template <typename Replace>
std::string replaced(std::string_view text, std::size_t most, Replace replace)
{
    std::string result;
    while (!text.empty()) {
        if (result.size() >= most) return result + "…";
        const auto [character, bytes] = first_character(text);
        const std::string_view part = text.substr(0, bytes == 0 ? 1 : bytes);
        result += bytes == 0 || is_control(character) ? replace(part) : std::string(part);
        text.remove_prefix(part.size());
    }
    return result;
}

}  // namespace

bool is_printable(std::string_view text) { return printable(text) == text; }

std::string escaped(std::string_view text, std::size_t most)
{
    return replaced(text, most, [](std::string_view part) -> std::string {
        if (part == "\n") return "\\n";
        if (part == "\r") return "\\r";
        if (part == "\t") return "\\t";
        std::string escapes;
        for (const char byte : part) escapes += std::format("\\x{:02x}", static_cast<unsigned char>(byte));
        return escapes;
    });
}

std::string printable(std::string_view text)
{
    return replaced(text, std::string_view::npos, [](std::string_view) -> std::string { return "\uFFFD"; });
}

}  // namespace apreqel
