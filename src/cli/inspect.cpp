#include "base/printable.h"
#include "cli/flags.h"
#include "cli/quantity.h"
#include "cli/verbs.h"
#include "model/readiness.h"
#include "report/table.h"

#include <algorithm>
#include <array>
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
std::string_view destination(const Inventory& inventory, std::size_t index)
{
    switch (inventory.tensors[index].place) {
        case TensorPlace::fixed: return "kept";
        case TensorPlace::embedding: return "embedding type";
        case TensorPlace::layer: break;
    }
    const auto holds = [&](const Group& layer) { return std::ranges::contains(layer.tensors, index); };
    return std::ranges::find_if(inventory.layers, holds)->part == kFfn ? "ffn" : "attention";
}

/// What each verb needs of a model.
struct Need {
    std::string_view verb;
    std::initializer_list<Task> tasks;
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
                           Need{"run", {Task::load, Task::text, Task::quantize, Task::score}},
                           Need{"run --method front", {Task::load, Task::text, Task::quantize}},
                           Need{"study", {Task::load, Task::text, Task::quantize, Task::score}}};
    std::string supported;
    std::string unsupported;
    for (const Need& need : needs) {
        const bool prevented = std::ranges::any_of(
            inventory.obstacles, [&](const Obstacle& obstacle) { return std::ranges::contains(need.tasks, obstacle.task); });
        std::string& verbs = prevented ? unsupported : supported;
        verbs += std::format("{}{}", verbs.empty() ? "" : ", ", need.verb);
    }
    std::string text = std::format("Supported: {}.", supported.empty() ? "nothing" : supported);
    if (!unsupported.empty()) text += std::format("\nNot supported: {}.", unsupported);
    for (const Obstacle& obstacle : inventory.obstacles)
        text += std::format("\n{}: {}.", impossibility(obstacle.task), obstacle.reason);
    return text;
}

std::string describe(const Inventory& inventory, const std::vector<TypeWeight>& weights, bool tensors)
{
    const double bytes = static_cast<double>(inventory.size_bytes());
    std::string text = std::format("{}: {}, {} blocks, {} layers, {} parameters, {} ({:.2f} bpw)",
                                   printable_line(inventory.name), printable_line(inventory.architecture), inventory.blocks,
                                   inventory.layers.size(), format_count(static_cast<double>(inventory.parameters())),
                                   format_bytes(bytes), 8 * bytes / static_cast<double>(inventory.parameters()));
    if (inventory.experts > 0) text += std::format(", {} experts", inventory.experts);
    if (inventory.tied_embeddings) text += ", embedding tied to output";
    if (inventory.files.size() > 1) text += std::format(", {} shards", inventory.files.size());
    if (!inventory.importance.empty()) text += std::format("\nImportance matrix: {}", inventory.importance);
    text += std::format("\n{}\n\n{}", support(inventory), tensors ? tensors_table(inventory) : roles_table(inventory));
    if (weights.empty())
        return text + "\nIt is quantized already: give the full-precision model to see what each type would weigh.\n";
    return text + "\n" + types_table(weights);
}

Result<> run_inspect(const InspectFlags& flags)
{
    if (flags.imatrix == kOwnImportance) {
        return std::unexpected(Error{ErrorCode::usage, "inspect: --imatrix auto would run the model, which inspect does not",
                                     "apreqel imatrix MODEL -o imatrix.gguf writes one to name here"});
    }
    const auto inventory = open_model(flags);
    if (!inventory) return std::unexpected(inventory.error());
    auto types = parse_types(flags.types, !flags.imatrix.empty(), flags.weigh_types);
    if (!types) return std::unexpected(types.error());
    const auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    types->append_range(*variants);
    const auto embedding = parse_type(trimmed(flags.embedding_type));
    if (!embedding) return std::unexpected(embedding.error());
    std::vector<TypeWeight> weights;
    if (check_full_precision(*inventory)) {
        auto weighed = weigh_types(*inventory, *types, *embedding);
        if (!weighed) return std::unexpected(weighed.error());
        weights = std::move(*weighed);
    }
    return print_result(flags.json ? to_json(*inventory, weights) : describe(*inventory, weights, flags.tensors), flags.json);
}

}  // namespace

void add_inspect(CLI::App& app, Action& chosen)
{
    CLI::App* verb =
        app.add_subcommand("inspect", "Show blocks, layers, tensors, what each type would weigh, and what falls back");
    verb->footer(
        "Examples:\n"
        "  apreqel inspect model-f16.gguf\n"
        "  apreqel inspect model-f16.gguf --types q2_K,iq4_xs --tensors");
    auto flags = std::make_shared<InspectFlags>();
    add_model(*verb, *flags);
    add_imatrix_file(*verb, *flags);
    add_palette(*verb, *flags);
    verb->add_flag("--tensors", flags->tensors, "List every tensor instead of one row per role");
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_inspect(*flags); }; });
}

}  // namespace apreqel
