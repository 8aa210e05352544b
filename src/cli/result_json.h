// What verbs print with --json that is not kept in a workspace (docs/formats.md).
#pragma once

#include <apreqel/plan.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace apreqel {

/// apreqel.spread/1. `files`: where the plans were written, none or one each.
[[nodiscard]] std::string spread_json(std::span<const Plan> plans, std::span<const std::filesystem::path> files);

/// apreqel.quantized/1. `output`: empty for a dry run.
[[nodiscard]] std::string quantized_json(const std::filesystem::path& output, std::uint64_t bytes,
                                         std::span<const Fallback> fallbacks);

/// apreqel.report/1
[[nodiscard]] std::string report_json(const std::filesystem::path& output);

}  // namespace apreqel
