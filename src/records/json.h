// A JSON document as untrusted input: bounded in size, depth and number of values.
#pragma once

#include <apreqel/error.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

struct JsonValue {
    enum class Kind { null, boolean, number, text, list, object };

    Kind kind = Kind::null;
    bool boolean = false;
    double number = 0;                 ///< finite
    std::string text{};                ///< UTF-8
    std::vector<JsonValue> values{};   ///< elements of a list, or what an object's fields hold
    std::vector<std::string> names{};  ///< of the fields, none twice

    /// The value of an object's field; null pointer if it has none.
    [[nodiscard]] const JsonValue* find(std::string_view field) const;
};

/// What is longer is no record.
inline constexpr std::size_t kMostJsonBytes = std::size_t{64} << 20U;

/// Errors, as one printable line: not JSON, a field twice, nested or long beyond any record.
[[nodiscard]] Result<JsonValue> parse_json(std::string_view text);

}  // namespace apreqel
