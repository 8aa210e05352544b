#include "report/table.h"

#include "base/printable.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <map>
#include <ranges>
#include <set>
#include <utility>

namespace apreqel {
namespace {

/// Characters on the screen, not bytes: the tables hold ±, × and —.
std::size_t width_of(std::string_view text)
{
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// "attn_q" of "blk.3.attn_q.weight".
std::string role_of(std::string_view tensor)
{
    constexpr std::string_view kBlock = "blk.";
    constexpr std::string_view kWeight = ".weight";
    if (tensor.starts_with(kBlock)) tensor.remove_prefix(std::min(tensor.find('.', kBlock.size()) + 1, tensor.size()));
    if (tensor.ends_with(kWeight)) tensor.remove_suffix(kWeight.size());
    return std::string(tensor);
}

std::string format_sampled(const Sampled& sampled)
{
    if (sampled.samples.size() < 2) return std::format("{:.3f}", sampled.median);
    return std::format("{:.3f} [{:.3f}, {:.3f}]", sampled.median, sampled.low, sampled.high);
}

std::vector<std::string> candidate_row(std::string name, const Metrics& estimate, std::string closeness)
{
    return {std::move(name), std::move(closeness), format_bytes(estimate[0]), std::format("{:.3f}", estimate[1]),
            std::format("{:.4f}", estimate[2])};
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& unsafe_rows)
{
    std::vector<std::vector<std::string>> rows = unsafe_rows;
    std::vector<std::size_t> widths;
    for (auto& row : rows) {
        for (std::string& cell : row) cell = printable_line(cell);
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
    }
    std::string table;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string padding(widths[c] - width_of(row[c]), ' ');
            if (c > 0) line += "  ";
            line += c == 0 ? row[c] + padding : padding + row[c];
        }
        table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return table;
}

std::string format_bytes(double bytes)
{
    constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? std::format("{:.0f} B", bytes) : std::format("{:.2f} {}", bytes, kUnits[unit]);
}

std::string format_count(double count)
{
    constexpr std::array kUnits{"", " k", " M", " G", " T"};
    std::size_t unit = 0;
    while (count >= 1000 && unit + 1 < kUnits.size()) {
        count /= 1000;
        ++unit;
    }
    return unit == 0 ? std::format("{:.0f}", count) : std::format("{:.2f}{}", count, kUnits[unit]);
}

std::vector<std::string> measurement_header(std::string_view first)
{
    return {std::string(first), "memory",        "bpw",     "ms/token [95 % interval]", "tokens/s", "prompt tokens/s",
            "perplexity",       "KL divergence", "same top"};
}

std::vector<std::string> measurement_row(const Measurement& measurement)
{
    const Quality& quality = measurement.quality;
    const Speed& speed = measurement.speed;
    const bool timed = !speed.latency_ms.samples.empty();
    const bool compared = quality.kld_tokens > 0;
    return {measurement.name,
            format_bytes(static_cast<double>(measurement.memory_bytes)),
            std::format("{:.2f}", measurement.bits_per_weight),
            timed ? format_sampled(speed.latency_ms) : "—",
            timed ? std::format("{:.1f}", 1000 / speed.latency_ms.median) : "—",
            speed.prompt_tokens_per_second.samples.empty() ? "—" : std::format("{:.0f}", speed.prompt_tokens_per_second.median),
            std::format("{:.4f} ± {:.4f}", quality.perplexity, quality.perplexity_error),
            compared ? std::format("{:.5f} ± {:.5f}", quality.kld, quality.kld_error) : "—",
            compared ? std::format("{:.2f} %", 100 * quality.same_top) : "—"};
}

std::string format_fallbacks(const std::vector<Fallback>& fallbacks)
{
    struct Line {
        std::string end;  // what the tensors of the line share
        std::vector<std::pair<std::string, std::size_t>> roles;
    };
    std::vector<Line> lines;
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const Fallback& entry : fallbacks) {
        if (!seen.emplace(entry.tensor, entry.wanted).second) continue;
        const std::string rows = entry.columns > 0 ? std::format(" (rows of {})", entry.columns) : "";
        const std::string end = std::format("cannot be {}{}: {}", entry.wanted, rows, entry.used);
        auto line = std::ranges::find(lines, end, &Line::end);
        if (line == lines.end()) line = lines.insert(lines.end(), {end, {}});
        const std::string role = role_of(entry.tensor);
        auto same = std::ranges::find(line->roles, role, &std::pair<std::string, std::size_t>::first);
        if (same == line->roles.end()) same = line->roles.insert(same, {role, 0});
        ++same->second;
    }
    std::string text;
    for (const Line& line : lines) {
        std::string roles;
        for (const auto& [role, count] : line.roles)
            roles += (roles.empty() ? "" : ", ") + role + (count > 1 ? std::format(" × {}", count) : "");
        text += printable_line(roles + " " + line.end) + "\n";
    }
    return text;
}

std::string format_distribution(const std::vector<std::string>& types, const std::vector<std::size_t>& counts)
{
    std::string text;
    for (std::size_t i = 0; i < types.size(); ++i) {
        if (counts[i] > 0) text += std::format("{}{} × {}", text.empty() ? "" : ", ", types[i], counts[i]);
    }
    return text;
}

std::string format_allocation(const std::vector<LayerType>& allocation)
{
    constexpr std::size_t kBlocksPerRow = 12;
    std::vector<std::string> parts;   // "attn" and "ffn", or the tensors of both
    std::vector<std::string> blocks;  // "blk.0"
    std::map<std::pair<std::string, std::string>, std::string> types;
    std::string text;
    for (const LayerType& entry : allocation) {
        const std::size_t dot = entry.layer.rfind('.');
        if (dot == std::string::npos) {
            text += std::format("{}: {}\n", entry.layer, entry.type);
            continue;
        }
        const std::string block = entry.layer.substr(0, dot);
        const std::string part = entry.layer.substr(dot + 1);
        if (!std::ranges::contains(blocks, block)) blocks.push_back(block);
        if (!std::ranges::contains(parts, part)) parts.push_back(part);
        types[{block, part}] = entry.type;
    }
    std::string tables;
    for (std::size_t begin = 0; begin < blocks.size(); begin += kBlocksPerRow) {
        const auto shown = blocks | std::views::drop(begin) | std::views::take(kBlocksPerRow);
        std::vector<std::vector<std::string>> rows{{""}};
        rows.front().append_range(shown);
        for (const std::string& part : parts) {
            rows.push_back({part == "attn" ? "attention" : part});
            for (const std::string& block : shown) rows.back().push_back(types[{block, part}]);
        }
        tables += format_table(rows);
    }
    return tables + text;
}

namespace {

/// Every digit, as far as a double has them.
std::string format_candidates(double count)
{
    return count < 1e15 ? std::format("{:.0f}", count) : std::format("{:.3g}", count);
}

/// "memory at most 4.00 MiB, 40 ms/token at most".
std::string format_limits(const Limits& limits)
{
    std::string text;
    const auto add = [&](std::string limit) { text += (text.empty() ? "" : ", ") + std::move(limit); };
    if (limits.memory_bytes) add("memory at most " + format_bytes(static_cast<double>(*limits.memory_bytes)));
    if (limits.memory_bytes && limits.context > 0) add(std::format("with the KV cache of {} tokens", limits.context));
    if (limits.latency_ms) add(std::format("at most {:.3f} ms/token", *limits.latency_ms));
    if (limits.kld) add(std::format("KL divergence at most {:g}", *limits.kld));
    if (limits.perplexity_increase) add(std::format("perplexity at most {:g} % higher", 100 * *limits.perplexity_increase));
    return text.empty() ? "none" : text;
}

std::string format_front_plan(const Plan& plan)
{
    std::string text = std::format(
        "Plan for {}: {}, the best of a front of {} (ε {:.2g} %)\nweights: memory {:.3g}, latency {:.3g}, accuracy {:.3g}; "
        "limits: {}{}\n\n",
        plan.model_name.empty() ? "the model" : printable_line(plan.model_name),
        format_distribution(plan.types, plan.chosen().counts), format_candidates(plan.ranking.candidates), 100 * plan.epsilon,
        plan.weights[0], plan.weights[1], plan.weights[2], format_limits(plan.limits),
        plan.latency_error > 0
            ? std::format("\nlatencies that were left out were predicted within {:.1f} %", 100 * plan.latency_error)
            : "");
    std::vector<std::vector<std::string>> rows{
        {"distribution", "closeness", "memory", "ms/token", "perplexity", "KL divergence"}};
    const auto add = [&](std::string name, const Metrics& metrics, std::string closeness, double kld) {
        rows.push_back(candidate_row(std::move(name), metrics, std::move(closeness)));
        rows.back().push_back(kld > 0 ? std::format("{:.5f}", kld) : "");
    };
    for (const Candidate& candidate : plan.ranking.best) {
        add(format_distribution(plan.types, candidate.counts), candidate.estimate, std::format("{:.6f}", candidate.closeness),
            candidate.kld);
    }
    for (std::size_t i = 0; i < plan.types.size(); ++i)
        add(std::format("all {}, measured", plan.types[i]), plan.costs[i], "", 0);
    text += format_table(rows);
    return text + "\n" + format_allocation(plan.allocation) + format_fallbacks(plan.fallbacks);
}

}  // namespace

std::string format_plan(const Plan& plan)
{
    if (plan.method == "front") return format_front_plan(plan);
    const Ranking& ranking = plan.ranking;
    const Candidate& chosen = plan.chosen();
    std::string text = std::format(
        "Plan for {}: {} of {} candidates, weights memory {:.3g}, latency {:.3g}, accuracy {:.3g}\n\n",
        plan.model_name.empty() ? "the model" : printable_line(plan.model_name), format_distribution(plan.types, chosen.counts),
        format_candidates(ranking.candidates), plan.weights[0], plan.weights[1], plan.weights[2]);

    std::vector<std::vector<std::string>> rows{{"distribution", "closeness", "memory", "ms/token", "perplexity"}};
    for (const Candidate& candidate : ranking.best) {
        rows.push_back(candidate_row(format_distribution(plan.types, candidate.counts), candidate.estimate,
                                     std::format("{:.6f}", candidate.closeness)));
    }
    for (std::size_t i = 0; i < plan.types.size(); ++i) {
        rows.push_back(candidate_row(std::format("all {}, measured", plan.types[i]), plan.costs[i], ""));
    }
    text += format_table(rows);

    text += std::format(
        "\nWhy: its distance to the ideal is {:.3g}, to the anti-ideal {:.3g}; weighted, normalised, smaller is better:\n",
        chosen.distance_ideal, chosen.distance_anti_ideal);
    rows = {{"metric", "ideal", "this plan", "anti-ideal", "share of the distance to the ideal"}};
    for (std::size_t j = 0; j < kMetrics; ++j) {
        const double value = ranking.norm[j] > 0 ? chosen.estimate[j] / ranking.norm[j] * plan.weights[j] : 0;
        const double gap = (value - ranking.ideal[j]) * (value - ranking.ideal[j]);
        const double all = chosen.distance_ideal * chosen.distance_ideal;
        rows.push_back({std::string(kMetricNames[j]), std::format("{:.4g}", ranking.ideal[j]), std::format("{:.4g}", value),
                        std::format("{:.4g}", ranking.anti_ideal[j]),
                        all > 0 ? std::format("{:.0f} %", 100 * gap / all) : "—"});
    }
    text += format_table(rows);

    return text + "\n" + format_allocation(plan.allocation) + format_fallbacks(plan.fallbacks);
}

}  // namespace apreqel
