// The verbs of the command line, one file each.
#pragma once

#include <apreqel/error.h>

#include <CLI/CLI.hpp>

#include <functional>

namespace apreqel {

/// Does the work of the verb chosen on the command line.
using Action = std::function<Result<>()>;

// Each adds its verb to `app`; when the user names it, `chosen` becomes its action.
void add_inspect(CLI::App& app, Action& chosen);
void add_score(CLI::App& app, Action& chosen);
void add_imatrix(CLI::App& app, Action& chosen);
void add_sense(CLI::App& app, Action& chosen);
void add_merge(CLI::App& app, Action& chosen);
void add_profile(CLI::App& app, Action& chosen);
void add_bench(CLI::App& app, Action& chosen);
void add_plan(CLI::App& app, Action& chosen);
void add_quantize(CLI::App& app, Action& chosen);
void add_measure(CLI::App& app, Action& chosen);
void add_run(CLI::App& app, Action& chosen);
void add_study(CLI::App& app, Action& chosen);
void add_report(CLI::App& app, Action& chosen);
void add_generate(CLI::App& app, Action& chosen);  ///< hidden: for the build

/// Describes the program and all its verbs in `app`.
void add_verbs(CLI::App& app, Action& chosen);

/// Writes a verb's result to stdout, made safe to show; `json`: it is a JSON document. Error: stdout cannot be written; a reader that went away is none.
[[nodiscard]] Result<> print_result(std::string_view text, bool json = false);

}  // namespace apreqel
