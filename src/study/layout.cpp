#include "study/study.h"

#include <algorithm>

namespace apreqel {
namespace {

/// The blocks up to the last that has a layer.
std::uint64_t typed_blocks(const Inventory& inventory)
{
    std::uint64_t blocks = 0;
    for (const Group& layer : inventory.layers) blocks = std::max<std::uint64_t>(blocks, layer.block + 1);
    return blocks;
}

/// Error: a tensor that the layout's own model had in the type of its layer cannot be stored so in this one.
Result<> check_rows(const Inventory& inventory, const Layout& layout, const Plan& plan, std::span<const Variant> foreign)
{
    const auto fallbacks = quantized_fallbacks(inventory, plan, foreign);
    if (!fallbacks) return std::unexpected(fallbacks.error());
    for (const Fallback& entry : *fallbacks) {
        const bool there_too = std::ranges::any_of(
            layout.fallbacks, [&](const Fallback& known) { return known.tensor == entry.tensor && known.used == entry.used; });
        if (there_too) continue;
        return fail("quantize {}: the layout does not fit: {} cannot be {}, as its rows have {} weights",
                    inventory.files.front().string(), entry.tensor, entry.wanted, entry.columns);
    }
    return {};
}

}  // namespace

Result<Plan> apply_layout(const Inventory& inventory, const Layout& layout, std::span<const Variant> foreign)
{
    const std::string model = inventory.files.front().string();
    if (layout.architecture != inventory.architecture)
        return fail("quantize {}: the layout is for models of architecture {}, this is {}", model, layout.architecture,
                    inventory.architecture);
    if (layout.blocks != typed_blocks(inventory))
        return fail("quantize {}: the layout is for models of {} blocks, this has {}", model, layout.blocks,
                    typed_blocks(inventory));
    std::vector<std::string> known;  // what a run may name: a file may have more runs than any model has groups
    for (const Granularity granularity : {Granularity::layer, Granularity::tensor})
        for (const Group& group : groups_of(inventory, granularity)) known.push_back(group.name);
    std::ranges::sort(known);
    Plan plan{.model_name = layout.model_name, .embedding_type = layout.embedding_type};
    for (const LayoutRun& run : layout.runs) {
        for (std::uint64_t block = run.first; block <= run.last; ++block) {
            std::string group = std::format("blk.{}.{}", block, run.role);
            if (!std::ranges::binary_search(known, group))
                return fail("quantize {}: the layout has a layer {}, the model has not", model, group);
            plan.allocation.push_back({std::move(group), run.type});
        }
    }
    if (!layout.embedding.empty()) plan.allocation.push_back({std::string(kEmbedding), layout.embedding});
    if (auto fits = check_rows(inventory, layout, plan, foreign); !fits) return std::unexpected(fits.error());
    return plan;
}

}  // namespace apreqel
