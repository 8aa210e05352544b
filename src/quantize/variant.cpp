#include "quantize/variant.h"

#include "base/file.h"

#include <ggml.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace apreqel {
namespace {

/// The values of a small tensor that is kept as it is.
Result<std::vector<float>> read_values(const Inventory& model, const Tensor& tensor)
{
    const auto file = InputFile::open(model.files[tensor.file]);
    if (!file) return std::unexpected(file.error());
    std::vector<std::byte> stored(tensor.size_bytes);
    if (auto read = file->read_at(tensor.offset, stored); !read) return std::unexpected(read.error());
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    if (type_name(tensor.type) == "f32") {
        std::memcpy(values.data(), stored.data(), stored.size());
    } else {
        ggml_get_type_traits(static_cast<ggml_type>(tensor.type.id))->to_float(stored.data(), values.data(), tensor.elements());
    }
    return values;
}

bool can_be_read(QuantType type)
{
    return is_full_precision(type) ||
           (is_quantized(type) && ggml_get_type_traits(static_cast<ggml_type>(type.id))->to_float != nullptr);
}

}  // namespace

double bits_per_weight(const Variant& variant)
{
    if (!variant.foreign) return bits_per_weight(variant.type);
    double bytes = 0;
    double weights = 0;
    for (const Tensor& tensor : variant.foreign->tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        bytes += static_cast<double>(tensor.size_bytes);
        weights += static_cast<double>(tensor.elements());
    }
    return 8 * bytes / weights;
}

Result<Variant> parse_variant(std::string_view name, bool has_importance)
{
    const bool importance = name.ends_with(kWithImportance);
    if (importance) name.remove_suffix(kWithImportance.size());
    const auto type = parse_type(name);
    if (!type) return std::unexpected(type.error());
    if (importance && !has_importance)
        return usage_error("quantization type {}{}: needs an importance matrix", name, kWithImportance);
    if (auto possible = check_target_type(*type, importance); !possible) return std::unexpected(possible.error());
    return Variant(*type, importance);
}

Result<Variant> read_foreign_variant(std::string name, const std::filesystem::path& path, const Inventory& source)
{
    const bool readable = !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
    });
    if (!readable) return usage_error("variant {}: a name has letters, digits and _ - . only", name);
    if (parse_type(name)) return usage_error("variant {}: this is the name of a type", name);
    auto foreign = read_inventory(path);
    if (!foreign) return std::unexpected(foreign.error());
    const auto refuse = [&](std::string what) { return fail("variant {}: {}: {}", name, path.string(), what); };
    if (foreign->architecture != source.architecture)
        return refuse(std::format("it is of architecture {}, the model of {}", foreign->architecture, source.architecture));
    std::map<std::string_view, const Tensor*> theirs;
    for (const Tensor& tensor : foreign->tensors) theirs.emplace(tensor.name, &tensor);
    for (const Tensor& tensor : source.tensors) {
        if (tensor.place == TensorPlace::embedding) continue;  // stays ours
        const auto found = theirs.find(tensor.name);
        if (found == theirs.end()) {
            if (tensor.place == TensorPlace::layer) return refuse(std::format("it has no {}", tensor.name));
            continue;
        }
        const Tensor& their = *found->second;
        if (their.shape != tensor.shape) return refuse(std::format("its {} is of another shape", tensor.name));
        if (!can_be_read(their.type))
            return refuse(std::format("its {} is {}, which libggml cannot read", tensor.name, type_name(their.type)));
        const bool weight = type_name(tensor.type) == "f32" || is_full_precision(tensor.type);
        if (tensor.place == TensorPlace::layer || !weight) continue;
        const auto own = read_values(source, tensor);
        if (!own) return std::unexpected(own.error());
        const auto other = read_values(*foreign, their);
        if (!other) return std::unexpected(other.error());
        for (std::size_t i = 0; i < own->size(); ++i) {
            if (std::abs((*own)[i] - (*other)[i]) > 0.01F * (std::abs((*own)[i]) + std::abs((*other)[i])))
                return refuse(
                    std::format("its {} differs from the model's: it was made from other weights, or they were rescaled, "
                                "and its layers do not fit among the model's",
                                tensor.name));
        }
    }
    Variant variant;
    variant.name = std::move(name);
    variant.foreign = std::make_shared<const Inventory>(std::move(*foreign));
    return variant;
}

}  // namespace apreqel
