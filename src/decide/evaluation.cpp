// The settings, orders and comparisons of the paper's evaluation.
#include <apreqel/evaluation.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

namespace apreqel {
namespace {

constexpr std::size_t kRandomOrders = 5;

/// `shares` of the criteria in turn, beginning with the paper's objective `first`.
Weights turned(std::size_t first, std::array<double, 3> shares)
{
    Weights weights{};
    for (std::size_t i = 0; i < shares.size(); ++i)
        set_weight(weights, criteria()[paper_objectives()[(first + i) % shares.size()]].weight, shares[i]);
    return weights;
}

/// The objective at 0.7, 0.8 and 0.9 with the rest shared equally, at 1, and in pairs at 0.75/0.25 and 0.9/0.1.
constexpr std::array<std::array<double, 3>, 8> kShares{{{0.7, 0.15, 0.15},
                                                        {0.8, 0.1, 0.1},
                                                        {0.9, 0.05, 0.05},
                                                        {1, 0, 0},
                                                        {0.75, 0.25, 0},
                                                        {0.75, 0, 0.25},
                                                        {0.9, 0.1, 0},
                                                        {0.9, 0, 0.1}}};

/// KL divergence of each layer in its type of least memory; none where the groups probed are not the layers.
std::vector<double> smallest_type_divergences(const std::vector<LayerScore>& layers, const Sensitivity& sensitivity)
{
    std::vector<double> divergences;
    for (const LayerScore& layer : layers) {
        const auto group = std::ranges::find(sensitivity.groups, layer.layer, &GroupSensitivity::group);
        if (group == sensitivity.groups.end()) return {};
        const Probe* smallest = nullptr;
        for (const Probe& probe : group->probes)
            if (probe.memory_bytes > 0 && (smallest == nullptr || probe.memory_bytes < smallest->memory_bytes))
                smallest = &probe;
        if (smallest == nullptr) return {};
        divergences.push_back(smallest->kld);
    }
    return divergences;
}

double mean(const std::vector<double>& values)
{
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::vector<WeightSetting> paper_settings()
{
    constexpr double kThird = 1.0 / 3;
    std::vector<WeightSetting> settings{{kFairness, turned(0, {kThird, kThird, kThird})},
                                        {kFairness, turned(0, {0.5, 0.5, 0})},
                                        {kFairness, turned(0, {0.5, 0, 0.5})},
                                        {kFairness, turned(0, {0, 0.5, 0.5})}};
    for (std::size_t first = 0; first < paper_objectives().size(); ++first)
        for (const auto& shares : kShares)
            settings.push_back({criteria()[paper_objectives()[first]].weight, turned(first, shares)});
    return settings;
}

std::vector<LayerOrder> layer_orders(const std::vector<LayerScore>& layers, bool ablation, const Sensitivity* sensitivity)
{
    std::vector<LayerOrder> orders{{"contribution", order_by_contribution(layers)}};
    if (!ablation) return orders;
    std::vector<std::size_t> depth(layers.size());
    std::iota(depth.begin(), depth.end(), std::size_t{0});

    std::vector<std::size_t> similarity = depth;
    std::ranges::stable_sort(similarity, {}, [&](std::size_t l) { return layers[l].mean_similarity; });
    orders.push_back({"similarity", similarity});
    if (const auto suffered = sensitivity ? smallest_type_divergences(layers, *sensitivity) : std::vector<double>();
        !suffered.empty()) {
        std::vector<std::size_t> sensitive = depth;
        std::ranges::stable_sort(sensitive, std::greater(), [&](std::size_t l) { return suffered[l]; });
        orders.push_back({"sensitivity", sensitive});
    }
    orders.push_back({"depth", depth});
    std::vector<std::size_t> reverse = orders.front().layers;
    std::ranges::reverse(reverse);
    orders.push_back({"reverse", reverse});
    for (std::size_t seed = 1; seed <= kRandomOrders; ++seed) {
        const std::mt19937_64 random(seed);
        std::vector<std::uint64_t> keys(layers.size());
        std::ranges::generate(keys, random);
        std::vector<std::size_t> order = depth;
        std::ranges::stable_sort(order, {}, [&](std::size_t l) { return keys[l]; });
        orders.push_back({std::format("random {}", seed), order});
    }
    return orders;
}

std::vector<Costs> costs_of(std::span<const Measurement> models, const Objectives& objectives)
{
    std::vector<Costs> costs;
    for (const Measurement& model : models) costs.push_back(columns_of(metrics_of(model), objectives));
    return costs;
}

std::vector<Measurement> models_of(const Evaluation& evaluation, std::span<const std::size_t> indices)
{
    std::vector<Measurement> models;
    for (const std::size_t model : indices) models.push_back(evaluation.models[model].measurement);
    return models;
}

std::vector<Measurement> baseline_of(const Evaluation& evaluation, const ModelSet& set)
{
    return set.baseline.empty() ? evaluation.uniform : models_of(evaluation, set.baseline);
}

std::vector<CategoryResult> compare_categories(const Evaluation& evaluation)
{
    const std::vector<Measurement> models = models_of(evaluation, evaluation.orders.front().models);
    const std::vector<Costs> costs = costs_of(models, paper_objectives());
    const Costs best = best_of(costs);
    std::vector<CategoryResult> categories;
    for (const SettingResult& setting : evaluation.settings) {
        if (std::ranges::contains(categories, setting.category, &CategoryResult::category)) continue;
        CategoryResult result{.category = setting.category};
        std::vector<std::vector<double>> differences(best.size());
        std::vector<double> bits;
        for (std::size_t s = 0; s < models.size(); ++s) {
            if (evaluation.settings[s].category != setting.category) continue;
            for (std::size_t j = 0; j < best.size(); ++j) differences[j].push_back(costs[s][j] / best[j] - 1);
            bits.push_back(models[s].bits_per_weight);
        }
        for (const std::vector<double>& column : differences) result.mean_difference.push_back(mean(column));
        result.mean_bits_per_weight = mean(bits);
        for (double& value : bits) value = (value - result.mean_bits_per_weight) * (value - result.mean_bits_per_weight);
        result.bits_per_weight_deviation = bits.size() < 2 ? 0 : std::sqrt(mean(bits));
        categories.push_back(std::move(result));
    }
    return categories;
}

std::vector<std::vector<std::string>> best_categories(const Evaluation& evaluation)
{
    const std::vector<Costs> costs = costs_of(models_of(evaluation, evaluation.orders.front().models), paper_objectives());
    const Costs best = best_of(costs);
    std::vector<std::vector<std::string>> winners(best.size());
    for (std::size_t j = 0; j < best.size(); ++j) {
        for (std::size_t s = 0; s < costs.size(); ++s) {
            const std::string& category = evaluation.settings[s].category;
            if (costs[s][j] == best[j] && !std::ranges::contains(winners[j], category)) winners[j].push_back(category);
        }
    }
    return winners;
}

}  // namespace apreqel
