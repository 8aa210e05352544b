// Text from files, made safe to show: nothing in it may move the cursor, set a title, or turn the reading direction.
#pragma once

#include <string>
#include <string_view>

namespace apreqel {

/// `text` with U+FFFD in the place of each control character (C0 but newline, DEL, C1), line or paragraph separator,
/// bidirectional control, and byte that is not UTF-8.
[[nodiscard]] std::string printable_text(std::string_view text);

/// The same for what must stay on one line: newlines are replaced too.
[[nodiscard]] std::string printable_line(std::string_view text);

/// A JSON document that holds no such character: inside its strings, the only place where it may have one, each is \uXXXX. JSON
/// libraries escape C0 but write DEL, C1 and bidirectional controls as they are.
[[nodiscard]] std::string printable_json(std::string_view json);

}  // namespace apreqel
