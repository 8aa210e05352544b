#include "cli/flags.h"
#include "cli/result_json.h"
#include "cli/verbs.h"
#include "model/importance.h"
#include "report/table.h"
#include "runtime/session.h"

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

struct QuantizeFlags : Flags {
    std::filesystem::path plan;
    bool dry_run = false;
};

/// The model. Only a matrix to be collected needs a workspace to be made.
Result<Inventory> open(const QuantizeFlags& flags, Monitor& monitor)
{
    if (flags.imatrix != kOwnImportance) {
        if (!flags.settings.calibration.empty()) return usage_error("quantize: --calibration is the text of --imatrix auto");
        auto inventory = open_model(flags);
        if (inventory) report_coverage(*inventory, monitor);
        return inventory;
    }
    auto study = open_study(flags, monitor);
    if (!study) return std::unexpected(study.error());
    return std::move(study->inventory);
}

Result<> run_quantize(const QuantizeFlags& flags)
{
    if (!flags.dry_run) {
        if (flags.output.empty()) return usage_error("quantize: --output FILE is needed");
        if (auto writable = check_output(flags.output, flags.force, {flags.model, flags.plan}); !writable) return writable;
    }
    auto plan = read_plan(flags.plan);
    if (!plan) return std::unexpected(plan.error());
    // A plan that does not know of importance is quantized with it, as asked for here; one that does says where.
    const bool silent = std::ranges::none_of(plan->allocation, [](const GroupType& l) { return l.type.contains('+'); });
    for (GroupType& entry : plan->allocation)
        if (silent && has_importance(flags) && parse_type(entry.type)) entry.type += kWithImportance;
    Terminal terminal(flags.quiet);
    const auto inventory = open(flags, terminal);
    if (!inventory) return std::unexpected(inventory.error());
    const auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    const auto bytes = quantized_bytes(*inventory, *plan, *variants);
    if (!bytes) return std::unexpected(bytes.error());
    const auto fallbacks = quantized_fallbacks(*inventory, *plan, *variants);
    if (!fallbacks) return std::unexpected(fallbacks.error());
    if (flags.dry_run) {
        const std::string size = std::format("{} bytes\n", *bytes);
        return print_result(flags.json ? quantized_json({}, *bytes, *fallbacks) : size + format_fallbacks(*fallbacks),
                            flags.json);
    }
    const Workspace workspace(flags.model, flags.workspace);
    const unsigned threads = thread_count(flags.settings.run);
    if (auto written = quantize(*inventory, *plan, workspace, flags.output, threads, terminal, *variants); !written)
        return written;
    if (flags.json) return print_result(quantized_json(flags.output, *bytes, *fallbacks), flags.json);
    return print_result(std::format(
        "{}: {} bytes ({}), {}\n{}", flags.output.string(), *bytes, format_bytes(static_cast<double>(*bytes)),
        fallbacks->empty() ? "every tensor as planned" : "every tensor as planned, but", format_fallbacks(*fallbacks)));
}

}  // namespace

void add_quantize(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("quantize", "Write the mixed-precision GGUF of a plan");
    verb->footer(
        "Examples:\n"
        "  apreqel quantize model-f16.gguf --plan plan.json --dry-run\n"
        "  apreqel quantize model-f16.gguf --plan plan.json -o mixed.gguf");
    auto flags = std::make_shared<QuantizeFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    verb->add_option("--plan", flags->plan, "The plan: a type for every layer")->type_name("FILE")->required();
    add_output(*verb, *flags, "The GGUF to write");
    verb->add_flag("--dry-run", flags->dry_run, "Print the exact size of the output and write nothing");
    add_importance(*verb, *flags);
    add_variants(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_quantize(*flags); }; });
}

}  // namespace apreqel
