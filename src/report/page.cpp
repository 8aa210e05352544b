#include "report/page.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <cstdint>
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

/// How the page shows values of a criterion: × scale, with digits after the point, in a unit.
struct Look {
    std::string_view unit;
    double scale;
    int digits;
};

Look look_of(const Criterion& criterion)
{
    constexpr double kMebi = 1024 * 1024;
    switch (criterion.dimension) {
        case Dimension::bytes: return {"MiB", 1 / kMebi, criterion.digits};
        case Dimension::milliseconds:
        case Dimension::joules: return {criterion.heading, 1, criterion.digits};
        case Dimension::nats: return {"nats", 1, criterion.digits};
        case Dimension::share: return {"%", 100, criterion.digits - 2};
        default: return {"", 1, criterion.digits};
    }
}

/// The rows of `criteria()`, as far as the page needs them.
Json criteria_json()
{
    Json rows = Json::array();
    for (const Criterion& criterion : criteria()) {
        const Look look = look_of(criterion);
        rows.push_back({{"name", criterion.name},
                        {"weight", criterion.weight},
                        {"limit", criterion.limit.contains(' ') ? "" : criterion.limit},  // the page plans for one place
                        {"field", criterion.field},
                        {"unit", look.unit},
                        {"scale", look.scale},
                        {"digits", look.digits},
                        {"of_device", criterion.of_device}});
    }
    return rows;
}

Json fields_json(const Objectives& objectives)
{
    Json fields = Json::array();
    for (const std::size_t c : objectives) fields.push_back(criteria()[c].field);
    return fields;
}

/// By the names of the weights of the paper's objectives.
Json weights_json(const Weights& weights)
{
    Json json;
    for (const std::size_t c : paper_objectives()) json[std::string(criteria()[c].weight)] = weights[c];
    return json;
}

/// By field; what is not known is left out.
Json metrics_json(const Metrics& metrics)
{
    Json json = Json::object();
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (!std::isnan(metrics[c])) json[std::string(criteria()[c].field)] = metrics[c];
    return json;
}

Json artifact_json(const Artifact& artifact)
{
    if (artifact.json.empty()) return {};
    Json json = Json::parse(artifact.json);
    for (const auto& [place, metrics] : artifact.models) json.at(Json::json_pointer(place))["metrics"] = metrics_json(metrics);
    return json;
}

/// Above this, a page would be megabytes and slow: it then has every second, third … plan of the front.
constexpr std::size_t kMostPoints = 20000;

/// Types as one character per group, from U+0030 on: most are one byte then, in UTF-8.
std::string letters_of(const std::vector<std::uint8_t>& types)
{
    std::string letters;
    for (const std::uint8_t type : types) {
        const unsigned letter = 0x30U + type;
        if (letter >= 0x80) letters += static_cast<char>(0xC0 | (letter >> 6));
        letters += static_cast<char>(letter < 0x80 ? letter : 0x80 | (letter & 0x3F));
    }
    return letters;
}

/// Points are the values of `columns`, which are all that is known of the plans.
Json front_json(const PlannedFront& front)
{
    Objectives known;
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (!std::isnan(front.candidates.front().estimate[c])) known.push_back(c);
    Json json{
        {"types", front.types}, {"groups", front.groups}, {"size", front.candidates.size()}, {"columns", fields_json(known)}};
    json["points"] = Json::array();
    json["allocations"] = Json::array();
    const std::size_t step = (front.candidates.size() + kMostPoints - 1) / kMostPoints;
    for (std::size_t p = 0; p < front.candidates.size(); p += step) {
        json["points"].push_back(columns_of(front.candidates[p].estimate, known));
        json["allocations"].push_back(letters_of(front.allocations[p]));
    }
    return json;
}

std::string data_json(const PageData& data)
{
    Json json{{"model_name", data.model_name}, {"model_file", data.model_file}, {"workspace", data.workspace},
              {"directory", data.directory},   {"made_by", data.made_by},       {"usual_types", data.usual_types}};
    json["criteria"] = criteria_json();
    json["objectives"] = {{"paper", fields_json(paper_objectives())}, {"front", fields_json(front_objectives())}};
    for (const std::string_view preset : {"balanced", "memory", "latency", "accuracy"})
        json["presets"][std::string(preset)] = weights_json(*parse_weights(preset));
    json["scores"] = artifact_json(data.scores);
    json["profile"] = artifact_json(data.profile);
    json["run"] = artifact_json(data.run);
    json["study"] = artifact_json(data.study);
    if (data.front) json["front"] = front_json(*data.front);
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
