// Text from files, made safe to show: nothing in it may move the cursor, set a title, or turn the reading direction.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace apreqel {

/// Whether `text` is UTF-8 without control characters (C0, DEL, C1), line and paragraph separators, and bidirectional controls.
[[nodiscard]] bool is_printable(std::string_view text);

/// For messages: what is not printable as in a C string literal, "m\x1b[31m\n", and no more than about `most` bytes.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t most = static_cast<std::size_t>(-1));

/// For texts that are shown on one line: U+FFFD in the place of what is not printable.
[[nodiscard]] std::string printable_line(std::string_view text);

/// The same, where newlines stay.
[[nodiscard]] std::string printable_text(std::string_view text);

/// A JSON document that is printable but for its newlines: inside its strings, the only place where it may have anything else, that
/// is \uXXXX. JSON libraries escape C0 but write DEL, C1 and bidirectional controls as they are.
[[nodiscard]] std::string printable_json(std::string_view json);

}  // namespace apreqel
