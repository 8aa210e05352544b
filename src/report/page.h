// The report: one HTML file that shows every artifact of a workspace and needs nothing else.
#pragma once

#include "report/tables.h"

#include <apreqel/criterion.h>
#include <apreqel/plan.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace apreqel {

/// A JSON document as docs/formats.md describes it, valid, and what the criteria say of the models measured in it.
struct Artifact {
    std::string json;                                     ///< empty: not there
    std::vector<std::pair<std::string, Metrics>> models;  ///< with where they stand in it, as a JSON pointer: "/uniform/2"
};

/// What the page draws from.
struct PageData {
    std::string model_name;
    std::string model_file;  ///< as the commands on the page name it
    std::string workspace;   ///< as the commands on the page name it; empty: the model's own
    std::string directory;   ///< the workspace
    std::string made_by;
    std::string usual_types;  ///< what `run` chooses among unless told, joined by commas
    Artifact scores;
    Artifact profile;
    Artifact run;
    Artifact study;
    std::optional<PlannedFront> front;  ///< where sensitivity was measured
    std::vector<Table> tables;          ///< of the study
};

[[nodiscard]] std::string report_page(const PageData& data);

// The page's parts, embedded by cmake/embed.cmake.
extern const std::string_view k_page_html;
extern const std::string_view k_page_css;
extern const std::string_view k_page_js;
extern const std::string_view k_vega_min_js;
extern const std::string_view k_vega_lite_min_js;

}  // namespace apreqel
