#include "records/document.h"

#include <apreqel/json.h>

namespace apreqel {

std::string read_key(const std::filesystem::path& path)
{
    const auto text = read_text(path, kMostJsonBytes);
    if (!text) return "";
    const auto json = parse_json(*text);
    const JsonValue* key = json ? json->find("key") : nullptr;
    return key != nullptr && key->kind == JsonValue::Kind::text ? key->text : "";
}

}  // namespace apreqel
