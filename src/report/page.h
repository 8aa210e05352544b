// The report: one HTML file that shows every artifact of a workspace and needs nothing else.
#pragma once

#include "report/tables.h"

#include <apreqel/plan.h>

#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What the page draws from. Artifacts are JSON documents as docs/formats.md describes them, valid; empty: not there.
struct PageData {
    std::string model_name;
    std::string model_file;  ///< as the commands on the page name it
    std::string workspace;   ///< as the commands on the page name it; empty: the model's own
    std::string directory;   ///< the workspace
    std::string made_by;
    std::string scores;
    std::string profile;
    std::string run;
    std::string study;
    PlannedFront front;         ///< no candidates: no sensitivity was measured
    std::vector<Table> tables;  ///< of the study
};

[[nodiscard]] std::string report_page(const PageData& data);

// The page's parts, embedded by cmake/embed.cmake.
extern const std::string_view k_page_html;
extern const std::string_view k_page_css;
extern const std::string_view k_page_js;
extern const std::string_view k_vega_min_js;
extern const std::string_view k_vega_lite_min_js;

}  // namespace apreqel
