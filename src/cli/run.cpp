#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace apreqel {
namespace {

/// Predicted beside measured, and how far off the prediction was. The plan's times were predicted from an earlier session; a
/// machine that has changed its speed since is told from a wrong prediction by predicting them again from the uniform types of
/// the session that measured the mix.
std::string compare(const RunResult& result)
{
    const Metrics predicted = result.plan.chosen().estimate;
    const Metrics measured = metrics_of(result.mix, result.reference.quality);
    std::vector<std::vector<std::string>> rows{{"criterion", "predicted", "measured", "difference"}};
    const auto add = [&](std::size_t c, std::string_view from, double pace) {
        rows.push_back({std::format("{}{}", criteria()[c].heading, from), format_criterion(c, predicted[c] * pace),
                        format_criterion(c, measured[c]),
                        std::format("{:+.2f} %", 100 * (measured[c] / (predicted[c] * pace) - 1))});
    };
    for (std::size_t c = 0; c < kCriteria; ++c) {
        if (std::isnan(predicted[c]) || std::isnan(measured[c]) || criteria()[c].weight.empty()) continue;
        if (criteria()[c].composition != Composition::timed) {
            add(c, "", 1);
            continue;
        }
        double then = 0;
        double now = 0;
        for (const Metrics& costs : result.plan.costs) then += costs[c];
        for (const Measurement& uniform : result.uniform)
            if (std::ranges::contains(result.plan.types, uniform.name)) now += metrics_of(uniform)[c];
        add(c, ", from the plan", 1);
        add(c, ", from this session", now / then);
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
    std::string better = result.because.empty() ? "" : std::format("\nShipped: {}.\n", result.because);
    const auto& objectives = result.plan.objectives;
    const Costs mix = columns_of(metrics_of(result.mix), objectives);
    for (const Measurement& uniform : result.uniform) {
        const bool same =
            std::ranges::all_of(result.plan.allocation, [&](const GroupType& l) { return l.type == uniform.name; });
        if (same || !dominates(columns_of(metrics_of(uniform), objectives), mix)) continue;
        better += std::format(
            "\nAll {} measured no worse in every criterion: take that one, or measure again on a quieter machine.\n",
            uniform.name);
    }
    return std::format("{}\nMeasured in one session on {}\ntext: {}\n\n{}\n{}\n{} runs in stock llama.cpp: llama-cli -m {}\n",
                       format_plan(result.plan), printable_line(result.device), printable_line(result.text), format_table(rows),
                       compare(result) + better, output.filename().string(), output.string());
}

struct RunFlags : Flags {
    PlanRequest request;
    SenseSettings sensing;
};

Result<> run_run(const RunFlags& flags)
{
    const auto weights = parse_weights(flags.weights);
    if (!weights) return std::unexpected(weights.error());
    PlanRequest request = flags.request;
    request.weights = *weights;
    if (auto possible = check_method(request); !possible) return possible;
    if (auto writable = check_output(flags.output, flags.force, {flags.model}); !writable) return writable;
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    if (request.method == Method::front) study->settings.mixes = request.mix_embedding ? Mixes::with_embedding : Mixes::layers;
    const auto result = run(*study, request, flags.sensing, flags.output);
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
    add_from_quantized(*verb, *flags);
    add_output(*verb, *flags, "The mixed-precision GGUF to write");
    verb->get_option("--output")->required();
    add_weights(*verb, *flags);
    add_method(*verb, flags->request);
    add_sensing(*verb, flags->sensing);
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
