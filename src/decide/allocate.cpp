// Which layer gets which type (paper, Algorithm 1).
#include <apreqel/plan.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace apreqel {

std::vector<std::size_t> order_by_contribution(const std::vector<LayerScore>& layers)
{
    std::vector<std::size_t> order(layers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t l) { return std::tuple(-layers[l].score, layers[l].mean_similarity); });
    return order;
}

std::vector<std::size_t> allocate(std::span<const std::size_t> counts, std::span<const double> bits_per_weight,
                                  std::span<const std::size_t> layer_order)
{
    std::vector<std::size_t> types(counts.size());
    std::iota(types.begin(), types.end(), std::size_t{0});
    std::ranges::stable_sort(types, std::ranges::greater{}, [&](std::size_t type) { return bits_per_weight[type]; });

    std::vector<std::size_t> allocation(layer_order.size());
    auto layer = layer_order.begin();
    for (const std::size_t type : types) {
        for (std::size_t n = 0; n < counts[type]; ++n) allocation[*layer++] = type;
    }
    return allocation;
}

}  // namespace apreqel
