#include "cli/result_json.h"

#include "records/format.h"

#include <nlohmann/json.hpp>

namespace apreqel {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string spread_json(std::span<const Plan> plans, std::span<const std::filesystem::path> files)
{
    Json json{{"schema", "apreqel.spread/1"}, {"plans", Json::array()}};
    for (const Plan& plan : plans) json["plans"].push_back(Json::parse(to_json(plan)));
    for (const auto& file : files) json["files"].push_back(file.string());
    return text_of(json);
}

std::string quantized_json(const std::filesystem::path& output, std::uint64_t bytes, std::span<const Fallback> fallbacks)
{
    Json json{{"schema", "apreqel.quantized/1"}};
    if (!output.empty()) json["output"] = output.string();
    json["file_bytes"] = bytes;
    json["fallbacks"] = Json::array();
    for (const Fallback& entry : fallbacks) {
        json["fallbacks"].push_back({{"layer", entry.group},
                                     {"tensor", entry.tensor},
                                     {"wanted", entry.wanted},
                                     {"used", entry.used},
                                     {"columns", entry.columns}});
    }
    return text_of(json);
}

std::string report_json(const std::filesystem::path& output)
{
    return text_of({{"schema", "apreqel.report/1"}, {"output", output.string()}});
}

}  // namespace apreqel
