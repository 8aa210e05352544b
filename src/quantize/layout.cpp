#include "quantize/layout.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <map>
#include <set>

namespace apreqel {
namespace {

/// Largest row that is converted as a whole: real ones have thousands of weights. Bounds memory.
constexpr std::int64_t kMaxColumns = 16 << 20;

/// The file type llama-quantize writes for a file made of one type: the small variant of those with several.
std::optional<llama_ftype> file_type_of(QuantType type)
{
    switch (type.id) {
        case GGML_TYPE_F32: return LLAMA_FTYPE_ALL_F32;
        case GGML_TYPE_F16: return LLAMA_FTYPE_MOSTLY_F16;
        case GGML_TYPE_BF16: return LLAMA_FTYPE_MOSTLY_BF16;
        case GGML_TYPE_Q4_0: return LLAMA_FTYPE_MOSTLY_Q4_0;
        case GGML_TYPE_Q4_1: return LLAMA_FTYPE_MOSTLY_Q4_1;
        case GGML_TYPE_Q5_0: return LLAMA_FTYPE_MOSTLY_Q5_0;
        case GGML_TYPE_Q5_1: return LLAMA_FTYPE_MOSTLY_Q5_1;
        case GGML_TYPE_Q8_0: return LLAMA_FTYPE_MOSTLY_Q8_0;
        case GGML_TYPE_Q2_K: return LLAMA_FTYPE_MOSTLY_Q2_K;
        case GGML_TYPE_Q3_K: return LLAMA_FTYPE_MOSTLY_Q3_K_S;
        case GGML_TYPE_Q4_K: return LLAMA_FTYPE_MOSTLY_Q4_K_S;
        case GGML_TYPE_Q5_K: return LLAMA_FTYPE_MOSTLY_Q5_K_S;
        case GGML_TYPE_Q6_K: return LLAMA_FTYPE_MOSTLY_Q6_K;
        case GGML_TYPE_IQ2_XXS: return LLAMA_FTYPE_MOSTLY_IQ2_XXS;
        case GGML_TYPE_IQ2_XS: return LLAMA_FTYPE_MOSTLY_IQ2_XS;
        case GGML_TYPE_IQ2_S: return LLAMA_FTYPE_MOSTLY_IQ2_S;
        case GGML_TYPE_IQ3_XXS: return LLAMA_FTYPE_MOSTLY_IQ3_XXS;
        case GGML_TYPE_IQ3_S: return LLAMA_FTYPE_MOSTLY_IQ3_S;
        case GGML_TYPE_IQ1_S: return LLAMA_FTYPE_MOSTLY_IQ1_S;
        case GGML_TYPE_IQ1_M: return LLAMA_FTYPE_MOSTLY_IQ1_M;
        case GGML_TYPE_IQ4_NL: return LLAMA_FTYPE_MOSTLY_IQ4_NL;
        case GGML_TYPE_IQ4_XS: return LLAMA_FTYPE_MOSTLY_IQ4_XS;
        case GGML_TYPE_TQ1_0: return LLAMA_FTYPE_MOSTLY_TQ1_0;
        case GGML_TYPE_TQ2_0: return LLAMA_FTYPE_MOSTLY_TQ2_0;
        case GGML_TYPE_MXFP4: return LLAMA_FTYPE_MOSTLY_MXFP4_MOE;
        case GGML_TYPE_NVFP4: return LLAMA_FTYPE_MOSTLY_NVFP4;
        case GGML_TYPE_Q1_0: return LLAMA_FTYPE_MOSTLY_Q1_0;
        case GGML_TYPE_Q2_0: return LLAMA_FTYPE_MOSTLY_Q2_0;
        default: return std::nullopt;
    }
}

/// The type of most weights in the layers.
QuantType dominant_type(const Inventory& inventory, std::span<const QuantType> types)
{
    std::map<QuantType, std::int64_t> weights;
    for (std::size_t i = 0; i < types.size(); ++i) {
        if (inventory.tensors[i].place == TensorPlace::layer) weights[types[i]] += inventory.tensors[i].elements();
    }
    return std::ranges::max_element(weights, {}, [](const auto& entry) { return entry.second; })->first;
}

Result<> check_tensor(const Tensor& tensor, QuantType wanted, const TensorOrigin& origin)
{
    if (wanted == tensor.type || origin.foreign) return {};
    const std::string name = type_name(wanted);
    if (tensor.place == TensorPlace::fixed)
        return usage_error("{} as {}: llama.cpp keeps this tensor as it is", tensor.name, name);
    if (!is_full_precision(wanted)) {
        if (auto target = check_target_type(wanted, origin.importance && tensor.importance); !target)
            return usage_error("{}: {}", tensor.name, target.error().message);
    }
    if (tensor.columns() % block_size(wanted) != 0)
        return usage_error("{} as {}: its rows of {} weights do not fit", tensor.name, name, tensor.columns());
    if (tensor.columns() > kMaxColumns)
        return fail("{}: a row of {} weights, at most {} are supported", tensor.name, tensor.columns(), kMaxColumns);
    return {};
}

}  // namespace

Result<> check_spec(const Inventory& inventory, const ModelSpec& spec)
{
    if (spec.types.size() != inventory.tensors.size()) {
        return usage_error("write {}: {} types for {} tensors", spec.path.string(), spec.types.size(),
                           inventory.tensors.size());
    }
    for (std::size_t i = 0; i < spec.types.size(); ++i) {
        if (auto possible = check_tensor(inventory.tensors[i], spec.types[i], spec.origin(i)); !possible) {
            possible.error().message = std::format("write {}: {}", spec.path.string(), possible.error().message);
            return possible;
        }
    }
    return {};
}

HeaderLayout lay_out(const Inventory& inventory, const Container& source, const ModelSpec& spec)
{
    std::map<std::string, std::string, std::less<>> notes(spec.notes.begin(), spec.notes.end());
    notes[std::string(kSourceKey)] = inventory.fingerprint;
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const TensorOrigin origin = spec.origin(i);
        const Tensor& tensor = inventory.tensors[i];
        if (tensor.importance && origin.importance && !origin.foreign && spec.types[i] != tensor.type)
            notes[std::string(kImportanceKey)] = inventory.importance;
    }

    HeaderWriter writer(source.alignment());
    const auto file_type = file_type_of(dominant_type(inventory, spec.types));
    for (const MetadataEntry& entry : source.metadata()) {
        const bool replaced = entry.key == "general.quantization_version" || (file_type && entry.key == "general.file_type");
        if (replaced || entry.key.starts_with("split.") || entry.key.starts_with("apreqel.") || notes.contains(entry.key))
            continue;
        writer.add_encoded(source.encoded(entry));
    }
    writer.add_u32("general.quantization_version", GGML_QNT_VERSION);
    if (file_type) writer.add_u32("general.file_type", static_cast<std::uint32_t>(*file_type));
    for (const auto& [key, value] : notes) writer.add_text(key, value);
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.rows()) * row_bytes(spec.types[i], tensor.columns());
        writer.add_tensor(tensor.name, tensor.shape, spec.types[i], bytes);
    }
    return writer.finish();
}

Result<std::uint64_t> file_bytes(const Inventory& inventory, const ModelSpec& spec)
{
    if (auto possible = check_spec(inventory, spec); !possible) return std::unexpected(possible.error());
    auto file = InputFile::open(inventory.files.front());
    if (!file) return std::unexpected(file.error());
    auto source = Container::read(*file);
    if (!source) return std::unexpected(source.error());
    return lay_out(inventory, *source, spec).file_bytes;
}

}  // namespace apreqel
