#include "report/tables.h"

#include "base/joined.h"
#include "report/table.h"

#include <apreqel/contest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <format>

namespace apreqel {
namespace {

std::string percent(double share) { return std::format("{:+.2f} %", 100 * share); }

std::vector<std::string> gain_row(std::string name, const HypervolumeGain& gain)
{
    return {std::move(name), std::format("{:.4f}", gain.uniform), std::format("{:.4f}", gain.mixed),
            gain.gain ? percent(*gain.gain) : "—",
            gain.low ? std::format("[{}, {}]", percent(*gain.low), percent(*gain.high)) : "—"};
}

/// Gain of a set of models, measured and as estimated before, in three ways of looking.
Result<> add_gains(std::string name, const std::vector<Measurement>& uniform, const std::vector<Measurement>& models,
                   const std::optional<double>& estimated, Table& table)
{
    const auto measured = hypervolume_gain(uniform, models);
    if (!measured) return std::unexpected(measured.error());
    std::vector<Measurement> together = models;
    together.append_range(uniform);
    const auto with_uniform = hypervolume_gain(costs_of(uniform, paper_objectives()), costs_of(together, paper_objectives()));
    if (!with_uniform) return std::unexpected(with_uniform.error());
    const bool compared = std::ranges::all_of(models, [](const Measurement& model) { return model.quality.kld_tokens > 0; });
    auto by_divergence = Result<HypervolumeGain>();
    if (compared) by_divergence = hypervolume_gain(costs_of(uniform, front_objectives()), costs_of(models, front_objectives()));
    if (!by_divergence) return std::unexpected(by_divergence.error());
    const auto share = [](const std::optional<double>& gain) { return gain ? percent(*gain) : "—"; };
    table.rows.push_back({std::move(name), std::to_string(models.size()), share(measured->gain),
                          measured->low ? std::format("[{}, {}]", percent(*measured->low), percent(*measured->high)) : "—",
                          share(estimated), share(with_uniform->gain), compared ? share(by_divergence->gain) : "—"});
    const std::string_view none = "; no uniform type is better than the worst in every metric, so there is no gain to state";
    if (!measured->gain && !table.note.ends_with(none)) table.note += none;
    return {};
}

/// Table 1 of the paper, and the front method beside it.
Result<Table> hypervolume_table(const Evaluation& evaluation)
{
    Table table{
        .title = "Hypervolume gain over the uniform types",
        .rows = {{"", "models", "gain", "95 % interval", "estimated", "with uniform", "by KL divergence"}},
        .note =
            "reference point: the worst uniform value per metric; interval: over resampled rounds and chunks of text; "
            "estimated: before anything was built; with uniform: the uniform types belong to the set too; by KL "
            "divergence: in the place of perplexity; imatrix: against the uniform types with imatrix, all others against "
            "those without; everything: all types, and the type of embedding and output is chosen too"};
    std::vector<Costs> costs;
    for (const Metrics& metrics : type_metrics(evaluation.profile)) costs.push_back(columns_of(metrics, paper_objectives()));
    std::vector<Costs> estimates;
    for (const SettingResult& setting : evaluation.settings)
        estimates.push_back(columns_of(setting.plan.chosen().estimate, paper_objectives()));
    const auto estimated = hypervolume_gain(costs, estimates);
    if (!estimated) return std::unexpected(estimated.error());
    const std::vector<Measurement> paper = models_of(evaluation, evaluation.orders.front().models);
    if (auto added = add_gains("paper", evaluation.uniform, paper, estimated->gain, table); !added)
        return std::unexpected(added.error());
    for (const ModelSet& set : evaluation.sets) {
        if (auto added =
                add_gains(set.name, baseline_of(evaluation, set), models_of(evaluation, set.models), set.estimated_gain, table);
            !added) {
            return std::unexpected(added.error());
        }
        if (set.rivals.empty()) continue;
        if (auto added = add_gains("the rivals", evaluation.uniform, set.rivals, std::nullopt, table); !added)
            return std::unexpected(added.error());
    }
    return table;
}

/// "0.652 [0.611, 0.702]".
std::string ratio(double value, const std::optional<Interval>& interval)
{
    return interval ? std::format("{:.3f} [{:.3f}, {:.3f}]", value, interval->low, interval->high)
                    : std::format("{:.3f}", value);
}

/// The models that were made to be better than rivals, each beside its own.
Table rival_table(const ModelSet& set, const std::vector<Measurement>& models, const Quality& reference)
{
    Table table{.title = "Beside each rival: no larger, no slower",
                .rows = {{"rival", "memory", "ms/token", "KL divergence", "ours: memory", "ms/token [interval]",
                          "KL divergence [95 %]", "−log p (its) off full precision's", ""}},
                .note = {}};
    std::size_t won = 0;
    double logs = 0;
    for (std::size_t r = 0; r < models.size(); ++r) {
        const Measurement& rival = set.rivals[r];
        const Contest result = contest(models[r], rival, reference);
        const Sampled& latency = result.latency;
        table.rows.push_back(
            {rival.name, format_bytes(static_cast<double>(rival.memory_bytes)),
             format_criterion(kLatency, rival.speed.latency_ms.median), std::format("{:.5f}", rival.quality.kld),
             ratio(result.memory, std::nullopt), ratio(latency.median, Interval{latency.low, latency.high}),
             ratio(result.divergence, result.divergence_interval),
             result.has_chunks ? std::format("{:+.4f} ({:+.4f}) ± {:.4f}", result.nll, result.rival_nll, result.nll_error)
                               : "—",
             format_verdict(result)});
        won += result.won() ? 1 : 0;
        logs += std::log(result.divergence);
    }
    table.note = std::format(
        "ours ÷ the rival's, all measured in the same rounds and on the same text; −log p: mean of the text's tokens, nats, "
        "with the paired standard error of how much farther ours is; better in everything: {} of {}; geometric mean of the KL "
        "divergences: {:.3f}",
        won, models.size(), std::exp(logs / static_cast<double>(models.size())));
    return table;
}

/// Table 2 and Figure 5 of the paper.
Table category_table(const Evaluation& evaluation)
{
    Table table{.title = "Mean difference to the best value, by category", .rows = {{"category"}}, .note = {}};
    for (const std::size_t c : paper_objectives()) table.rows.front().emplace_back(criteria()[c].name);
    table.rows.front().append_range(std::array<std::string, 2>{"bpw", "± deviation"});
    for (const CategoryResult& category : compare_categories(evaluation)) {
        std::vector<std::string> row{category.category};
        for (const double difference : category.mean_difference) row.push_back(percent(difference));
        row.push_back(std::format("{:.3f}", category.mean_bits_per_weight));
        row.push_back(std::format("{:.3f}", category.bits_per_weight_deviation));
        table.rows.push_back(std::move(row));
    }
    const auto winners = best_categories(evaluation);
    for (std::size_t j = 0; j < winners.size(); ++j) {
        const Criterion& criterion = criteria()[paper_objectives()[j]];
        const std::string names = joined(winners[j], ", ");
        const bool own = std::ranges::contains(winners[j], criterion.weight);
        table.note += std::format("{}the best {} is of category {}{}", table.note.empty() ? "" : "; ", criterion.name, names,
                                  own ? "" : ": not the one that asked for it");
    }
    return table;
}

/// Does the ranking of layers matter? The same distributions, with layers in other orders.
Result<Table> order_table(const Evaluation& evaluation)
{
    Table table{.title = "Orders of layers, the same distributions",
                .rows = {{"order", "hypervolume gain", "95 % interval", "mean perplexity", "mean KL divergence"}},
                .note = {}};
    std::size_t random = 0;
    std::size_t beaten = 0;
    double paper = 0;
    for (const OrderResult& order : evaluation.orders) {
        const std::vector<Measurement> models = models_of(evaluation, order.models);
        const auto gain = hypervolume_gain(evaluation.uniform, models);
        if (!gain) return std::unexpected(gain.error());
        double perplexity = 0;
        double kld = 0;
        for (const Measurement& model : models) {
            perplexity += model.quality.perplexity / static_cast<double>(models.size());
            kld += model.quality.kld / static_cast<double>(models.size());
        }
        std::vector<std::string> row = gain_row(order.order, *gain);
        row.erase(row.begin() + 1, row.begin() + 3);
        row.push_back(std::format("{:.4f}", perplexity));
        row.push_back(models.front().quality.kld_tokens > 0 ? std::format("{:.5f}", kld) : "—");
        table.rows.push_back(std::move(row));
        if (order.order == "contribution") paper = gain->gain.value_or(0);
        if (!order.order.starts_with("random")) continue;
        ++random;
        if (paper > gain->gain.value_or(0)) ++beaten;
    }
    if (random > 0)
        table.note = std::format("the contribution score's order gains more than {} of {} random orders", beaten, random);
    return table;
}

/// Of one model: each of the paper's objectives as measured and as predicted.
void add_objectives(std::vector<std::string>& row, const Metrics& measured, const Metrics* predicted)
{
    for (const std::size_t c : paper_objectives()) {
        row.push_back(format_criterion(c, measured[c]));
        row.push_back(predicted ? format_criterion(c, (*predicted)[c]) : "—");
    }
}

Table setting_table(const Evaluation& evaluation)
{
    Table table{
        .title = "Settings: predicted and measured",
        .rows = {{"category", "weights", "distribution"}},
        .note =
            "weights: memory, latency, accuracy; on the front: none of the paper's models and the uniform types is better in "
            "one metric and no worse in the others; for another set: none of that set and its rivals"};
    for (const std::size_t c : paper_objectives())
        table.rows.front().append_range(std::array<std::string, 2>{std::string(criteria()[c].heading), "predicted"});
    table.rows.front().emplace_back("on the front");
    const auto row = [&](std::vector<std::string> cells, const Measurement& measured, const Metrics* predicted, bool on_front) {
        add_objectives(cells, metrics_of(measured), predicted);
        cells.emplace_back(on_front ? "yes" : "no");
        table.rows.push_back(std::move(cells));
    };
    const std::vector<Measurement> models = models_of(evaluation, evaluation.orders.front().models);
    std::vector<Measurement> all = models;
    all.append_range(evaluation.uniform);
    const std::vector<bool> front = non_dominated(costs_of(all, paper_objectives()));
    for (std::size_t s = 0; s < models.size(); ++s) {
        const Plan& plan = evaluation.settings[s].plan;
        std::string weights;
        for (const std::size_t c : paper_objectives())
            weights += std::format("{}{:.2f}", weights.empty() ? "" : " ", plan.request.weights[c]);
        row({evaluation.settings[s].category, weights, format_distribution(plan.types, plan.chosen().counts)}, models[s],
            &plan.chosen().estimate, front[s]);
    }
    for (const ModelSet& set : evaluation.sets) {
        const std::vector<Measurement> measured = models_of(evaluation, set.models);
        std::vector<Measurement> compared = measured;
        compared.append_range(set.rivals);
        const std::vector<bool> among = non_dominated(costs_of(compared, paper_objectives()));
        for (std::size_t c = 0; c < set.candidates.size(); ++c) {
            row({set.name, "", format_distribution(set.types, set.candidates[c].counts)}, measured[c],
                &set.candidates[c].estimate, among[c]);
        }
        for (std::size_t r = 0; r < set.rivals.size(); ++r)
            row({"rival", "", set.rivals[r].name}, set.rivals[r], nullptr, among[measured.size() + r]);
    }
    for (std::size_t u = 0; u < evaluation.uniform.size(); ++u)
        row({"uniform", "", evaluation.uniform[u].name}, evaluation.uniform[u], nullptr, front[models.size() + u]);
    return table;
}

/// A cell that may hold anything, such as a type name from a file.
std::string markdown_cell(const std::string& text)
{
    std::string cell;
    for (const char c : text) {
        if (c == '|' || c == '\\' || c == '<') cell += '\\';
        cell += c == '\n' ? ' ' : c;
    }
    return cell;
}

/// What files are called may have commas and quotes (RFC 4180).
std::string csv_cell(const std::string& text)
{
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string cell = "\"";
    for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
    return cell + "\"";
}

/// A model beside its rival, as the end of its line.
std::string contest_csv(const Measurement& model, const Measurement& rival, const Quality& reference)
{
    const Contest result = contest(model, rival, reference);
    const auto bounds = [](const std::optional<Interval>& interval) {
        return interval ? std::format("{},{}", interval->low, interval->high) : ",";
    };
    return std::format(",{},{},{},{},{},{},{},{}", csv_cell(rival.name), result.memory, result.latency.median,
                       result.latency.low, result.latency.high, result.divergence, bounds(result.divergence_interval),
                       result.has_chunks ? std::format("{},{},{}", result.nll, result.rival_nll, result.nll_error) : ",,");
}

}  // namespace

Result<std::vector<Table>> study_tables(const Evaluation& evaluation)
{
    auto hypervolume = hypervolume_table(evaluation);
    if (!hypervolume) return std::unexpected(hypervolume.error());
    auto orders = order_table(evaluation);
    if (!orders) return std::unexpected(orders.error());
    std::vector<Table> tables{std::move(*hypervolume)};
    for (const ModelSet& set : evaluation.sets)
        if (!set.rivals.empty())
            tables.push_back(rival_table(set, models_of(evaluation, set.models), evaluation.reference.quality));
    tables.append_range(std::array{category_table(evaluation), std::move(*orders), setting_table(evaluation)});
    return tables;
}

std::string tables_text(const std::vector<Table>& tables)
{
    std::string text;
    for (const Table& table : tables) {
        text += std::format("{}{}\n{}", text.empty() ? "" : "\n", table.title, format_table(table.rows));
        if (!table.note.empty()) text += table.note + "\n";
    }
    return text;
}

std::string tables_markdown(const std::vector<Table>& tables)
{
    std::string text;
    for (const Table& table : tables) {
        text += std::format("{}## {}\n\n", text.empty() ? "" : "\n", table.title);
        for (std::size_t r = 0; r < table.rows.size(); ++r) {
            for (const std::string& cell : table.rows[r]) text += "| " + markdown_cell(cell) + " ";
            text += "|\n";
            if (r > 0) continue;
            for (std::size_t c = 0; c < table.rows[r].size(); ++c) text += c == 0 ? "|---" : "|---:";
            text += "|\n";
        }
        if (!table.note.empty()) text += "\n" + markdown_cell(table.note) + ".\n";
    }
    return text;
}

std::string measurements_csv(const Evaluation& evaluation)
{
    std::string lines =
        "order,category,weight_memory,weight_latency,weight_accuracy,name,memory_bytes,bits_per_weight,latency_ms,"
        "latency_low_ms,latency_high_ms,perplexity,perplexity_error,kl_divergence,kl_divergence_error,rival,memory_ratio,"
        "latency_ratio,latency_ratio_low,latency_ratio_high,kl_divergence_ratio,kl_divergence_ratio_low,"
        "kl_divergence_ratio_high,nll_over_full,rival_nll_over_full,nll_error\n";
    const auto add = [&](const std::string& head, const Measurement& m, const Measurement* rival = nullptr) {
        const Sampled& latency = m.speed.latency_ms;
        lines += std::format("{},{},{},{},{},{},{},{},{},{},{}{}\n", head, csv_cell(m.name), m.memory_bytes, m.bits_per_weight,
                             latency.median, latency.low, latency.high, m.quality.perplexity, m.quality.perplexity_error,
                             m.quality.kld, m.quality.kld_error,
                             rival ? contest_csv(m, *rival, evaluation.reference.quality) : ",,,,,,,,,,,");
    };
    for (const Measurement& uniform : evaluation.uniform) add("uniform,,,,", uniform);
    for (const OrderResult& order : evaluation.orders) {
        for (std::size_t s = 0; s < order.models.size(); ++s) {
            const SettingResult& setting = evaluation.settings[s];
            std::string head = std::format("{},{}", order.order, setting.category);
            for (const std::size_t c : paper_objectives()) head += std::format(",{}", setting.plan.request.weights[c]);
            add(head, evaluation.models[order.models[s]].measurement);
        }
    }
    for (const ModelSet& set : evaluation.sets) {
        for (std::size_t m = 0; m < set.models.size(); ++m) {
            add(std::format("\"{}\",,,,", set.name), evaluation.models[set.models[m]].measurement,
                set.rivals.empty() ? nullptr : &set.rivals[m]);
        }
        for (const Measurement& rival : set.rivals) add("rival,,,,", rival);
    }
    return lines;
}

}  // namespace apreqel
