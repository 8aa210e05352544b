// Lists of words as one text.
#pragma once

#include <ranges>
#include <string>
#include <string_view>

namespace apreqel {

/// `parts`, a range of strings, with `separator` between each two.
template <std::ranges::forward_range Parts>
[[nodiscard]] std::string joined(const Parts& parts, std::string_view separator)
{
    return std::views::join_with(parts, separator) | std::ranges::to<std::string>();
}

}  // namespace apreqel
