#include "cli/publish.h"
#include "cli/result_json.h"
#include "cli/verbs.h"
#include "model/importance.h"
#include "model/readiness.h"
#include "records/fields.h"
#include "report/table.h"
#include "runtime/session.h"

#include <algorithm>
#include <memory>
#include <span>
#include <variant>

namespace apreqel {
namespace {

struct QuantizeFlags : Flags {
    std::filesystem::path plan;
    Publishing publishing;
    std::string type;  ///< of all weights of a projector
    bool dry_run = false;
};

/// The model. Only what is to be collected needs a workspace to be made.
Result<Inventory> open(const QuantizeFlags& flags, Monitor& monitor)
{
    if (flags.imatrix != kOwnImportance && !flags.feedback) {
        if (!flags.settings.calibration.empty())
            return usage_error("quantize: --calibration is the text of --imatrix auto, and of types with +gptq");
        auto inventory = open_model(flags);
        if (inventory) {
            report_coverage(*inventory, monitor);
            report_ungrouped(*inventory, monitor);
        }
        return inventory;
    }
    auto study = open_study(flags, monitor);
    if (!study) return std::unexpected(study.error());
    return std::move(study->inventory);
}

/// What was written, or would be.
Result<> print_quantized(const QuantizeFlags& flags, const std::filesystem::path& output, std::uint64_t bytes,
                         const std::vector<Fallback>& fallbacks)
{
    if (flags.json) return print_result(quantized_json(output, bytes, fallbacks), true);
    const std::string head =
        output.empty()
            ? std::format("{} bytes\n", bytes)
            : std::format("{}: {} bytes ({}), {}\n", output.string(), bytes, format_bytes(static_cast<double>(bytes)),
                          fallbacks.empty() ? "every tensor as planned" : "every tensor as planned, but");
    return print_result(head + format_fallbacks(fallbacks), false);
}

/// All weights of a multimodal projector in one type.
Result<> run_uniform(const QuantizeFlags& flags)
{
    if (!flags.plan.empty()) return usage_error("quantize: --plan is for a language model, --type for a projector (mmproj)");
    if (names_folder(flags.output)) return usage_error("quantize: --output must name the file of a projector");
    if (!flags.publishing.card.empty() || !flags.publishing.modelfile.empty())
        return usage_error("quantize: --card and --modelfile are for language models");
    const auto type = parse_type(flags.type);
    if (!type) return std::unexpected(type.error());
    const auto projector = read_projector(flags.model);
    if (!projector) return std::unexpected(projector.error());
    const auto quantized = projector_quantized_to(*projector, *type);
    if (!quantized) return std::unexpected(quantized.error());
    Terminal terminal(flags.quiet);
    if (!flags.dry_run) {
        const unsigned threads = thread_count(flags.settings.run);
        if (auto written = quantize_projector(*projector, *type, flags.output, threads, terminal); !written) return written;
    }
    return print_quantized(flags, flags.dry_run ? std::filesystem::path() : flags.output, quantized->file_bytes,
                           quantized->fallbacks);
}

/// What --plan names: the plan of one model, or a layout.
using GivenPlan = std::variant<Plan, Layout>;

Result<GivenPlan> read_given_plan(const QuantizeFlags& flags)
{
    if (read_schema(flags.plan) == kLayoutSchema) return read_layout(flags.plan);
    return read_plan(flags.plan);
}

bool uses_feedback(const GivenPlan& given)
{
    const auto feedback = [](const auto& entry) { return entry.type.ends_with(kWithFeedback); };
    if (const auto* layout = std::get_if<Layout>(&given)) return std::ranges::any_of(layout->runs, feedback);
    return std::ranges::any_of(std::get<Plan>(given).allocation, feedback);
}

Result<Plan> plan_for(const QuantizeFlags& flags, const Inventory& inventory, const GivenPlan& given,
                      std::span<const Variant> variants)
{
    const auto* layout = std::get_if<Layout>(&given);
    auto plan = layout != nullptr ? apply_layout(inventory, *layout, variants) : Result<Plan>(std::get<Plan>(given));
    if (!plan) {
        const auto weighed = [](const LayoutRun& run) { return run.type.ends_with(kWithImportance); };
        if (layout != nullptr && !has_importance(flags) && std::ranges::any_of(layout->runs, weighed))
            plan.error().hint =
                "the layout is with an importance matrix: give --imatrix FILE, or --imatrix auto to have one collected";
        return plan;
    }
    // A plan that does not know of importance is quantized with it, as asked for here; one that does says where.
    const bool silent = std::ranges::none_of(plan->allocation, [](const GroupType& l) { return l.type.contains('+'); });
    for (GroupType& entry : plan->allocation)
        if (silent && has_importance(flags) && parse_type(entry.type)) entry.type += kWithImportance;
    return plan;
}

Result<> run_quantize(QuantizeFlags flags)
{
    if (!flags.dry_run) {
        if (flags.output.empty()) return usage_error("quantize: --output FILE is needed");
        if (!names_folder(flags.output))  // there the name is known when the plan is
            if (auto placed = place_output(flags, flags.publishing, 0, {flags.model, flags.plan}); !placed)
                return std::unexpected(placed.error());
    }
    if (!flags.type.empty()) return run_uniform(flags);
    if (flags.plan.empty()) return usage_error("quantize: --plan FILE is needed");
    const auto given = read_given_plan(flags);
    if (!given) return std::unexpected(given.error());
    flags.feedback = uses_feedback(*given) && !flags.dry_run;
    Terminal terminal(flags.quiet);
    const auto inventory = open(flags, terminal);
    if (!inventory) return std::unexpected(inventory.error());
    const auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    const auto plan = plan_for(flags, *inventory, *given, *variants);
    if (!plan) return std::unexpected(plan.error());
    const auto bytes = quantized_bytes(*inventory, *plan, *variants);
    if (!bytes) return std::unexpected(bytes.error());
    const auto fallbacks = quantized_fallbacks(*inventory, *plan, *variants);
    if (!fallbacks) return std::unexpected(fallbacks.error());
    if (flags.dry_run) return print_quantized(flags, {}, *bytes, *fallbacks);
    const auto bits = quantized_bits(*inventory, *plan, *variants);
    if (!bits) return std::unexpected(bits.error());
    const auto output = place_output(flags, flags.publishing, *bits, {flags.model, flags.plan});
    if (!output) return std::unexpected(output.error());
    const Workspace workspace(flags.model, flags.workspace);
    const unsigned threads = thread_count(flags.settings.run);
    if (auto written = quantize(*inventory, *plan, workspace, *output, threads, terminal, *variants); !written) return written;
    if (auto published = publish(flags, flags.publishing, *inventory, *plan, *variants, *output); !published) return published;
    return print_quantized(flags, *output, *bytes, *fallbacks);
}

}  // namespace

void add_quantize(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("quantize", "Write the mixed-precision GGUF of a plan");
    verb->footer(
        "Examples:\n"
        "  apreqel quantize model-f16.gguf --plan plan.json --dry-run\n"
        "  apreqel quantize model-f16.gguf --plan plan.json -o mixed.gguf\n"
        "  apreqel quantize finetune-f16.gguf --plan model.layout.json --imatrix auto -o models/\n"
        "  apreqel quantize mmproj-f16.gguf --type q8_0 -o mmproj-q8_0.gguf");
    auto flags = std::make_shared<QuantizeFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    verb->add_option("--plan", flags->plan, "The plan: a type for every layer; or a layout of another model")
        ->type_name("FILE");
    verb->add_option("--type", flags->type, "The one type of all weights of a multimodal projector (mmproj)")
        ->type_name("TYPE");
    add_output(*verb, *flags, "The GGUF to write, or a folder: then it gets a name");
    add_publishing(*verb, flags->publishing);
    verb->add_flag("--dry-run", flags->dry_run, "Print the exact size of the output and write nothing");
    add_nextn_type(*verb, *flags);
    add_importance(*verb, *flags);
    add_variants(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_quantize(*flags); }; });
}

}  // namespace apreqel
