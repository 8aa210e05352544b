#include "quantize/write_models.h"

#include <ggml.h>

#include <algorithm>

namespace apreqel {
namespace {

/// The type llama.cpp takes in place of `type` for rows that are not a multiple of its block: about as many bits in blocks
/// of 32 (src/llama-quant.cpp, tensor_type_fallback). Where it gives up, or 32 does not fit either: f16.
QuantType fallback_for(QuantType type, std::int64_t columns)
{
    QuantType narrow{GGML_TYPE_F16};
    switch (type.id) {
        case GGML_TYPE_IQ1_S:
        case GGML_TYPE_IQ1_M:
        case GGML_TYPE_IQ2_XXS:
        case GGML_TYPE_IQ2_XS:
        case GGML_TYPE_IQ2_S:
        case GGML_TYPE_IQ3_XXS:
        case GGML_TYPE_IQ3_S:
        case GGML_TYPE_IQ4_XS: narrow.id = GGML_TYPE_IQ4_NL; break;
        case GGML_TYPE_Q2_0:
        case GGML_TYPE_Q2_K:
        case GGML_TYPE_Q3_K:
        case GGML_TYPE_TQ1_0:
        case GGML_TYPE_TQ2_0: narrow.id = GGML_TYPE_Q4_0; break;
        case GGML_TYPE_Q4_K: narrow.id = GGML_TYPE_Q5_0; break;
        case GGML_TYPE_Q5_K: narrow.id = GGML_TYPE_Q5_1; break;
        case GGML_TYPE_Q6_K: narrow.id = GGML_TYPE_Q8_0; break;
        default: break;
    }
    return columns % block_size(narrow) == 0 ? narrow : QuantType{GGML_TYPE_F16};
}

}  // namespace

TypeAssignment assign_types(const Inventory& inventory, std::span<const GroupVariant> groups)
{
    TypeAssignment assignment;
    for (const Tensor& tensor : inventory.tensors) assignment.types.push_back(tensor.type);
    assignment.origins.resize(inventory.tensors.size());
    for (const auto& [group, variant] : groups) {
        for (const std::size_t t : group.tensors) {
            const Tensor& tensor = inventory.tensors[t];
            assignment.origins[t] = {.importance = variant.importance, .foreign = variant.foreign};
            if (variant.foreign) {
                assignment.types[t] = std::ranges::find(variant.foreign->tensors, tensor.name, &Tensor::name)->type;
                continue;
            }
            assignment.types[t] = variant.type;
            if (tensor.columns() % block_size(variant.type) == 0) continue;
            assignment.types[t] = fallback_for(variant.type, tensor.columns());
            const std::string layer(tensor.place == TensorPlace::layer ? group.name : "");
            assignment.fallbacks.push_back({layer, tensor.name, variant.name, type_name(assignment.types[t]),
                                            static_cast<std::uint64_t>(tensor.columns())});
        }
    }
    return assignment;
}

TypeAssignment assign_types(const Inventory& inventory, std::span<const Variant> layers, const Variant& embedding)
{
    std::vector<GroupVariant> groups{{embedding_group(inventory), embedding}};
    for (std::size_t l = 0; l < layers.size(); ++l) groups.push_back({inventory.layers[l], layers[l]});
    return assign_types(inventory, groups);
}

TypeAssignment assign_types(const Inventory& inventory, const Variant& layers, const Variant& embedding)
{
    return assign_types(inventory, std::vector(inventory.layers.size(), layers), embedding);
}

std::uint64_t tensor_bytes(const Inventory& inventory, std::span<const QuantType> types)
{
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        sum += static_cast<std::uint64_t>(tensor.rows()) * row_bytes(types[i], tensor.columns());
    }
    return sum;
}

}  // namespace apreqel
