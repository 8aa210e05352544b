#include "model/readiness.h"
#include "quantize/shape.h"
#include "quantize/write_models.h"
#include "study/study.h"
#include "study/variants.h"

#include <algorithm>
#include <map>
#include <set>

namespace apreqel {
namespace {

struct Blueprint {
    Variant embedding_type;
    std::vector<GroupVariant> groups;
    TypeAssignment assignment;
};

/// Every group a plan may give a type to, by name.
std::map<std::string, Group, std::less<>> known_groups(const Inventory& inventory)
{
    std::map<std::string, Group, std::less<>> known;
    for (const Granularity granularity : {Granularity::layer, Granularity::tensor})
        for (Group& group : groups_of(inventory, granularity)) known.emplace(group.name, group);
    return known;
}

/// The plan as types of this model's tensors.
Result<Blueprint> read_blueprint(const Inventory& inventory, const Plan& plan, std::span<const Variant> foreign)
{
    if (auto ready = check_ready(inventory, "quantize", {Task::quantize}); !ready) return std::unexpected(ready.error());
    const std::string model = inventory.files.front().string();
    if (!plan.model.empty() && plan.model != inventory.fingerprint)
        return fail("quantize {}: the plan is for another model ({}, fingerprint {})", model, plan.model_name, plan.model);
    const std::string_view usual = inventory.from_quantized() ? kSource : kEmbeddingType;
    // It is written into the file; what else goes there is checked below.
    const auto embedding = parse_embedding_type(plan.embedding_type.empty() ? usual : plan.embedding_type);
    if (!embedding) return std::unexpected(embedding.error());
    Blueprint blueprint{.embedding_type = *embedding, .groups = {}, .assignment = {}};
    const auto known = known_groups(inventory);
    std::vector<bool> assigned(inventory.tensors.size());
    for (const GroupType& entry : plan.allocation) {
        const auto group = known.find(entry.group);
        if (group == known.end()) return fail("quantize {}: the plan has a layer {}, the model has not", model, entry.group);
        const auto made = std::ranges::find(foreign, entry.type, &Variant::name);
        auto variant = made != foreign.end() ? *made : parse_variant(entry.type, !inventory.importance.empty());
        if (!variant && entry.type.starts_with(kLent))
            variant.error().hint =
                std::format("these layers are those of a file made elsewhere: --variant {}=FILE", entry.type);
        if (!variant) return std::unexpected(variant.error());
        for (const std::size_t t : group->second.tensors) {
            if (assigned[t])
                return fail("quantize {}: the plan has {} twice, in {}", model, inventory.tensors[t].name, entry.group);
            assigned[t] = true;
        }
        blueprint.groups.push_back({group->second, *variant});
    }
    for (const Group& layer : inventory.layers) {
        for (const std::size_t t : layer.tensors) {
            if (assigned[t]) continue;
            return fail("quantize {}: the plan has no type for layer {} ({})", model, layer.name, inventory.tensors[t].name);
        }
    }
    Group rest = embedding_group(inventory);
    if (!rest.tensors.empty() && !assigned[rest.tensors.front()]) blueprint.groups.push_back({std::move(rest), *embedding});
    if (auto possible = check_storage(inventory, blueprint.groups); !possible) {
        possible.error().message = std::format("quantize {}: {}", model, possible.error().message);
        return std::unexpected(possible.error());
    }
    blueprint.assignment = assign_types(inventory, blueprint.groups);
    return blueprint;
}

/// The types that the tensors of `group` have in `file`, as types with error feedback: one for the group, or one for each of the
/// `finest` groups in it. Nothing where no such type says it.
std::vector<GroupType> types_in(const Inventory& file, const Inventory& inventory, const Group& group,
                                std::span<const Group> finest)
{
    std::vector<GroupType> types;
    for (const Group& fine : finest) {
        if (!std::ranges::contains(group.tensors, fine.tensors.front())) continue;
        std::set<std::string> names;
        for (const std::size_t t : fine.tensors) {
            const Tensor& tensor = *std::ranges::find(file.tensors, inventory.tensors[t].name, &Tensor::name);
            names.insert(type_name(tensor.type) + std::string(kWithFeedback));
        }
        if (names.size() > 1 || !parse_variant(*names.begin(), true)) return {};
        types.push_back({fine.name, *names.begin()});
    }
    std::set<std::string> all;
    for (const GroupType& entry : types) all.insert(entry.type);
    if (all.size() == 1) types = {{group.name, *all.begin()}};
    return types;
}

/// What the file says of its making, under apreqel.* keys.
std::vector<std::pair<std::string, std::string>> notes_of(const Plan& plan)
{
    std::vector<std::pair<std::string, std::string>> notes{{"apreqel.version", tool_version()}};
    if (!plan.ranking.best.empty()) {
        notes.emplace_back("apreqel.method", method_name(plan.request.method));
        std::string weights;
        for (const std::size_t c : plan.objectives)
            weights += std::format("{}{}={}", weights.empty() ? "" : ",", criteria()[c].weight, plan.request.weights[c]);
        notes.emplace_back("apreqel.weights", weights);
    }
    std::string allocation;
    for (const GroupType& entry : plan.allocation)
        allocation += std::format("{}{}={}", allocation.empty() ? "" : " ", entry.group, entry.type);
    notes.emplace_back("apreqel.allocation", allocation);
    return notes;
}

ModelSpec spec_of(const Plan& plan, const Blueprint& blueprint, const std::filesystem::path& output)
{
    return {
        .path = output, .types = blueprint.assignment.types, .notes = notes_of(plan), .origins = blueprint.assignment.origins};
}

}  // namespace

Plan spelled_out(const Inventory& inventory, Plan plan, std::span<const Variant> types)
{
    const auto known = known_groups(inventory);
    const std::vector<Group> finest = groups_of(inventory, Granularity::tensor);
    std::vector<GroupType> spelled;
    for (GroupType& entry : plan.allocation) {
        const auto lent = std::ranges::find(types, entry.type, &Variant::name);
        const auto group = known.find(entry.group);
        std::vector<GroupType> own;
        if (lent != types.end() && lent->foreign && lent->feedback && group != known.end())
            own = types_in(*lent->foreign, inventory, group->second, finest);
        if (own.empty()) own.push_back(std::move(entry));
        spelled.append_range(std::move(own));
    }
    plan.allocation = std::move(spelled);
    return plan;
}

Result<> quantize(const Inventory& inventory, const Plan& plan, const Workspace& workspace, const std::filesystem::path& output,
                  unsigned threads, Monitor& monitor, std::span<const Variant> foreign, std::span<const BuiltMix> mixes)
{
    const auto blueprint = read_blueprint(inventory, plan, foreign);
    if (!blueprint) return std::unexpected(blueprint.error());
    std::set<std::filesystem::path> variants;
    for (const GroupVariant& group : blueprint->groups)
        if (!group.variant.foreign)
            variants.insert(variant_path(workspace, inventory, group.variant, blueprint->embedding_type));
    std::vector<DonorFile> donors;
    for (const auto& variant : variants) {
        const auto whole = workspace.offers(variant, monitor);
        if (!whole) return std::unexpected(whole.error());
        if (*whole) donors.emplace_back(variant);
    }
    for (const BuiltMix& mix : mixes) {
        auto made = read_blueprint(inventory, mix.plan, foreign);
        if (!made) return std::unexpected(made.error());
        donors.emplace_back(mix.path, std::move(made->assignment.origins));
    }
    const ModelSpec spec = spec_of(plan, *blueprint, output);
    return write_models(inventory, std::span(&spec, 1), donors, threads, monitor);
}

Result<> write_plan_shape(const Inventory& inventory, const Plan& plan, const std::filesystem::path& output,
                          std::span<const Variant> foreign)
{
    const auto blueprint = read_blueprint(inventory, plan, foreign);
    if (!blueprint) return std::unexpected(blueprint.error());
    return write_shape(inventory, spec_of(plan, *blueprint, output));
}

Result<std::vector<Fallback>> quantized_fallbacks(const Inventory& inventory, const Plan& plan,
                                                  std::span<const Variant> foreign)
{
    auto blueprint = read_blueprint(inventory, plan, foreign);
    if (!blueprint) return std::unexpected(blueprint.error());
    return std::move(blueprint->assignment.fallbacks);
}

Result<double> quantized_bits(const Inventory& inventory, const Plan& plan, std::span<const Variant> foreign)
{
    const auto blueprint = read_blueprint(inventory, plan, foreign);
    if (!blueprint) return std::unexpected(blueprint.error());
    return 8 * static_cast<double>(tensor_bytes(inventory, blueprint->assignment.types)) /
           static_cast<double>(inventory.parameters());
}

Result<TypeWeight> projector_quantized_to(const Inventory& projector, QuantType type)
{
    auto weights = weigh_types(projector, {type}, type);
    if (!weights) return std::unexpected(weights.error());
    return std::move(weights->front());
}

Result<> quantize_projector(const Inventory& projector, QuantType type, const std::filesystem::path& output, unsigned threads,
                            Monitor& monitor)
{
    if (auto precise = check_full_precision(projector); !precise)
        return fail("quantize {}: {}", projector.files.front().string(), precise.error().message);
    TypeAssignment assignment = assign_types(projector, type, type);
    const ModelSpec spec{
        .path = output, .types = std::move(assignment.types), .notes = {}, .origins = std::move(assignment.origins)};
    return write_models(projector, std::span(&spec, 1), {}, threads, monitor);
}

Result<std::uint64_t> quantized_bytes(const Inventory& inventory, const Plan& plan, std::span<const Variant> foreign)
{
    const auto blueprint = read_blueprint(inventory, plan, foreign);
    if (!blueprint) return std::unexpected(blueprint.error());
    return file_bytes(inventory, spec_of(plan, *blueprint, {}));
}

}  // namespace apreqel
