#include "quantize/assign_types.h"

#include <ggml.h>

#include <algorithm>
#include <map>

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

/// Largest row that is converted as a whole: real ones have thousands of weights. Bounds memory.
constexpr std::int64_t kMaxColumns = 16 << 20;

constexpr std::string_view kNoImportance = "needs an importance matrix";

/// The type of a tensor that is in no group.
QuantType ungrouped_type(const Tensor& tensor, QuantType inert)
{
    const bool kept = tensor.place != TensorPlace::inert || !is_full_precision(tensor.type) || tensor.columns() > kMaxColumns;
    return kept ? tensor.type : storage_of(tensor, inert).type;
}

/// "attn_q × 30, ffn_up × 2", in the model's order.
std::string count_roles(const Inventory& inventory, const std::vector<std::size_t>& tensors)
{
    std::vector<std::pair<std::string, std::size_t>> roles;
    for (const std::size_t t : tensors) {
        const std::string& role = inventory.tensors[t].role;
        auto known = std::ranges::find(roles, role, &std::pair<std::string, std::size_t>::first);
        if (known == roles.end()) known = roles.insert(roles.end(), {role, 0});
        ++known->second;
    }
    std::string text;
    for (const auto& [role, count] : roles) text += std::format("{}{} × {}", text.empty() ? "" : ", ", role, count);
    return text;
}

/// What is wrong with storing `tensors` as `variant`.
Error refusal(const Inventory& inventory, const std::string& variant, const std::string& obstacle,
              const std::vector<std::size_t>& tensors)
{
    const std::string roles = count_roles(inventory, tensors);
    if (obstacle != kNoImportance)
        return {ErrorCode::usage, std::format("quantization type {}: {}: {}", variant, roles, obstacle)};
    if (inventory.importance.empty())
        return {ErrorCode::usage, std::format("quantization type {}: needs an importance matrix for {}", variant, roles),
                "give one with --imatrix FILE, or collect one with --imatrix auto"};
    return {ErrorCode::usage,
            std::format("quantization type {}: needs an importance matrix for {}: {}, not these", variant, roles,
                        inventory.importance),
            "collect one that covers them with apreqel imatrix, or choose a type that needs none there"};
}

}  // namespace

bool is_rounded_with_feedback(const Tensor& tensor, QuantType type, const TensorOrigin& origin)
{
    return origin.feedback && tensor.hessian && is_quantized(type) && type != tensor.type &&
           tensor.columns() % block_size(type) == 0 && check_target_type(type, true);
}

std::string obstacle_to(const Tensor& tensor, QuantType type, const TensorOrigin& origin)
{
    if (origin.foreign) {
        if (tensor.place == TensorPlace::embedding) return "a file made elsewhere is used for layers only";
        return std::ranges::contains(origin.foreign->tensors, tensor.name, &Tensor::name) ? "" : "the file has no such tensor";
    }
    if (type == tensor.type) return {};
    if (tensor.place == TensorPlace::fixed) return "llama.cpp keeps this tensor as it is";
    if (!is_full_precision(tensor.type) && !tensor.requantize)
        return std::format("it is {} already: quantizing twice adds up errors", type_name(tensor.type));
    if (!is_full_precision(type)) {
        if (!check_target_type(type, true)) return "no type that weights can be quantized to";
        const bool weighted = origin.importance && tensor.importance;
        if (!check_target_type(type, weighted)) return std::string(kNoImportance);
    }
    if (tensor.columns() % block_size(type) != 0) return std::format("its rows of {} weights do not fit", tensor.columns());
    if (tensor.columns() > kMaxColumns)
        return std::format("a row of {} weights, at most {} are supported", tensor.columns(), kMaxColumns);
    return {};
}

