#include "base/file.h"
#include "base/printable.h"
#include "cli/flags.h"
#include "cli/quantity.h"
#include "cli/verbs.h"
#include "model/readiness.h"
#include "report/table.h"

#include <array>
#include <map>
#include <memory>

namespace apreqel {
namespace {

struct InspectFlags : Flags {
    bool tensors = false;
};

std::string shape_of(const Tensor& tensor)
{
    std::string text = std::to_string(tensor.shape[0]);
    for (std::size_t d = 1; d < tensor.shape.size(); ++d) {
        if (tensor.shape[d] > 1) text += std::format(" × {}", tensor.shape[d]);
    }
    return text;
}

/// What decides the type of tensor `index`.
std::string destination(const Inventory& inventory, std::size_t index)
{
    switch (inventory.tensors[index].place) {
        case TensorPlace::inert: return type_name(inventory.inert_type) + ", as text never reaches it";
        case TensorPlace::fixed: return "kept";
        case TensorPlace::embedding: return "embedding type";
        case TensorPlace::layer: break;
    }
    const auto holds = [&](const Group& layer) { return std::ranges::contains(layer.tensors, index); };
    return std::ranges::find_if(inventory.layers, holds)->part == kFfn ? "ffn" : "attention";
}

/// Tensors of one role, shape, type and destination in one row.
std::string roles_table(const Inventory& inventory)
{
    struct Group {
        std::vector<std::string> cells;
        std::size_t tensors = 0;
        double parameters = 0;
    };
    std::vector<Group> groups;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        std::vector<std::string> cells{tensor.role, destination(inventory, t), shape_of(tensor), type_name(tensor.type)};
        auto group = std::ranges::find(groups, cells, &Group::cells);
        if (group == groups.end()) group = groups.insert(groups.end(), Group{.cells = std::move(cells)});
        ++group->tensors;
        group->parameters += static_cast<double>(tensor.elements());
    }
    std::vector<std::vector<std::string>> rows{{"role", "takes the type of", "shape", "source", "tensors", "parameters"}};
    for (Group& group : groups) {
        group.cells.push_back(std::to_string(group.tensors));
        group.cells.push_back(format_count(group.parameters));
        rows.push_back(std::move(group.cells));
    }
    return format_table(rows);
}

std::string tensors_table(const Inventory& inventory)
{
    std::vector<std::vector<std::string>> rows{{"tensor", "takes the type of", "shape", "source", "bytes"}};
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        rows.push_back({tensor.name, destination(inventory, t), shape_of(tensor), type_name(tensor.type),
                        std::to_string(tensor.size_bytes)});
    }
    return format_table(rows);
}

std::string types_table(const std::vector<TypeWeight>& weights)
{
    std::vector<std::vector<std::string>> rows{
        {"all layers", "bpw of the type", "memory", "bpw of the file", "file, bytes", "fallbacks"}};
    for (const TypeWeight& weight : weights) {
        const auto type = parse_type(weight.type);
        rows.push_back({weight.type, type ? std::format("{:.4f}", bits_per_weight(*type)) : "",
                        format_bytes(static_cast<double>(weight.tensor_bytes)), std::format("{:.3f}", weight.bits_per_weight),
                        std::to_string(weight.file_bytes), std::to_string(weight.fallbacks.size())});
    }
    std::vector<Fallback> fallbacks;
    for (const TypeWeight& weight : weights) fallbacks.append_range(weight.fallbacks);
    return format_table(rows) + format_fallbacks(fallbacks);
}

/// What each verb needs of a model.
struct Need {
    std::string_view verb;
    std::vector<Task> tasks;
};

/// What can be done with the model, and what cannot and why.
std::string support(const Inventory& inventory)
{
    const std::array needs{Need{"score", {Task::load, Task::text, Task::score}},
                           Need{"imatrix", {Task::load, Task::text}},
                           Need{"sense", {Task::load, Task::text, Task::quantize}},
                           Need{"profile", {Task::load, Task::text, Task::quantize}},
                           Need{"quantize", {Task::quantize}},
                           Need{"measure", {Task::load, Task::text}},
                           Need{"run", {Task::load, Task::text, Task::quantize}},
                           Need{"run --method paper", {Task::load, Task::text, Task::quantize, Task::score}},
                           Need{"study", {Task::load, Task::text, Task::quantize, Task::score}}};
    std::string supported;
    std::string unsupported;
    for (const Need& need : needs) {
        const bool precise_only = need.verb == "study" && inventory.from_quantized();
        const bool prevented = precise_only || std::ranges::any_of(inventory.obstacles, [&](const Obstacle& obstacle) {
                                   return std::ranges::contains(need.tasks, obstacle.task);
                               });
        std::string& verbs = prevented ? unsupported : supported;
        verbs += std::format("{}{}", verbs.empty() ? "" : ", ", need.verb);
    }
    std::string text = std::format("Supported: {}.", supported.empty() ? "nothing" : supported);
    if (!unsupported.empty()) text += std::format("\nNot supported: {}.", unsupported);
    if (inventory.from_quantized())
        text += "\nIt is quantized: quality is relative to this file, and study is of full-precision models.";
    for (const Obstacle& obstacle : inventory.obstacles)
        text += std::format("\n{}: {}.", impossibility(obstacle.task), obstacle.reason);
    return text;
}

/// The types that run chooses from, and what becomes of the paper's where they do not fit.
std::string palette(const Inventory& inventory)
{
    std::string names;
    for (const Variant& variant : fitting_types(inventory)) names += (names.empty() ? "" : ",") + variant.name;
    const std::string misfits = describe_misfits(inventory, *parse_types(std::string(kPaperTypes), false));
    return std::format("Types that fit: {}\n{}", names, misfits.empty() ? "" : misfits + "\n");
}

