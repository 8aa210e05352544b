#include "decide/names.h"

#include <apreqel/measurement.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <ranges>

namespace apreqel {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word(char c) { return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

/// What follows `blk.N.`; empty if `name` does not start so.
std::string_view part_of_block(std::string_view name)
{
    constexpr std::string_view kBlock = "blk.";
    if (!name.starts_with(kBlock)) return {};
    name.remove_prefix(kBlock.size());
    const std::size_t dot = name.find('.');
    const std::string_view number = name.substr(0, dot);
    const bool leading_zero = number.size() > 1 && number.front() == '0';
    if (dot == std::string_view::npos || number.empty() || leading_zero || !std::ranges::all_of(number, is_digit)) return {};
    return name.substr(dot + 1);
}

}  // namespace

std::optional<std::size_t> block_number(std::string_view group)
{
    if (part_of_block(group).empty()) return std::nullopt;
    const std::string_view number = group.substr(group.find('.') + 1);
    std::size_t block = std::numeric_limits<std::size_t>::max();  // of what no number holds
    std::from_chars(number.data(), number.data() + number.size(), block);
    return block;
}

bool is_layer_name(std::string_view name)
{
    const std::string_view part = part_of_block(name);
    return part == "attn" || part == "ffn";
}

bool is_group_name(std::string_view name)
{
    if (name == kEmbedding) return true;
    // Roles such as shortconv.in_proj have a dot in them.
    const auto is_role = [](auto role) {
        return !role.empty() && std::ranges::all_of(role, [](char c) { return is_word(c) || c == '.'; });
    };
    return std::ranges::all_of(std::views::split(part_of_block(name), '+'), is_role) && !part_of_block(name).empty();
}

bool is_type_name(std::string_view name)
{
    const auto allowed = [](char c) { return is_word(c) || c == '-' || c == '.' || c == '+'; };
    return !name.empty() && std::ranges::all_of(name, allowed);
}

}  // namespace apreqel
