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

/// With the interval, and the coverage it has: few repetitions reach no 95 %.
std::string format_sampled(const Sampled& sampled, std::size_t criterion)
{
    const int digits = criteria()[criterion].digits;
    if (sampled.samples.size() < 2 || sampled.confidence <= 0) return std::format("{:.{}f}", sampled.median, digits);
    return std::format("{:.{}f} [{:.{}f}, {:.{}f}] {:.1f} %", sampled.median, digits, sampled.low, digits, sampled.high, digits,
                       100 * sampled.confidence);
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

std::string format_criterion(std::size_t criterion, double value)
{
    if (std::isnan(value)) return "—";
    const int digits = criteria()[criterion].digits;
    switch (criteria()[criterion].dimension) {
        case Dimension::bytes: return format_bytes(value);
        case Dimension::share: return std::format("{:+.2f} %", 100 * value);
        default: return std::format("{:.{}f}", value, digits);
    }
}

std::vector<std::string> measurement_header(std::string_view first)
{
    return {std::string(first), "memory",        "bpw",     "ms/token [interval] coverage", "tokens/s", "prompt tokens/s",
            "perplexity",       "KL divergence", "same top"};
}

std::vector<std::string> measurement_row(const Measurement& measurement)
{
    const Quality& quality = measurement.quality;
    const Speed& speed = measurement.speed;
    const bool timed = !speed.latency_ms.samples.empty();
    const bool compared = quality.kld_tokens > 0;
    return {measurement.name + format_cache(measurement.cache),
            format_bytes(static_cast<double>(measurement.bytes())),
            std::format("{:.2f}", measurement.bits_per_weight),
            timed ? format_sampled(speed.latency_ms, kLatency) : "—",
            timed ? std::format("{:.1f}", 1000 / speed.latency_ms.median) : "—",
            speed.prompt_tokens_per_second.samples.empty() ? "—" : std::format("{:.0f}", speed.prompt_tokens_per_second.median),
            quality.perplexity > 0 ? std::format("{:.4f} ± {:.4f}", quality.perplexity, quality.perplexity_error) : "—",
            compared ? std::format("{:.5f} ± {:.5f}", quality.kld, quality.kld_error) : "—",
            compared ? std::format("{:.2f} %", 100 * quality.same_top) : "—"};
}

std::string format_cache(const std::optional<CacheChoice>& cache)
{
    return cache ? std::format(", K {}, V {}", printable_line(cache->types.keys), printable_line(cache->types.values)) : "";
}

std::string format_energy(const std::vector<Measurement>& models)
{
    std::vector<std::vector<std::string>> rows{{"energy", "J/token [interval] coverage"}};
    const Energy* measured = nullptr;
    for (const Measurement& model : models) {
        const Energy& energy = model.speed.energy;
        if (energy.joules.samples.empty()) continue;
        rows.push_back({model.name, format_sampled(energy.joules, kEnergy)});
        measured = &energy;
    }
    if (measured == nullptr) return "";
    return std::format("\n{}counted: {}; {:.1f} W of it when idle before, not subtracted\n", format_table(rows),
                       printable_line(measured->source), measured->idle_watts);
}

std::string format_verdict(const Contest& contest)
{
    std::string lost;
    for (const auto& [kept, what] : {std::pair(contest.no_larger(), "larger"), std::pair(contest.no_slower(), "slower"),
                                     std::pair(contest.closer(), "not closer to full precision")})
        if (!kept) lost += (lost.empty() ? "" : ", ") + std::string(what);
    return lost.empty() ? "better" : lost;
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

std::string format_allocation(const std::vector<GroupType>& allocation)
{
    constexpr std::size_t kBlocksPerRow = 12;
    std::vector<std::string> parts;   // "attn" and "ffn", or the tensors of both
    std::vector<std::string> blocks;  // "blk.0"
    std::map<std::pair<std::string, std::string>, std::string> types;
    std::string text;
    for (const GroupType& entry : allocation) {
        const std::size_t dot = entry.group.rfind('.');
        if (dot == std::string::npos) {
            text += std::format("{}: {}\n", entry.group, entry.type);
            continue;
        }
        const std::string block = entry.group.substr(0, dot);
        const std::string part = entry.group.substr(dot + 1);
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

/// Where a table has it in its heading.
std::string_view unit_of(Dimension dimension)
{
    switch (dimension) {
        case Dimension::milliseconds: return " ms/token";
        case Dimension::joules: return " J/token";
        case Dimension::nats: return " nats/token";
        default: return "";
    }
}

/// "memory at most 4.00 MiB, latency at most 40.000 ms/token".
std::string format_limits(const Limits& limits)
{
    std::string text;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (limits.most[c] == kUnlimited) continue;
        text += std::format("{}{} at most {}{}", text.empty() ? "" : ", ", criteria()[c].name,
                            format_criterion(c, limits.most[c]), unit_of(criteria()[c].dimension));
        if (c == kMemory && limits.context.tokens > 0)
            text += std::format(" with a context of {} tokens", limits.context.tokens);
    }
    return text.empty() ? "none" : text;
}

/// "memory 0.333, latency 0.333, accuracy 0.333": of all criteria that candidates were compared by.
std::string format_weights(const Plan& plan)
{
    std::string text;
    for (const std::size_t c : plan.objectives)
        text += std::format("{}{} {:.3g}", text.empty() ? "" : ", ", criteria()[c].weight, plan.request.weights[c]);
    return text;
}

/// The criteria that some candidate or type has a value of, without those that only limits know.
std::vector<std::size_t> shown_criteria(const Plan& plan)
{
    std::vector<std::size_t> shown;
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (criteria()[c].weight.empty()) continue;
        if (std::ranges::any_of(plan.ranking.best,
                                [&](const Candidate& candidate) { return !std::isnan(candidate.estimate[c]); }))
            shown.push_back(c);
    }
    return shown;
}

std::string format_buffers(const ContextMemory& context)
{
    return context.buffer_bytes > 0 ? format_bytes(static_cast<double>(context.buffer_bytes)) : "—";
}

/// The cells of a criterion's heading or value. With a context, memory is told apart too.
std::vector<std::string> memory_heading(const ContextMemory& context)
{
    if (context.tokens == 0) return {std::string(criteria()[kMemory].heading)};
    return {"weights", "KV cache", "buffers", std::string(criteria()[kMemory].heading)};
}

/// `memory`: as it is compared; `cache_bytes` are part of it where they are chosen.
std::vector<std::string> memory_cells(const ContextMemory& context, double memory, std::uint64_t cache_bytes)
{
    if (context.tokens == 0) return {format_criterion(kMemory, memory)};
    const auto cache = static_cast<double>(cache_bytes);
    return {format_bytes(context.cache_is_chosen ? memory - cache : memory), format_bytes(cache), format_buffers(context),
            format_bytes(memory + static_cast<double>(context.bytes()))};
}

/// The plan, the runners-up and the uniform types.
std::string format_candidates_table(const Plan& plan)
{
    const std::vector<std::size_t> shown = shown_criteria(plan);
    const ContextMemory& context = plan.request.limits.context;
    std::vector<std::vector<std::string>> rows{{"distribution", "closeness"}};
    for (const std::size_t c : shown)
        rows.front().append_range(c == kMemory ? memory_heading(context) : std::vector{std::string(criteria()[c].heading)});
    const auto add = [&](std::string name, std::string closeness, const Metrics& metrics,
                         const std::optional<CacheChoice>& cache) {
        rows.push_back({std::move(name), std::move(closeness)});
        for (const std::size_t c : shown)
            rows.back().append_range(c == kMemory
                                         ? memory_cells(context, metrics[c], cache ? cache->bytes : context.cache_bytes)
                                         : std::vector{format_criterion(c, metrics[c])});
    };
    for (const Candidate& candidate : plan.ranking.best)
        add(format_distribution(plan.types, candidate.counts) + format_cache(candidate.cache),
            std::format("{:.6f}", candidate.closeness), candidate.estimate, candidate.cache);
    for (std::size_t i = 0; i < plan.types.size(); ++i) {
        const bool whole = !std::isnan(plan.costs[i][kPerplexity]);  // else only its shape was timed
        add(std::format("all {}, {}", plan.types[i], whole ? "measured" : "timed"), "", plan.costs[i], {});
    }
    return format_table(rows);
}

std::string name_of(const Plan& plan) { return plan.model_name.empty() ? "the model" : printable_line(plan.model_name); }

std::string format_front_plan(const Plan& plan)
{
    std::string text = std::format("Plan for {}: {}, the best of a front of {} ({})\nweights: {}; limits: {}\n", name_of(plan),
                                   format_distribution(plan.types, plan.chosen().counts) + format_cache(plan.chosen().cache),
                                   format_candidates(plan.ranking.candidates),
                                   plan.epsilon ? std::format("ε {:.2g} %", 100 * *plan.epsilon) : "how complete is not known",
                                   format_weights(plan), format_limits(plan.request.limits));
    if (plan.latency_error > 0)
        text += std::format("latencies that were left out were predicted within {:.1f} %\n", 100 * plan.latency_error);
    if (plan.gpu_layers) {
        const Metrics running = with_context(plan.chosen().estimate, plan.request.limits.context);
        text += std::format("{} layers on GPUs (--gpu-layers), with what a context takes {} there and {} in main memory\n",
                            *plan.gpu_layers, format_criterion(kGpuMemory, running[kGpuMemory]),
                            format_criterion(kMainMemory, running[kMainMemory]));
    }
    return text + "\n" + format_candidates_table(plan);
}

/// Why the paper's method chose it.
std::string format_reasons(const Plan& plan)
{
    const Candidate& chosen = plan.chosen();
    const Scale& scale = plan.ranking.scale;
    if (scale.norm.empty()) return "";  // a file that does not say
    const std::string text = std::format(
        "\nWhy: its distance to the ideal is {:.3g}, to the anti-ideal {:.3g}; weighted, normalised, smaller is better:\n",
        chosen.distance_ideal, chosen.distance_anti_ideal);
    std::vector<std::vector<std::string>> rows{
        {"criterion", "ideal", "this plan", "anti-ideal", "share of the distance to the ideal"}};
    for (std::size_t column = 0; column < plan.objectives.size(); ++column) {
        const std::size_t c = plan.objectives[column];
        const double value = chosen.estimate[c] / scale.norm[column] * plan.request.weights[c];
        const double gap = (value - scale.ideal[column]) * (value - scale.ideal[column]);
        const double all = chosen.distance_ideal * chosen.distance_ideal;
        rows.push_back({std::string(criteria()[c].name), std::format("{:.4g}", scale.ideal[column]),
                        std::format("{:.4g}", value), std::format("{:.4g}", scale.anti_ideal[column]),
                        all > 0 ? std::format("{:.0f} %", 100 * gap / all) : "—"});
    }
    return text + format_table(rows);
}

}  // namespace

std::string format_source(const std::vector<std::string>& types, const std::string& model)
{
    if (!std::ranges::contains(types, kSource)) return "";
    return std::format("{}: as it is in {}; quality is relative to that file\n", kSource, model);
}

std::string format_context(const ContextMemory& context)
{
    if (context.tokens == 0) return "memory: that of the weights alone; --kv-context N tells that of a context too";
    if (context.cache_is_chosen)
        return std::format("context of {} tokens: the KV cache is chosen with the weights, K {}, V {} take {}; buffers {}",
                           context.tokens, context.cache_type_k, context.cache_type_v,
                           format_bytes(static_cast<double>(context.cache_bytes)), format_buffers(context));
    return std::format("context of {} tokens: KV cache {} (K {}, V {}), buffers {}, beside the weights", context.tokens,
                       format_bytes(static_cast<double>(context.cache_bytes)), context.cache_type_k, context.cache_type_v,
                       format_buffers(context));
}

std::string format_cache_costs(const CacheProfile& cache)
{
    std::vector<std::vector<std::string>> rows{{"KV cache", "memory", "ms/token [interval] coverage", "KL divergence"}};
    const auto add = [&](const std::string& name, const CacheCost& cost) {
        rows.push_back({name, format_bytes(static_cast<double>(cost.bytes)), format_sampled(cost.speed.latency_ms, kLatency),
                        cost.tokens > 0 ? std::format("{:.6f} ± {:.6f}", cost.kld, cost.kld_error) : "—"});
    };
    add(std::format("K and V {}", kCacheType), cache.keys.front());
    for (const CacheCost& type : cache.keys | std::views::drop(1)) add("K " + printable_line(type.type), type);
    for (const CacheCost& type : cache.values | std::views::drop(1)) add("V " + printable_line(type.type), type);
    return std::format("\nThe KV cache of {} tokens, its keys or its values in another type:\n{}", cache.tokens,
                       format_table(rows));
}

std::string format_plan(const Plan& plan)
{
    std::string text;
    if (plan.request.method == Method::front) {
        text = format_front_plan(plan);
    } else {
        text = std::format("Plan for {}: {} of {} candidates, weights {}\n\n{}", name_of(plan),
                           format_distribution(plan.types, plan.chosen().counts), format_candidates(plan.ranking.candidates),
                           format_weights(plan), format_candidates_table(plan)) +
               format_reasons(plan);
    }
    text += format_context(plan.request.limits.context) + "\n" + format_source(plan.types, name_of(plan));
    return text + "\n" + format_allocation(plan.allocation) + format_fallbacks(plan.fallbacks);
}

}  // namespace apreqel
