// A man page and completions for shells, made from the flags as the program describes them.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace apreqel {

/// For section 1 of the manual, in man(7)'s macros.
[[nodiscard]] std::string man_page(const CLI::App& app);

[[nodiscard]] std::string bash_completion(const CLI::App& app);
[[nodiscard]] std::string zsh_completion(const CLI::App& app);
[[nodiscard]] std::string fish_completion(const CLI::App& app);

}  // namespace apreqel