Storage storage_of(const Tensor& tensor, const Variant& variant)
{
    if (variant.as_it_is) return {.type = tensor.type, .origin = {}, .fallback = false, .obstacle = {}};
    Storage storage{.type = variant.type,
                    .origin = {.importance = variant.importance || variant.foreign,
                               .feedback = variant.feedback,
                               .foreign = variant.foreign},
                    .fallback = false,
                    .obstacle = {}};
    if (variant.foreign) {
        const auto made = std::ranges::find(variant.foreign->tensors, tensor.name, &Tensor::name);
        storage.type = made != variant.foreign->tensors.end() ? made->type : tensor.type;
    } else if (tensor.columns() % block_size(variant.type) != 0) {
        storage.fallback = true;
        storage.type = fallback_for(variant.type, tensor.columns());
    }
    if (tensor.requantize && !variant.foreign &&
        row_bytes(storage.type, tensor.columns()) > row_bytes(tensor.type, tensor.columns()))
        return {.type = tensor.type, .origin = {}, .fallback = false, .obstacle = {}};
    storage.obstacle = obstacle_to(tensor, storage.type, storage.origin);
    return storage;
}

double bits_per_weight(const Inventory& inventory, const Variant& variant)
{
    if (!variant.foreign && !variant.as_it_is && !inventory.from_quantized()) return bits_per_weight(variant.type);
    double bytes = 0;
    double weights = 0;
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        const QuantType type = storage_of(tensor, variant).type;
        bytes += static_cast<double>(tensor.rows()) * static_cast<double>(row_bytes(type, tensor.columns()));
        weights += static_cast<double>(tensor.elements());
    }
    return 8 * bytes / weights;
}

bool keeps(const Inventory& inventory, const Group& group, const Variant& variant)
{
    if (variant.as_it_is || variant.foreign || !inventory.from_quantized()) return false;
    return std::ranges::all_of(group.tensors, [&](std::size_t t) {
        return storage_of(inventory.tensors[t], variant).type == inventory.tensors[t].type;
    });
}

bool keeps(const Inventory& inventory, const Variant& variant)
{
    return std::ranges::all_of(groups_of(inventory, Granularity::layer),
                               [&](const Group& group) { return keeps(inventory, group, variant); });
}

bool can_store(const Inventory& inventory, const Group& group, const Variant& variant)
{
    return !keeps(inventory, group, variant) && std::ranges::all_of(group.tensors, [&](std::size_t t) {
        return storage_of(inventory.tensors[t], variant).obstacle.empty();
    });
}

Result<> check_storage(const Inventory& inventory, std::span<const GroupVariant> groups)
{
    // By variant and obstacle. The first in the order of the groups is reported, with all its tensors.
    std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> refused;
    std::pair<std::string, std::string> first;
    for (const auto& [group, variant] : groups) {
        for (const std::size_t t : group.tensors) {
            const std::string obstacle = storage_of(inventory.tensors[t], variant).obstacle;
            if (obstacle.empty()) continue;
            if (refused.empty()) first = {variant.name, obstacle};
            refused[{variant.name, obstacle}].push_back(t);
        }
    }
    if (refused.empty()) return {};
    return std::unexpected(refusal(inventory, first.first, first.second, refused[first]));
}

Result<> check_storage(const Inventory& inventory, std::span<const Variant> variants, const Variant& embedding)
{
    std::vector<GroupVariant> groups{{embedding_group(inventory), embedding}};
    for (const Variant& variant : variants)
        for (const Group& layer : inventory.layers) groups.push_back({layer, variant});
    return check_storage(inventory, groups);
}

TypeAssignment assign_types(const Inventory& inventory, std::span<const GroupVariant> groups)
{
    TypeAssignment assignment;
    for (const Tensor& tensor : inventory.tensors) assignment.types.push_back(ungrouped_type(tensor, inventory.inert_type));
    assignment.origins.resize(inventory.tensors.size());
    for (const auto& [group, variant] : groups) {
        for (const std::size_t t : group.tensors) {
            const Tensor& tensor = inventory.tensors[t];
            Storage storage = storage_of(tensor, variant);
            assignment.types[t] = storage.type;
            assignment.origins[t] = std::move(storage.origin);
            if (!storage.fallback) continue;
            const std::string layer(tensor.place == TensorPlace::layer ? group.name : "");
            assignment.fallbacks.push_back(
                {layer, tensor.name, variant.name, type_name(storage.type), static_cast<std::uint64_t>(tensor.columns())});
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
