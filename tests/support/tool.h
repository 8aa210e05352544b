// Stock llama.cpp tools as referees. Where they are not installed, a test that wants one is skipped.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <catch2/catch_test_macros.hpp>

namespace apreqel {

inline bool have_tool(const std::string& name) { return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0; }

/// Runs a shell command silently; true if it succeeded.
inline bool run_tool(const std::string& command) { return std::system((command + " >/dev/null 2>&1 </dev/null").c_str()) == 0; }

/// The repository's demo model.
inline std::filesystem::path demo_model() { return APREQEL_DEMO_MODEL; }

}  // namespace apreqel

#define APREQEL_NEEDS_TOOL(name) \
    if (!apreqel::have_tool(name)) SKIP(name << " is not installed")
