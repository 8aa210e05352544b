#include <apreqel/quant_type.h>

#include <ggml.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace apreqel {
namespace {

bool exists(int id)
{
    // Retired types keep their number in ggml_type, with no bytes to a block.
    return id >= 0 && id < GGML_TYPE_COUNT && ggml_blck_size(static_cast<ggml_type>(id)) > 0 &&
           ggml_type_size(static_cast<ggml_type>(id)) > 0;
}

std::string lower(std::string_view text)
{
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

/// Types whose result libllama rejects or llama-quantize refuses to make without an importance matrix
/// (llama.cpp, src/llama-quant.cpp, tensor_requires_imatrix). libggml itself only knows the first two and iq1_s.
constexpr std::array kNeedImportanceMatrix{GGML_TYPE_IQ2_XXS, GGML_TYPE_IQ2_XS, GGML_TYPE_IQ2_S,
                                           GGML_TYPE_IQ3_XXS, GGML_TYPE_IQ1_S,  GGML_TYPE_IQ1_M};

}  // namespace

std::string type_name(QuantType type)
{
    if (!exists(type.id)) return "type " + std::to_string(type.id);
    return ggml_type_name(static_cast<ggml_type>(type.id));
}

Result<QuantType> parse_type(std::string_view name)
{
    std::string known;
    for (int id = 0; id < GGML_TYPE_COUNT; ++id) {
        if (!exists(id)) continue;
        const QuantType type{id};
        if (lower(type_name(type)) == lower(name)) return type;
        if (check_target_type(type)) known += (known.empty() ? "" : ", ") + type_name(type);
    }
    return usage_error("quantization type {}: no such type (there are {})", name, known);
}

double bits_per_weight(QuantType type)
{
    return 8.0 * static_cast<double>(row_bytes(type, block_size(type))) / static_cast<double>(block_size(type));
}

std::int64_t block_size(QuantType type) { return ggml_blck_size(static_cast<ggml_type>(type.id)); }

std::uint64_t row_bytes(QuantType type, std::int64_t columns)
{
    return ggml_row_size(static_cast<ggml_type>(type.id), columns);
}

bool is_quantized(QuantType type) { return exists(type.id) && ggml_is_quantized(static_cast<ggml_type>(type.id)); }

bool is_full_precision(QuantType type)
{
    return type.id == GGML_TYPE_F32 || type.id == GGML_TYPE_F16 || type.id == GGML_TYPE_BF16;
}

Result<> check_target_type(QuantType type, bool has_importance)
{
    if (!exists(type.id)) return usage_error("quantization type {}: no such type", type.id);
    const auto id = static_cast<ggml_type>(type.id);
    if (!is_quantized(type)) return usage_error("quantization type {}: not a quantized type", type_name(type));
    // q8_1 and q8_K exist for intermediate results only: no file has them and nothing reads them back.
    if (ggml_get_type_traits(id)->to_float == nullptr)
        return usage_error("quantization type {}: internal to libggml", type_name(type));
    if (!has_importance && (ggml_quantize_requires_imatrix(id) || std::ranges::contains(kNeedImportanceMatrix, id))) {
        return usage_error("quantization type {}: needs an importance matrix", type_name(type));
    }
    return {};
}

}  // namespace apreqel