std::string describe(const Inventory& inventory, const std::vector<TypeWeight>& weights, const ContextMemory& context,
                     bool tensors)
{
    const double bytes = static_cast<double>(inventory.size_bytes());
    std::string text = std::format("{}: {}, {} blocks, {} layers, {} parameters, {} ({:.2f} bpw)",
                                   printable_line(inventory.name), printable_line(inventory.architecture), inventory.blocks,
                                   inventory.layers.size(), format_count(static_cast<double>(inventory.parameters())),
                                   format_bytes(bytes), 8 * bytes / static_cast<double>(inventory.parameters()));
    if (inventory.extra_blocks > 0)
        text +=
            std::format(", {} extra for multi-token prediction in {}", inventory.extra_blocks, type_name(inventory.inert_type));
    if (inventory.experts > 0) text += std::format(", {} experts", inventory.experts);
    if (inventory.tied_embeddings) text += ", embedding tied to output";
    if (inventory.files.size() > 1) text += std::format(", {} shards", inventory.files.size());
    text += inventory.kv_bytes_per_token == 0
                ? "\nKV cache: not the same for every token"
                : std::format("\nKV cache: {} a token in f16", format_bytes(static_cast<double>(inventory.kv_bytes_per_token)));
    text += context.tokens == 0 ? "; --kv-context N tells what a context takes" : "\n" + format_context(context);
    if (!inventory.importance.empty()) text += std::format("\nImportance matrix: {}", inventory.importance);
    if (!inventory.unknown.empty()) {
        text += "\nNot known, kept as they are:";
        for (const std::string& name : inventory.unknown) text += " " + printable_line(name);
    }
    text += std::format("\n{}\n\n{}", support(inventory), tensors ? tensors_table(inventory) : roles_table(inventory));
    if (weights.empty())
        return text +
               "\nIt is quantized already: give the full-precision model to see what each type would weigh, or add "
               "--from-quantized.\n";
    return text + "\n" + palette(inventory) + "\n" + types_table(weights);
}

Result<> inspect_projector(const InspectFlags& flags)
{
    if (!flags.output.empty()) return usage_error("inspect: a multimodal projector has no shape that could be timed");
    const auto projector = read_projector(flags.model);
    if (!projector) return std::unexpected(projector.error());
    if (flags.json) return print_result(to_json(*projector, {}, {}), true);
    const std::string text = std::format(
        "{}: {}, a multimodal projector (mmproj), {} parameters, {}\nSupported: quantize --type. It has no blocks of text: the "
        "other verbs take the language model that goes with it.\n\n{}",
        printable_line(projector->name), printable_line(projector->architecture),
        format_count(static_cast<double>(projector->parameters())), format_bytes(static_cast<double>(projector->size_bytes())),
        flags.tensors ? tensors_table(*projector) : roles_table(*projector));
    return print_result(text, false);
}

Result<> run_inspect(const InspectFlags& flags)
{
    if (flags.imatrix == kOwnImportance) {
        return std::unexpected(Error{ErrorCode::usage, "inspect: --imatrix auto would run the model, which inspect does not",
                                     "apreqel imatrix MODEL -o imatrix.gguf writes one to name here"});
    }
    if (is_projector(flags.model).value_or(false)) return inspect_projector(flags);
    if (!flags.output.empty())
        if (auto writable = check_output(flags.output, flags.force, {flags.model}); !writable) return writable;
    const auto inventory = open_model(flags);
    if (!inventory) return std::unexpected(inventory.error());
    auto types = types_of(flags, *inventory);
    if (!types) return std::unexpected(types.error());
    const auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    types->append_range(*variants);
    const auto embedding = embedding_type_of(flags, *inventory);
    if (!embedding) return std::unexpected(embedding.error());
    Terminal terminal(flags.quiet);
    types = with_source(std::move(*types), *inventory, terminal);
    if (!types) return std::unexpected(types.error());
    std::vector<TypeWeight> weights;
    if (check_full_precision(*inventory)) {
        auto weighed = weigh_types(*inventory, *types, *embedding);
        if (!weighed) return std::unexpected(weighed.error());
        weights = std::move(*weighed);
    }
    const auto context =
        llama_runtime()->context_memory(inventory->files.front(), flags.settings.run, flags.settings.context, terminal);
    if (!context) return std::unexpected(context.error());
    if (!flags.output.empty()) {
        const auto shape = shape_of(*inventory);
        if (!shape) return std::unexpected(shape.error());
        if (auto written = write_text(flags.output, to_json(*shape)); !written) return written;
    }
    return print_result(
        flags.json ? to_json(*inventory, weights, *context) : describe(*inventory, weights, *context, flags.tensors),
        flags.json);
}

}  // namespace

void add_inspect(CLI::App& app, Action& chosen)
{
    CLI::App* verb =
        app.add_subcommand("inspect", "Show blocks, layers, tensors, what each type would weigh, and what falls back");
    verb->footer(
        "Examples:\n"
        "  apreqel inspect model-f16.gguf\n"
        "  apreqel inspect model-f16.gguf --types q2_K,iq4_xs --tensors\n"
        "  apreqel inspect model-f16.gguf -o shape.json      for bench on another device");
    auto flags = std::make_shared<InspectFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    add_imatrix_file(*verb, *flags);
    add_palette(*verb, *flags, UsualTypes::fitting);
    add_context(*verb, *flags);
    add_renamed(*verb, "--context", "--kv-context");
    add_cache_types(*verb, *flags);
    verb->add_flag("--tensors", flags->tensors, "List every tensor instead of one row per role");
    add_output(*verb, *flags, "Write the model's shape here, kilobytes without weights: all that bench needs of it");
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_inspect(*flags); }; });
}

}  // namespace apreqel
