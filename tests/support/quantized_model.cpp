#include "support/quantized_model.h"

#include "quantize/write_models.h"

namespace apreqel {
namespace {

QuantType type_of(const Inventory& inventory, const Tensor& tensor, const std::string& types)
{
    if (types != "mix") return parse_type(types).value();
    const bool precise = tensor.role == "attn_v" || tensor.role == "ffn_down";
    bool first_half = false;
    for (std::size_t b = 0; b < inventory.blocks / 2; ++b)
        first_half = first_half || tensor.name.starts_with(std::format("blk.{}.", b));
    return parse_type(tensor.role == "output" || (precise && first_half) ? "q6_K" : "q4_K").value();
}

}  // namespace

std::filesystem::path make_quantized_model(const std::filesystem::path& folder, const std::string& types,
                                           const TinyModelOptions& options)
{
    const Inventory inventory = read_inventory(make_tiny_model(folder, options)).value();
    ModelSpec spec{.path = folder / (types + ".gguf"), .types = {}, .notes = {}};
    for (const Tensor& tensor : inventory.tensors)
        spec.types.push_back(tensor.place == TensorPlace::fixed ? tensor.type : type_of(inventory, tensor, types));
    Monitor monitor;
    static_cast<void>(write_models(inventory, std::span(&spec, 1), {}, 1, monitor).value());
    return spec.path;
}

}  // namespace apreqel
