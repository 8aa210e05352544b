// Text from files, made safe to show: a terminal obeys control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace apreqel {

/// Whether `text` is UTF-8 without control characters (C0, DEL, C1) and line separators.
[[nodiscard]] bool is_printable(std::string_view text);

/// For messages: what is not printable as in a C string literal, "m\x1b[31m\n", and no more than about `most` bytes.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t most = static_cast<std::size_t>(-1));

/// For texts that are shown: U+FFFD in the place of what is not printable.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace apreqel
