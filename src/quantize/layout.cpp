#include "quantize/layout.h"

#include "quantize/audit.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <map>
#include <set>

namespace apreqel {
namespace {

/// The file type llama-quantize writes for most layers in `type`. Of the types that have several, small is all layers in one type.
/// A mix is medium: what the type's name alone stands for in llama-quantize, and what libllama guesses of a file that does not say.
std::optional<llama_ftype> file_type_of(QuantType type, bool mixed)
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
        case GGML_TYPE_Q3_K: return mixed ? LLAMA_FTYPE_MOSTLY_Q3_K_M : LLAMA_FTYPE_MOSTLY_Q3_K_S;
        case GGML_TYPE_Q4_K: return mixed ? LLAMA_FTYPE_MOSTLY_Q4_K_M : LLAMA_FTYPE_MOSTLY_Q4_K_S;
        case GGML_TYPE_Q5_K: return mixed ? LLAMA_FTYPE_MOSTLY_Q5_K_M : LLAMA_FTYPE_MOSTLY_Q5_K_S;
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

/// That of the type of most weights in the layers, or of all there are.
std::optional<llama_ftype> file_type_of(const Inventory& inventory, std::span<const QuantType> types)
{
    std::map<QuantType, std::int64_t> weights;
    for (std::size_t i = 0; i < types.size(); ++i) {
        if (inventory.layers.empty() || inventory.tensors[i].place == TensorPlace::layer)
            weights[types[i]] += inventory.tensors[i].elements();
    }
    const auto dominant = std::ranges::max_element(weights, {}, [](const auto& entry) { return entry.second; });
    // What only falls back is in another type for no choice.
    bool mixed = false;
    for (std::size_t i = 0; i < types.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        const bool chosen = tensor.place == TensorPlace::layer && tensor.columns() % block_size(dominant->first) == 0;
        mixed = mixed || (chosen && types[i] != dominant->first);
    }
    return file_type_of(dominant->first, mixed);
}

/// Whether an importance matrix had a part in a tensor of `spec`, so that the file must say which.
bool uses_importance(const Inventory& inventory, const ModelSpec& spec)
{
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const TensorOrigin origin = spec.origin(i);
        const Tensor& tensor = inventory.tensors[i];
        if (is_rounded_with_feedback(tensor, spec.types[i], origin)) continue;
        if (tensor.importance && origin.importance && !origin.foreign && spec.types[i] != tensor.type) return true;
    }
    return false;
}

/// Whether any tensor of `spec` is rounded with error feedback.
bool uses_feedback(const Inventory& inventory, const ModelSpec& spec)
{
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i)
        if (is_rounded_with_feedback(inventory.tensors[i], spec.types[i], spec.origin(i))) return true;
    return false;
}

/// No more than the 127 bytes that llama-quantize has for a text (llama_model_kv_override), whole characters of UTF-8.
std::string_view cut(std::string_view text)
{
    constexpr std::size_t kMost = 127;
    std::size_t end = std::min(text.size(), kMost);
    while (end > 0 && end < text.size() && (text[end] & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

/// What llama-quantize says of the importance matrix it was given.
void add_importance(HeaderWriter& writer, const ImportanceSource& source)
{
    writer.add_text("quantize.imatrix.file", cut(source.file));
    if (!source.dataset.empty()) writer.add_text("quantize.imatrix.dataset", cut(source.dataset));
    writer.add_u32("quantize.imatrix.entries_count", static_cast<std::uint32_t>(source.entries));
    if (source.chunks > 0) writer.add_u32("quantize.imatrix.chunks_count", static_cast<std::uint32_t>(source.chunks));
}

/// Metadata of the source that says how the source was stored, and not how the file that is written is.
bool is_of_source(std::string_view key)
{
    return key.starts_with("split.") || key.starts_with("apreqel.") || key.starts_with("quantize.imatrix.");
}

/// What a spec is for: its file, or, where only its size is asked for, the model.
std::string object_of(const Inventory& inventory, const ModelSpec& spec)
{
    return spec.path.empty() ? "quantize " + inventory.files.front().string() : "write " + spec.path.string();
}

}  // namespace

Result<> check_spec(const Inventory& inventory, const ModelSpec& spec)
{
    if (spec.types.size() != inventory.tensors.size()) {
        return usage_error("{}: {} types for {} tensors", object_of(inventory, spec), spec.types.size(),
                           inventory.tensors.size());
    }
    for (std::size_t i = 0; i < spec.types.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        const std::string obstacle = obstacle_to(tensor, spec.types[i], spec.origin(i));
        if (obstacle.empty()) continue;
        return usage_error("{}: {} as {}: {}", object_of(inventory, spec), tensor.name, type_name(spec.types[i]), obstacle);
    }
    return {};
}

HeaderLayout lay_out(const Inventory& inventory, const Container& source, const ModelSpec& spec,
                     std::vector<std::uint64_t> digests)
{
    std::map<std::string, std::string, std::less<>> notes(spec.notes.begin(), spec.notes.end());
    notes[std::string(kSourceKey)] = inventory.fingerprint;
    const bool importance = uses_importance(inventory, spec);
    if (importance) notes[std::string(kImportanceKey)] = inventory.importance;
    if (uses_feedback(inventory, spec)) notes[std::string(kHessianKey)] = inventory.hessian;
    if (inventory.from_quantized()) notes[std::string(kQuantizedSourceKey)] = inventory.name;

    HeaderWriter writer(source.alignment());
    const auto file_type = file_type_of(inventory, spec.types);
    for (const MetadataEntry& entry : source.metadata()) {
        const bool replaced = entry.key == "general.quantization_version" || (file_type && entry.key == "general.file_type");
        if (replaced || is_of_source(entry.key) || notes.contains(entry.key)) continue;
        writer.add_encoded(source.encoded(entry));
    }
    writer.add_u32("general.quantization_version", GGML_QNT_VERSION);
    if (file_type) writer.add_u32("general.file_type", static_cast<std::uint32_t>(*file_type));
    if (importance) add_importance(writer, inventory.importance_source);
    for (const auto& [key, value] : notes) writer.add_text(key, value);
    digests.resize(inventory.tensors.size() + 1);
    writer.add_u64s(kDigestsKey, digests);
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.rows()) * row_bytes(spec.types[i], tensor.columns());
        writer.add_tensor(tensor.name, tensor.shape, spec.types[i], bytes);
    }
    return writer.finish();
}

}  // namespace apreqel
