#include "base/file.h"
#include "records/format.h"
#include "records/json.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace apreqel {
namespace {

using Kind = JsonValue::Kind;

/// The prompt that one line of JSON holds.
Result<std::string> prompt_in(std::string_view line)
{
    const auto json = parse_json(line);
    if (!json) return std::unexpected(json.error());
    for (const char* field : {"prompt", "text", "turns"}) {
        const JsonValue* found = json->find(field);
        if (found == nullptr || found->kind == Kind::null) continue;
        if (found->kind == Kind::list && !found->values.empty()) found = &found->values.front();
        if (found->kind != Kind::text) return fail("{} is no string", field);
        return found->text;
    }
    return fail("it has no prompt, text or turns field");
}

Result<std::vector<std::string>> prompts_in(std::string_view text, std::string_view source)
{
    std::vector<std::string> prompts;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        ++number;
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string_view line = text.substr(begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
        if (line.front() != '{') {
            prompts.emplace_back(line);
            continue;
        }
        auto prompt = prompt_in(line);
        if (!prompt) return fail("read {}: line {}: {}", source, number, prompt.error().message);
        prompts.push_back(std::move(*prompt));
    }
    if (prompts.empty()) return fail("read {}: it holds no prompts", source);
    return prompts;
}

}  // namespace

Result<std::vector<std::string>> parse_prompts(std::string_view text) { return prompts_in(text, "prompts"); }

Result<std::vector<std::string>> read_prompts(const std::filesystem::path& path)
{
    const auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    return prompts_in(*text, path.string());
}

std::string prompts_jsonl(const std::vector<std::string>& prompts)
{
    std::string lines;
    for (const std::string& prompt : prompts)
        lines += nlohmann::json{{"prompt", prompt}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    return lines;
}

}  // namespace apreqel
