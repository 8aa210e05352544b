#include "base/joined.h"
#include "quantize/assign_types.h"
#include "study/study.h"

#include <algorithm>

namespace apreqel {
namespace {

/// Adds the formats of those tensors that are multiplied with, each type once. Of an embedding that is not the output as well only
/// rows are looked up, by the processor.
void add_formats(const Inventory& inventory, std::span<const QuantType> types, std::vector<RowFormat>& formats)
{
    for (std::size_t t = 0; t < types.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        const bool multiplied = tensor.place == TensorPlace::layer || (tensor.place == TensorPlace::embedding &&
                                                                       (tensor.role == "output" || inventory.tied_embeddings));
        if (multiplied && tensor.shape[1] > 1 && !std::ranges::contains(formats, types[t], &RowFormat::type))
            formats.push_back({types[t], tensor.shape[0]});
    }
}

}  // namespace

Result<> leave_out_wrong_types(Study& study, bool layers_are_chosen)
{
    std::vector<Variant>& variants = study.settings.types;
    std::vector<RowFormat> all;
    std::vector<std::vector<RowFormat>> formats(variants.size());
    for (std::size_t v = 0; v < variants.size(); ++v) {
        const TypeAssignment assignment = assign_types(study.inventory, variants[v], study.settings.embedding_type);
        add_formats(study.inventory, assignment.types, formats[v]);
        add_formats(study.inventory, assignment.types, all);
    }
    RunSettings anywhere = study.settings.run;
    if (layers_are_chosen) anywhere.gpu_layers = -1;
    const auto wrong = study.runtime->find_wrong_types(anywhere, all);
    if (!wrong) return std::unexpected(wrong.error());
    std::vector<Variant> trusted;
    std::vector<std::string> left_out;
    for (std::size_t v = 0; v < variants.size(); ++v) {
        const auto fault = std::ranges::find_if(
            *wrong, [&](const WrongType& type) { return std::ranges::contains(formats[v], type.type, &RowFormat::type); });
        if (fault == wrong->end())
            trusted.push_back(variants[v]);
        else
            left_out.push_back(std::format("{} ({}: {})", variants[v].name, type_name(fault->type), fault->fault));
    }
    if (left_out.empty()) return {};
    if (trusted.empty())
        return std::unexpected(Error{ErrorCode::failed,
                                     std::format("run: no type can be used here: {}", joined(left_out, ", ")),
                                     "--devices none runs on the processor; --embedding-type names another for the embedding"});
    study.monitor.warn(std::format("left out: {}", joined(left_out, ", ")));
    variants = std::move(trusted);
    return {};
}

}  // namespace apreqel
