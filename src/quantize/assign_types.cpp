#include "quantize/write_models.h"

#include <ggml.h>

#include <numeric>

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

void assign(TypeAssignment& assignment, const Inventory& inventory, const std::string& layer, std::size_t index,
            QuantType wanted)
{
    const Tensor& tensor = inventory.tensors[index];
    QuantType used = wanted;
    if (tensor.columns() % block_size(wanted) != 0) {
        used = fallback_for(wanted, tensor.columns());
        assignment.fallbacks.push_back({layer, tensor.name, type_name(wanted), type_name(used)});
    }
    assignment.types[index] = used;
}

}  // namespace

TypeAssignment assign_types(const Inventory& inventory, std::span<const QuantType> layer_types, QuantType embedding_type)
{
    TypeAssignment assignment;
    for (const Tensor& tensor : inventory.tensors) assignment.types.push_back(tensor.type);
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        if (inventory.tensors[i].place == TensorPlace::embedding) assign(assignment, inventory, "", i, embedding_type);
    }
    for (std::size_t layer = 0; layer < inventory.layers.size(); ++layer) {
        const Layer& members = inventory.layers[layer];
        for (const std::size_t tensor : members.tensors)
            assign(assignment, inventory, members.name, tensor, layer_types[layer]);
    }
    return assignment;
}

TypeAssignment assign_types(const Inventory& inventory, QuantType layer_type, QuantType embedding_type)
{
    return assign_types(inventory, std::vector(inventory.layers.size(), layer_type), embedding_type);
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
