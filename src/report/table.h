// Figures as people read them.
#pragma once

#include <apreqel/contest.h>
#include <apreqel/measurement.h>
#include <apreqel/plan.h>
#include <apreqel/profile.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace apreqel {

/// Columns two spaces apart, one line a row whatever the cells hold; the first is aligned left, the others right. The first row is the header.
[[nodiscard]] std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// "4.21 MiB", with three significant digits or more.
[[nodiscard]] std::string format_bytes(double bytes);

/// "7.34 M".
[[nodiscard]] std::string format_count(double count);

/// A value of a criterion, with its unit where its heading has none: "4.21 MiB", "0.231", "+1.2 %"; "—" where it is not known.
[[nodiscard]] std::string format_criterion(std::size_t criterion, double value);

/// The header and a row of a table of measured models.
[[nodiscard]] std::vector<std::string> measurement_header(std::string_view first);
[[nodiscard]] std::vector<std::string> measurement_row(const Measurement& measurement);

/// ", K q8_0, V q5_1"; empty where the KV cache is not chosen.
[[nodiscard]] std::string format_cache(const std::optional<CacheChoice>& cache);

/// What each of its types costs.
[[nodiscard]] std::string format_cache_costs(const CacheProfile& cache);

/// The energy of a generated token of those whose energy was measured, what was counted, and the idle power; empty: of none.
[[nodiscard]] std::string format_energy(const std::vector<Measurement>& models);

/// What a model has not won against a rival: "larger, slower, not closer to full precision"; or "better".
[[nodiscard]] std::string format_verdict(const Contest& contest);

/// "q3_K × 4, q6_K × 12": the types that have layers.
[[nodiscard]] std::string format_distribution(const std::vector<std::string>& types, const std::vector<std::size_t>& counts);

/// The types of the layers, one line for attention and one for FFN a row of blocks.
[[nodiscard]] std::string format_allocation(const std::vector<GroupType>& allocation);

/// Which tensors cannot have a type, one line for each type, length of rows and type they get instead; the same tensor and type
/// counts once: "attn_q × 30, ffn_gate × 30 cannot be q3_K (rows of 576): q4_0".
[[nodiscard]] std::string format_fallbacks(const std::vector<Fallback>& fallbacks);

/// What "source" among `types` stands for, in a line; empty: it is none of them.
[[nodiscard]] std::string format_source(const std::vector<std::string>& types, const std::string& model);

/// What counts as memory, in a line without its end: the weights alone, or what a context takes beside them.
[[nodiscard]] std::string format_context(const ContextMemory& context);

/// What was asked, what was chosen, and why: the runners-up, the uniform types, and the distances per metric.
[[nodiscard]] std::string format_plan(const Plan& plan);

}  // namespace apreqel
