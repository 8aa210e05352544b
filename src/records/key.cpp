#include "records/document.h"

#include <apreqel/json.h>

namespace apreqel {
namespace {

/// A text that a document has, or empty.
std::string read_label(const std::filesystem::path& path, std::string_view field)
{
    const auto text = read_text(path, kMostJsonBytes);
    if (!text) return "";
    const auto json = parse_json(*text);
    const JsonValue* label = json ? json->find(field) : nullptr;
    return label != nullptr && label->kind == JsonValue::Kind::text ? label->text : "";
}

}  // namespace

std::string read_key(const std::filesystem::path& path) { return read_label(path, "key"); }

std::string read_schema(const std::filesystem::path& path) { return read_label(path, "schema"); }

}  // namespace apreqel
