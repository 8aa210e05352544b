#include "cli/quantity.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace apreqel {
namespace {

bool same_letters(std::string_view a, std::string_view b)
{
    const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
    return std::ranges::equal(a, b, {}, lower, lower);
}

/// "B, K, KiB or KB".
std::string names_of(std::span<const Unit> units)
{
    std::string names;
    for (const Unit& unit : units)
        if (!unit.name.empty()) names += std::format("{}{}", names.empty() ? "" : ", ", unit.name);
    return names;
}

/// Turns what `read` gives into what CLI11 wants of a validator: the value without unit in place, and a message or "".
template <typename Read>
CLI::Validator reading(Read read)
{
    return {[read](std::string& text) {
                const auto value = read(text);
                if (!value) return value.error().message;
                text = std::format("{}", *value);
                return std::string();
            },
            ""};
}

}  // namespace

std::string_view trimmed(std::string_view text)
{
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    return text.substr(0, text.find_last_not_of(" \t") + 1);
}

Result<double> parse_quantity(std::string_view text, std::span<const Unit> units)
{
    std::string_view rest = trimmed(text);
    if (rest.starts_with('+') && !rest.starts_with("+-")) rest.remove_prefix(1);
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error == std::errc::result_out_of_range) return usage_error("{} is too large or too small a number", text);
    if (error != std::errc() || !std::isfinite(number)) return usage_error("\"{}\" is not a number", text);
    rest = trimmed({end, rest.data() + rest.size()});
    const auto unit = std::ranges::find_if(units, [&](const Unit& known) { return same_letters(known.name, rest); });
    if (unit == units.end()) {
        const std::string known = names_of(units);
        return known.empty() ? usage_error("\"{}\" is not a number", text)
                             : usage_error("\"{}\" has an unknown unit (there are {})", text, known);
    }
    number *= unit->factor;
    if (!std::isfinite(number)) return usage_error("{} is too large a number", text);
    return number;
}

CLI::Validator quantity(std::span<const Unit> units, double least, double most)
{
    return reading([=](std::string_view text) -> Result<double> {
        auto value = parse_quantity(text, units);
        if (value && (*value < least || *value > most)) return usage_error("{} is not from {} to {}", text, least, most);
        return value;
    });
}

CLI::Validator positive_quantity(std::span<const Unit> units, double most)
{
    return reading([=](std::string_view text) -> Result<double> {
        auto value = parse_quantity(text, units);
        if (value && *value <= 0) return usage_error("{} is not above 0", text);
        if (value && *value > most) return usage_error("{} is too large a number", text);
        return value;
    });
}

CLI::Validator whole_number(std::int64_t least, std::int64_t most)
{
    return reading([=](std::string_view text) -> Result<std::int64_t> {
        const std::string_view digits = trimmed(text);
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        const bool whole = error == std::errc() && end == digits.data() + digits.size();
        if (!whole || value < least || value > most)
            return usage_error("{} is not a whole number from {} to {}", text, least, most);
        return value;
    });
}

}  // namespace apreqel
