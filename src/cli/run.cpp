#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

/// Predicted beside measured, and how far off the prediction was. The plan's latency was predicted from an earlier
/// session; a machine that has changed its speed since is told from a wrong prediction by predicting it again from the
/// uniform types of the session that measured the mix.
std::string compare(const RunResult& result)
{
    const Candidate& chosen = result.plan.chosen();
    double then = 0;
    double now = 0;
    for (const Metrics& costs : result.plan.costs) then += costs[1];
    for (const Measurement& uniform : result.uniform) now += uniform.speed.latency_ms.median;
    const double latency = chosen.estimate[1] * now / then;
    const auto row = [](const char* name, double predicted, double measured, auto format) {
        return std::vector<std::string>{name, format(predicted), format(measured),
                                        std::format("{:+.2f} %", 100 * (measured / predicted - 1))};
    };
    const auto milliseconds = [](double value) { return std::format("{:.3f}", value); };
    const double measured = result.mix.speed.latency_ms.median;
    std::vector<std::vector<std::string>> rows{
        {"metric", "predicted", "measured", "difference"},
        row("memory", chosen.estimate[0], static_cast<double>(result.mix.memory_bytes), format_bytes),
        row("ms/token, from the plan", chosen.estimate[1], measured, milliseconds),
        row("ms/token, from this session", latency, measured, milliseconds),
        row("perplexity", chosen.estimate[2], result.mix.quality.perplexity,
            [](double value) { return std::format("{:.4f}", value); })};
    if (chosen.kld > 0 && result.mix.quality.kld_tokens > 0) {
        rows.push_back(row("KL divergence", chosen.kld, result.mix.quality.kld,
                           [](double value) { return std::format("{:.5f}", value); }));
    }
    return format_table(rows);
}

std::string describe(const RunResult& result, const std::filesystem::path& output)
{
    std::vector<std::vector<std::string>> rows{measurement_header("model")};
    for (const Measurement& measurement : result.uniform) rows.push_back(measurement_row(measurement));
    for (const Measurement& tried : result.tried) rows.push_back(measurement_row(tried));
    rows.push_back(measurement_row(result.mix));
    rows.push_back(measurement_row(result.reference));
    std::string better;
    if (!result.instead.empty())
        better = std::format("\nAll {} measured no worse than the mix in every metric: {} is that.\n", result.instead,
                             output.filename().string());
    for (const Measurement& uniform : result.uniform) {
        const bool same =
            std::ranges::all_of(result.plan.allocation, [&](const LayerType& l) { return l.type == uniform.name; });
        if (result.instead.empty() && !same && dominates(metrics_of(uniform), metrics_of(result.mix)))
            better += std::format(
                "\nAll {} measured no worse in every metric: take that one, or measure again on a quieter machine.\n",
                uniform.name);
    }
    return std::format("{}\nMeasured in one session on {}\ntext: {}\n\n{}\n{}\n{} runs in stock llama.cpp: llama-cli -m {}\n",
                       format_plan(result.plan), printable_line(result.device), printable_line(result.text), format_table(rows),
                       compare(result) + better, output.filename().string(), output.string());
}

struct RunFlags : Flags {
    PlanRequest request;
};

Result<> run_run(const RunFlags& flags)
{
    const auto weights = parse_weights(flags.weights);
    if (!weights) return std::unexpected(weights.error());
    if (auto possible = check_method(flags.request); !possible) return possible;
    if (auto writable = check_output(flags.output, flags.force, {flags.model}); !writable) return writable;
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    PlanRequest request = flags.request;
    request.weights = *weights;
    if (request.method == "front") study->settings.mixes = request.mix_embedding ? Mixes::with_embedding : Mixes::layers;
    const auto result = run(*study, request, flags.output);
    if (!result) return std::unexpected(with_resume_hint(result.error(), *study));
    if (auto printed = print_result(flags.json ? to_json(*result) : describe(*result, flags.output), flags.json); !printed)
        return printed;
    if (result->limits_kept) return {};
    return std::unexpected(
        Error{ErrorCode::infeasible, std::format("run: {} does not keep the limits as measured", flags.output.string()),
              "it is the nearest that was built: raise a limit, offer more --types, or close other programs"});
}

}  // namespace

void add_run(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("run", "All stages: score, profile, plan, quantize, and measure what was promised");
    verb->footer(
        "Examples:\n"
        "  apreqel run model-f16.gguf --weights balanced -o mixed.gguf\n"
        "  apreqel run model-f16.gguf --method front --max-memory 4GiB --min-speed 25 -o mixed.gguf");
    auto flags = std::make_shared<RunFlags>();
    add_model(*verb, *flags);
    add_output(*verb, *flags, "The mixed-precision GGUF to write");
    verb->get_option("--output")->required();
    add_weights(*verb, *flags);
    add_method(*verb, flags->request);
    add_sensing(*verb, flags->request.sense);
    add_types(*verb, *flags);
    add_scoring(*verb, *flags);
    add_measuring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_run(*flags); }; });
}

}  // namespace apreqel
