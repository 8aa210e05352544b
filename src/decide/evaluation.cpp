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

/// The metric at 0.7, 0.8 and 0.9 with the rest shared equally, at 1, and in pairs at 0.75/0.25 and 0.9/0.1.
void add_category(std::vector<WeightSetting>& settings, std::size_t metric)
{
    const auto add = [&](double own, double next, double last) {
        Weights weights{};
        weights[metric] = own;
        weights[(metric + 1) % kMetrics] = next;
        weights[(metric + 2) % kMetrics] = last;
        settings.push_back({kMetricNames[metric], weights});
    };
    add(0.7, 0.15, 0.15);
    add(0.8, 0.1, 0.1);
    add(0.9, 0.05, 0.05);
    add(1, 0, 0);
    add(0.75, 0.25, 0);
    add(0.75, 0, 0.25);
    add(0.9, 0.1, 0);
    add(0.9, 0, 0.1);
}

double mean(const std::vector<double>& values)
{
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::vector<WeightSetting> paper_settings()
{
    constexpr double kThird = 1.0 / 3;
    std::vector<WeightSetting> settings{{kFairness, {kThird, kThird, kThird}},
                                        {kFairness, {0.5, 0.5, 0}},
                                        {kFairness, {0.5, 0, 0.5}},
                                        {kFairness, {0, 0.5, 0.5}}};
    for (std::size_t metric = 0; metric < kMetrics; ++metric) add_category(settings, metric);
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
    if (sensitivity != nullptr && sensitivity->layers.size() == layers.size()) {
        const auto smallest = [&](std::size_t l) {
            return std::ranges::min_element(sensitivity->layers[l].probes, {}, &Probe::memory_bytes)->kld;
        };
        std::vector<std::size_t> sensitive = depth;
        std::ranges::stable_sort(sensitive, std::greater(), smallest);
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
    const Metrics best = best_of(metrics_of_all(models));
    std::vector<CategoryResult> categories;
    for (const SettingResult& setting : evaluation.settings) {
        if (std::ranges::contains(categories, setting.category, &CategoryResult::category)) continue;
        CategoryResult result{.category = setting.category};
        std::array<std::vector<double>, kMetrics> differences;
        std::vector<double> bits;
        for (std::size_t s = 0; s < models.size(); ++s) {
            if (evaluation.settings[s].category != setting.category) continue;
            for (std::size_t j = 0; j < kMetrics; ++j) differences[j].push_back(metrics_of(models[s])[j] / best[j] - 1);
            bits.push_back(models[s].bits_per_weight);
        }
        for (std::size_t j = 0; j < kMetrics; ++j) result.mean_difference[j] = mean(differences[j]);
        result.mean_bits_per_weight = mean(bits);
        for (double& value : bits) value = (value - result.mean_bits_per_weight) * (value - result.mean_bits_per_weight);
        result.bits_per_weight_deviation = bits.size() < 2 ? 0 : std::sqrt(mean(bits));
        categories.push_back(std::move(result));
    }
    return categories;
}

std::array<std::vector<std::string>, kMetrics> best_categories(const Evaluation& evaluation)
{
    const std::vector<Measurement> models = models_of(evaluation, evaluation.orders.front().models);
    const Metrics best = best_of(metrics_of_all(models));
    std::array<std::vector<std::string>, kMetrics> winners;
    for (std::size_t j = 0; j < kMetrics; ++j) {
        for (std::size_t s = 0; s < models.size(); ++s) {
            const std::string& category = evaluation.settings[s].category;
            if (metrics_of(models[s])[j] == best[j] && !std::ranges::contains(winners[j], category))
                winners[j].push_back(category);
        }
    }
    return winners;
}

}  // namespace apreqel
