#include "quantize/variant.h"

#include "base/file.h"
#include "quantize/audit.h"
#include "quantize/dequantize.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <execution>
#include <map>
#include <numeric>
#include <span>
#include <vector>

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
    dequantize(tensor.type, stored, values);
    return values;
}

/// True if no weight of a tensor is infinite or not a number.
Result<bool> has_only_numbers(const Inventory& model, const Tensor& tensor)
{
    const auto file = InputFile::open(model.files[tensor.file]);
    if (!file) return std::unexpected(file.error());
    const std::uint64_t row = row_bytes(tensor.type, tensor.columns());
    std::vector<std::byte> stored;
    std::vector<float> values;
    for (std::int64_t first = 0; first < tensor.rows(); first += block_rows(tensor.columns())) {
        const std::int64_t rows = std::min(block_rows(tensor.columns()), tensor.rows() - first);
        stored.resize(static_cast<std::size_t>(rows) * row);
        values.resize(static_cast<std::size_t>(rows * tensor.columns()));
        const std::uint64_t offset = tensor.offset + static_cast<std::uint64_t>(first) * row;
        if (auto read = file->read_at(offset, stored); !read) return std::unexpected(read.error());
        dequantize(tensor.type, stored, values);
        if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return false;
    }
    return true;
}

/// A file made elsewhere says nothing of what its bytes were. What can be seen is a block whose scale is not a number, as a
/// damaged one often is: its first tensor; empty: there is none.
Result<std::string> first_unreadable(const Inventory& foreign)
{
    std::vector<Result<std::string>> found(foreign.tensors.size());
    std::vector<std::size_t> all(foreign.tensors.size());
    std::iota(all.begin(), all.end(), 0);
    std::for_each(std::execution::par, all.begin(), all.end(), [&](std::size_t t) {
        const Tensor& tensor = foreign.tensors[t];
        if (tensor.place == TensorPlace::layer)
            found[t] =
                has_only_numbers(foreign, tensor).transform([&](bool fine) { return fine ? std::string() : tensor.name; });
    });
    for (auto& tensor : found)
        if (!tensor || !tensor->empty()) return std::move(tensor);
    return std::string();
}

bool can_be_read(QuantType type)
{
    return is_full_precision(type) ||
           (is_quantized(type) && ggml_get_type_traits(static_cast<ggml_type>(type.id))->to_float != nullptr);
}

}  // namespace

Variant Variant::with_feedback(QuantType of, bool with_importance)
{
    Variant variant(of, with_importance);
    variant.name = type_name(of) + std::string(kWithFeedback);
    variant.feedback = true;
    return variant;
}

Result<Variant> parse_variant(std::string_view name, bool has_importance)
{
    if (name == kSource) {
        Variant variant;
        variant.name = kSource;
        variant.as_it_is = true;
        return variant;
    }
    const bool feedback = name.ends_with(kWithFeedback);
    if (feedback) name.remove_suffix(kWithFeedback.size());
    const bool weighted = !feedback && name.ends_with(kWithImportance);
    if (weighted) name.remove_suffix(kWithImportance.size());
    const bool importance = weighted || (feedback && has_importance);
    const auto type = parse_type(name);
    if (!type) return std::unexpected(type.error());
    if (importance && !has_importance)
        return usage_error("quantization type {}{}: it needs an importance matrix", name, kWithImportance);
    if (auto possible = check_target_type(*type, importance); !possible) {
        if (has_importance && check_target_type(*type, true))
            possible.error().hint = std::format("with the importance matrix it is {}{}", name, kWithImportance);
        return std::unexpected(possible.error());
    }
    return feedback ? Variant::with_feedback(*type, importance) : Variant(*type, importance);
}

Result<Variant> parse_embedding_type(std::string_view name)
{
    if (name == kSource) return parse_variant(name, false);
    return parse_type(name).transform([](QuantType type) { return Variant(type); });
}

Result<Variant> read_foreign_variant(std::string name, const std::filesystem::path& path, const Inventory& source)
{
    const bool readable = !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
    });
    if (!readable) return usage_error("--variant {}: a name has letters, digits and _ - . only", name);
    if (parse_variant(name, true)) return usage_error("--variant {}: this is the name of a type", name);
    auto foreign = read_inventory(path);
    if (!foreign) return std::unexpected(foreign.error());
    const auto refuse = [&](std::string what) { return fail("--variant {}: {}: {}", name, path.string(), what); };
    if (foreign->architecture != source.architecture)
        return refuse(std::format("it is of architecture {}, the model of {}", foreign->architecture, source.architecture));
    std::map<std::string_view, const Tensor*> theirs;
    for (const Tensor& tensor : foreign->tensors) theirs.emplace(tensor.name, &tensor);
    for (const Tensor& tensor : source.tensors) {
        if (tensor.place == TensorPlace::embedding || tensor.place == TensorPlace::inert) continue;  // stays ours
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
    for (const std::filesystem::path& file : foreign->files) {
        const auto digested = has_digests(file);
        if (!digested) return std::unexpected(digested.error());
        if (!*digested) continue;
        if (auto whole = verify(file); !whole) return refuse(whole.error().message);
    }
    const auto unreadable = first_unreadable(*foreign);
    if (!unreadable) return std::unexpected(unreadable.error());
    if (!unreadable->empty())
        return refuse(std::format("its {} has weights that are infinite or not a number: it is damaged", *unreadable));
    Variant variant;
    variant.name = std::move(name);
    variant.foreign = std::make_shared<const Inventory>(std::move(*foreign));
    return variant;
}

}  // namespace apreqel
