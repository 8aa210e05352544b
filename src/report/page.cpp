#include "report/page.h"

#include <nlohmann/json.hpp>

#include <array>
#include <utility>

namespace apreqel {
namespace {

using Json = nlohmann::ordered_json;

std::string replace_all(std::string_view text, std::string_view from, std::string_view to)
{
    std::string result;
    for (std::size_t begin = 0;;) {
        const std::size_t found = text.find(from, begin);
        result += text.substr(begin, found - begin);
        if (found == std::string_view::npos) return result;
        result += to;
        begin = found + from.size();
    }
}

Json parsed(const std::string& artifact) { return artifact.empty() ? Json() : Json::parse(artifact); }

/// Above this, a page would be megabytes and slow: it then has every second, third … plan of the front.
constexpr std::size_t kMostPoints = 20000;

/// Points as [memory, latency, KL divergence, perplexity], allocations as one letter per layer.
Json front_json(const PlannedFront& front)
{
    Json json{{"types", front.types}, {"layers", front.groups}, {"size", front.candidates.size()}};
    json["points"] = Json::array();
    json["allocations"] = Json::array();
    const std::size_t step = (front.candidates.size() + kMostPoints - 1) / kMostPoints;
    for (std::size_t p = 0; p < front.candidates.size(); p += step) {
        const Candidate& candidate = front.candidates[p];
        Json point = Json::array();
        for (const std::size_t c : {kMemory, kLatency, kDivergence, kPerplexity}) point.push_back(candidate.estimate[c]);
        json["points"].push_back(std::move(point));
        std::string letters;
        for (const std::uint8_t type : front.allocations[p]) letters += static_cast<char>('a' + type);
        json["allocations"].push_back(letters);
    }
    return json;
}

std::string data_json(const PageData& data)
{
    Json json{{"model_name", data.model_name},
              {"model_file", data.model_file},
              {"workspace", data.workspace},
              {"directory", data.directory},
              {"made_by", data.made_by}};
    for (const std::string_view preset : {"balanced", "memory", "latency", "accuracy"})
        json["presets"][std::string(preset)] = columns_of(*parse_weights(preset), paper_objectives());
    json["scores"] = parsed(data.scores);
    json["profile"] = parsed(data.profile);
    json["run"] = parsed(data.run);
    json["study"] = parsed(data.study);
    if (!data.front.candidates.empty()) json["front"] = front_json(data.front);
    json["tables"] = Json::array();
    for (const Table& table : data.tables)
        json["tables"].push_back({{"title", table.title}, {"rows", table.rows}, {"note", table.note}});
    // In JSON '<' stands in strings only; written as an escape it can neither end the element nor begin a comment.
    return replace_all(json.dump(-1, ' ', false, Json::error_handler_t::replace), "<", "\\u003c");
}

}  // namespace

std::string report_page(const PageData& data)
{
    const auto script = [](std::string_view text) { return replace_all(text, "</script", "<\\/script"); };
    const std::array<std::pair<std::string_view, std::string>, 5> parts{{{"{{style}}", std::string(k_page_css)},
                                                                         {"{{data}}", data_json(data)},
                                                                         {"{{vega}}", script(k_vega_min_js)},
                                                                         {"{{vega-lite}}", script(k_vega_lite_min_js)},
                                                                         {"{{script}}", script(k_page_js)}}};
    std::string page;
    std::string_view rest = k_page_html;
    for (const auto& [mark, text] : parts) {  // in the order of the page, so that no part is searched for marks
        const std::size_t found = rest.find(mark);
        page += rest.substr(0, found);
        page += text;
        rest.remove_prefix(found + mark.size());
    }
    page += rest;
    return page;
}

}  // namespace apreqel
