#include "study/outline.h"

#include "study/text.h"

#include <algorithm>

namespace apreqel {

std::vector<Group> probed_groups(const Inventory& inventory, Granularity granularity)
{
    std::vector<Group> groups = groups_of(inventory, granularity);
    groups.push_back(embedding_group(inventory));
    return groups;
}

TypeAssignment assign_all(const Inventory& inventory, std::span<const Group> groups, const Variant& variant)
{
    std::vector<GroupVariant> all;
    for (const Group& group : groups)
        if (can_store(inventory, group, variant)) all.push_back({group, variant});
    return assign_types(inventory, all);
}

std::uint64_t bytes_of(const Inventory& inventory, const Group& group, std::span<const QuantType> types)
{
    std::uint64_t bytes = 0;
    for (const std::size_t t : group.tensors) {
        const Tensor& tensor = inventory.tensors[t];
        bytes += static_cast<std::uint64_t>(tensor.rows()) * row_bytes(types[t], tensor.columns());
    }
    return bytes;
}

Sensitivity outline(const Study& study, std::span<const Group> groups)
{
    const Inventory& inventory = study.inventory;
    Sensitivity sensitivity{.model = inventory.fingerprint,
                            .model_name = inventory.name,
                            .text = calibration_source(study),
                            .version = tool_version(),
                            .embedding_type = type_name(study.settings.embedding_type),
                            .types = {},
                            .layers = {},
                            .separability = {}};
    for (const Group& group : groups)
        sensitivity.layers.push_back({.layer = group.name, .parameters = group.parameters, .probes = {}});
    sensitivity.embedding = std::move(sensitivity.layers.back());
    sensitivity.layers.pop_back();
    const QuantType embedding = study.settings.embedding_type;
    const std::vector<QuantType> types = assign_types(inventory, embedding, embedding).types;
    sensitivity.embedding_bytes = bytes_of(inventory, groups.back(), types);
    sensitivity.fixed_bytes = tensor_bytes(inventory, types);
    for (const Group& group : groups.first(groups.size() - 1))
        sensitivity.fixed_bytes -= bytes_of(inventory, group, types);
    // Keys and values have as many columns as their projections have rows; a fused projection has those of the queries too,
    // which are as wide as the model.
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        std::int64_t columns = 0;
        if (tensor.role == "attn_k" || tensor.role == "attn_v") columns = tensor.rows();
        if (tensor.role == "attn_qkv") columns = tensor.rows() - tensor.columns();
        sensitivity.kv_bytes_per_token += 2 * static_cast<std::uint64_t>(std::max<std::int64_t>(columns, 0));
    }
    return sensitivity;
}

}  // namespace apreqel
