#include "quantize/write_models.h"
#include "study/study.h"
#include "study/variants.h"

#include <algorithm>
#include <map>

namespace apreqel {
namespace {

struct Blueprint {
    QuantType embedding_type;
    std::vector<QuantType> layer_types;
    TypeAssignment assignment;
};

/// The plan as types of this model's tensors.
Result<Blueprint> read_blueprint(const Inventory& inventory, const Plan& plan)
{
    if (!plan.model.empty() && plan.model != inventory.fingerprint) {
        return fail("quantize {}: the plan is for another model ({}, fingerprint {})", inventory.files.front().string(),
                    plan.model_name, plan.model);
    }
    const auto embedding = parse_type(plan.embedding_type.empty() ? kEmbeddingType : plan.embedding_type);
    if (!embedding) return std::unexpected(embedding.error());
    Blueprint blueprint{
        .embedding_type = *embedding, .layer_types = std::vector<QuantType>(inventory.layers.size()), .assignment = {}};
    std::vector<bool> assigned(inventory.layers.size());
    for (const LayerType& entry : plan.allocation) {
        const auto layer = inventory.find_layer(entry.layer);
        if (!layer)
            return fail("quantize {}: the plan has a layer {}, the model has not", inventory.files.front().string(),
                        entry.layer);
        if (assigned[*layer])
            return fail("quantize {}: the plan has layer {} twice", inventory.files.front().string(), entry.layer);
        const auto type = parse_type(entry.type);
        if (!type) return std::unexpected(type.error());
        if (auto possible = check_target_type(*type, !inventory.importance.empty()); !possible)
            return std::unexpected(possible.error());
        blueprint.layer_types[*layer] = *type;
        assigned[*layer] = true;
    }
    if (const auto missing = std::ranges::find(assigned, false); missing != assigned.end()) {
        const auto& layer = inventory.layers[static_cast<std::size_t>(missing - assigned.begin())];
        return fail("quantize {}: the plan has no type for layer {}", inventory.files.front().string(), layer.name);
    }
    blueprint.assignment = assign_types(inventory, blueprint.layer_types, *embedding);
    return blueprint;
}

/// What the file says of its making, under apreqel.* keys.
std::vector<std::pair<std::string, std::string>> notes_of(const Plan& plan, const Inventory& inventory)
{
    std::vector<std::pair<std::string, std::string>> notes{{"apreqel.version", tool_version()}};
    if (!inventory.importance.empty()) notes.emplace_back("apreqel.importance", inventory.importance);
    if (!plan.method.empty()) notes.emplace_back("apreqel.method", plan.method);
    if (!plan.ranking.best.empty()) {
        notes.emplace_back("apreqel.weights",
                           std::format("memory={},latency={},accuracy={}", plan.weights[0], plan.weights[1], plan.weights[2]));
    }
    std::string allocation;
    for (const LayerType& entry : plan.allocation)
        allocation += std::format("{}{}={}", allocation.empty() ? "" : " ", entry.layer, entry.type);
    notes.emplace_back("apreqel.allocation", allocation);
    return notes;
}

ModelSpec spec_of(const Plan& plan, const Inventory& inventory, const Blueprint& blueprint, const std::filesystem::path& output)
{
    return {.path = output, .types = blueprint.assignment.types, .notes = notes_of(plan, inventory)};
}

}  // namespace

Result<> quantize(const Inventory& inventory, const Plan& plan, const Workspace& workspace, const std::filesystem::path& output,
                  unsigned threads, Monitor& monitor)
{
    if (auto precise = check_full_precision(inventory); !precise) return precise;
    const auto blueprint = read_blueprint(inventory, plan);
    if (!blueprint) return std::unexpected(blueprint.error());
    for (const Fallback& entry : blueprint->assignment.fallbacks) {
        monitor.warn(std::format("{} cannot be {} (its rows do not divide into blocks): it is {}", entry.tensor, entry.wanted,
                                 entry.used));
    }
    std::vector<QuantType> types = blueprint->layer_types;
    std::ranges::sort(types);
    const auto repeated = std::ranges::unique(types);
    types.erase(repeated.begin(), repeated.end());
    std::vector<std::filesystem::path> donors;
    for (const QuantType type : types) {
        auto variant = variant_path(workspace, inventory, type, blueprint->embedding_type);
        if (std::filesystem::exists(variant)) donors.push_back(std::move(variant));
    }
    const ModelSpec spec = spec_of(plan, inventory, *blueprint, output);
    return write_models(inventory, std::span(&spec, 1), donors, threads, monitor);
}

Result<std::uint64_t> quantized_bytes(const Inventory& inventory, const Plan& plan)
{
    const auto blueprint = read_blueprint(inventory, plan);
    if (!blueprint) return std::unexpected(blueprint.error());
    return file_bytes(inventory, spec_of(plan, inventory, *blueprint, {}));
}

}  // namespace apreqel
