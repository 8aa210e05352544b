// The tables of the paper's evaluation, each once, for the terminal, Markdown and CSV.
#pragma once

#include <apreqel/evaluation.h>

#include <string>
#include <vector>

namespace apreqel {

struct Table {
    std::string title;
    std::vector<std::vector<std::string>> rows;  ///< the first is the header
    std::string note;                            ///< what to know when reading it; may be empty
};

/// Hypervolume, categories, orders of layers, settings, uniform variants.
[[nodiscard]] Result<std::vector<Table>> study_tables(const Evaluation& evaluation);

[[nodiscard]] std::string tables_text(const std::vector<Table>& tables);
[[nodiscard]] std::string tables_markdown(const std::vector<Table>& tables);

/// Every measured model in full precision: one row for each uniform variant and for each setting in each order.
[[nodiscard]] std::string measurements_csv(const Evaluation& evaluation);

}  // namespace apreqel
