#include "quantize/palette.h"

#include "base/joined.h"
#include "quantize/assign_types.h"

#include <algorithm>
#include <array>
#include <set>

namespace apreqel {
namespace {

/// Without q4_1, q5_0, q5_1 and mxfp4, which are neither smaller nor more accurate than the K type or iq4_xs of about as many
/// bits; q4_0 and iq4_nl are not either, but many processors compute them faster. One type of two bits with an importance matrix
/// and one without: those between them take long to make and add little. iq1 types lose too much.
constexpr std::array<std::string_view, 12> kWide{"iq2_xxs", "q2_K",   "iq3_xxs", "q3_K", "iq3_s", "iq4_xs",
                                                 "q4_0",    "iq4_nl", "q4_K",    "q5_K", "q6_K",  "q8_0"};

/// In blocks of 32, which nearly all rows are a multiple of.
constexpr std::array<std::string_view, 7> kNarrow{"mxfp4", "q4_0", "iq4_nl", "q4_1", "q5_0", "q5_1", "q8_0"};

/// False for rows that no quantized type fits.
bool can_be_quantized(const Tensor& tensor) { return tensor.columns() % block_size(*parse_type(kNarrow.front())) == 0; }

std::vector<const Tensor*> layer_tensors(const Inventory& inventory)
{
    std::vector<const Tensor*> tensors;
    for (const Group& layer : inventory.layers)
        for (const std::size_t t : layer.tensors) tensors.push_back(&inventory.tensors[t]);
    return tensors;
}

bool fits(const Inventory& inventory, const Variant& variant)
{
    return std::ranges::all_of(layer_tensors(inventory), [&](const Tensor* tensor) {
        const Storage storage = storage_of(*tensor, variant);
        return storage.obstacle.empty() && (!storage.fallback || !can_be_quantized(*tensor));
    });
}

std::vector<QuantType> stored_types(const Inventory& inventory, const Variant& variant)
{
    std::vector<QuantType> types;
    for (const Tensor* tensor : layer_tensors(inventory)) types.push_back(storage_of(*tensor, variant).type);
    return types;
}

}  // namespace

std::vector<Variant> fitting_types(const Inventory& inventory)
{
    const bool wide = fits(inventory, *parse_type("q6_K"));
    std::vector<Variant> types;
    std::set<std::vector<QuantType>> stored;
    const Variant source = *parse_variant(kSource, false);
    if (inventory.from_quantized()) stored.insert(stored_types(inventory, source));
    for (const std::string_view name : wide ? std::span<const std::string_view>(kWide) : kNarrow) {
        const bool weighted = !inventory.importance.empty();
        const QuantType type = *parse_type(name);
        const Variant variant = inventory.hessian.empty() ? Variant(type, weighted) : Variant::with_feedback(type, weighted);
        if (fits(inventory, variant) && stored.insert(stored_types(inventory, variant)).second) types.push_back(variant);
    }
    if (inventory.from_quantized() && !types.empty()) types.push_back(source);
    return types;
}

QuantType embedding_type_of(const Inventory& inventory, QuantType type)
{
    std::set<QuantType> used;
    for (const std::size_t t : embedding_group(inventory).tensors) used.insert(storage_of(inventory.tensors[t], type).type);
    return used.size() == 1 && is_quantized(*used.begin()) ? *used.begin() : type;
}

std::string describe_misfits(const Inventory& inventory, std::span<const Variant> types)
{
    const std::vector<const Tensor*> tensors = layer_tensors(inventory);
    std::vector<std::string> names;
    std::vector<std::string> used;
    std::set<std::int64_t> rows;
    std::set<const Tensor*> fallen;
    for (const Variant& variant : types) {
        for (const Tensor* tensor : tensors) {
            const Storage storage = storage_of(*tensor, variant);
            if (!storage.fallback) continue;
            fallen.insert(tensor);
            rows.insert(tensor->columns());
            if (!std::ranges::contains(names, variant.name)) names.push_back(variant.name);
            if (!std::ranges::contains(used, type_name(storage.type))) used.push_back(type_name(storage.type));
        }
    }
    if (names.empty()) return {};
    std::vector<std::string> columns;
    for (const std::int64_t row : rows) columns.push_back(std::to_string(row));
    std::vector<std::string> fitting;
    for (const Variant& variant : fitting_types(inventory)) fitting.push_back(type_name(variant.type));
    const bool one = names.size() == 1;
    return std::format("{} {} not fit rows of {} weights: in {} of {} tensors {} {}; --types {} fit{}", joined(names, ", "),
                       one ? "does" : "do", joined(columns, ", "), fallen.size(), tensors.size(),
                       one ? "it becomes" : "they become", joined(used, ", "), joined(fitting, ","),
                       std::ranges::all_of(tensors, [](const Tensor* t) { return can_be_quantized(*t); }) ? "" : " better");
}

}  // namespace apreqel
