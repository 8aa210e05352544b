#include "study/outline.h"

#include "study/text.h"

#include <algorithm>

namespace apreqel {

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
    Sensitivity sensitivity{
        .model = inventory.fingerprint,
        .model_name = inventory.name,
        .text = calibration_source(study),
        .version = tool_version(study.platform().libllama),
        .fixed_bytes = tensor_bytes(inventory, assign_types(inventory, std::span<const GroupVariant>()).types),
        .kv_bytes_per_token = inventory.kv_bytes_per_token,
        .types = {},
        .groups = {},
        .separability = {}};
    for (const Group& group : groups) {
        for (const std::size_t t : group.tensors) sensitivity.fixed_bytes -= inventory.tensors[t].size_bytes;
        sensitivity.groups.push_back({.group = group.name,
                                      .layer = group.layer,
                                      .part = group.part,
                                      .parameters = group.parameters,
                                      .fixed_type = group.part == kEmbedding ? study.settings.embedding_type.name : "",
                                      .probes = {}});
    }
    return sensitivity;
}

}  // namespace apreqel
