// The paper's evaluation: what a set of mixed models is worth beside the uniform ones.
#pragma once

#include <apreqel/plan.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// The columns of all models, in the order of `objectives`.
[[nodiscard]] std::vector<Costs> costs_of(std::span<const Measurement> models, const Objectives& objectives);

/// Volume that `points` dominate below `reference`, in the product of the columns' units. Points that are not better than
/// the reference in every column add nothing, nor do duplicates. Error: a value that is not finite.
[[nodiscard]] Result<double> hypervolume(std::span<const Costs> points, const Costs& reference);

/// Hypervolumes below the worst uniform value per column, in units of the box between best and worst uniform values.
struct HypervolumeGain {
    double uniform = 0;
    double mixed = 0;
    std::optional<double> gain{};  ///< (mixed − uniform) / uniform; nothing where no uniform variant is inside the reference
    std::optional<double> low{};   ///< 95 % interval of the gain over resampled rounds and chunks of text; see below
    std::optional<double> high{};
};

[[nodiscard]] Result<HypervolumeGain> hypervolume_gain(std::span<const Costs> uniform, std::span<const Costs> mixed);

/// The same of models measured in the same rounds and on the same text, with the interval of the bootstrap: rounds and chunks of
/// text are drawn with replacement, the same for all models, since a round that is slow is slow for all, and a chunk that is
/// hard is hard for all. Where a model has no chunks, or another number of them, only rounds are drawn: the interval then leaves
/// out the noise of the text. No interval with fewer than 6 rounds, or of 1 to 5 chunks.
[[nodiscard]] Result<HypervolumeGain> hypervolume_gain(std::span<const Measurement> uniform,
                                                       std::span<const Measurement> mixed);

/// One of the paper's weight settings and the category it belongs to.
struct WeightSetting {
    std::string_view category;
    Weights weights;
};

inline constexpr std::string_view kFairness = "fairness";

/// The 28 of the paper's evaluation: fairness, and one category for each metric, named as its weight.
[[nodiscard]] std::vector<WeightSetting> paper_settings();

/// An order of layers, from the one that deserves precision most. The paper's is `contribution`; the others are the
/// ablation's: does the ranking matter?
struct LayerOrder {
    std::string name;  ///< contribution, similarity, depth, reverse, random 1 …
    std::vector<std::size_t> layers;
};

/// The paper's order; with `ablation` also mean similarity alone, depth, the paper's reversed, and 5 random ones, and where
/// `sensitivity` is given, by KL divergence in the type of least memory.
[[nodiscard]] std::vector<LayerOrder> layer_orders(const std::vector<LayerScore>& layers, bool ablation,
                                                   const Sensitivity* sensitivity = nullptr);

/// A weight setting, and what the plan for it chose.
struct SettingResult {
    std::string category;
    Plan plan;
};

/// The models of the settings, in their order, with layers in one order.
struct OrderResult {
    std::string order;
    std::vector<std::size_t> models;  ///< one per setting: index of its model
};

/// A set of models to compare with uniform ones.
struct ModelSet {
    std::string name;
    std::vector<std::string> types;        ///< chosen from
    std::vector<Candidate> candidates;     ///< as planned, one for each model; none for models that were not planned
    std::vector<std::size_t> models;       ///< indices into Evaluation::models
    std::vector<std::size_t> baseline;     ///< the uniform models to compare with; empty: Evaluation::uniform
    std::optional<double> estimated_gain;  ///< of hypervolume, before anything was built
    /// What the models were to be better than, one for each, measured in their rounds; else none.
    std::vector<Measurement> rivals{};
};

/// Everything planned, built and measured for one model. Tables and gains follow from it.
struct Evaluation {
    Profile profile;
    Scores scores;
    Measurement reference;             ///< the full-precision model; its speed is not measured
    std::vector<Measurement> uniform;  ///< in the same rounds as the mixed models
    std::vector<SettingResult> settings;
    std::vector<MixedModel> models;
    std::vector<OrderResult> orders;  ///< the paper's first
    std::vector<ModelSet> sets;
};

/// The measured models at `indices`.
[[nodiscard]] std::vector<Measurement> models_of(const Evaluation& evaluation, std::span<const std::size_t> indices);

/// The uniform models that `set` is compared with.
[[nodiscard]] std::vector<Measurement> baseline_of(const Evaluation& evaluation, const ModelSet& set);

/// How far a category is from the best of all settings (paper, Table 2), and how many bits it spends (Figure 5).
struct CategoryResult {
    std::string category;
    Costs mean_difference{};  ///< mean over its settings of (value − best) / best, for each of the paper's objectives
    double mean_bits_per_weight = 0;
    double bits_per_weight_deviation = 0;  ///< standard deviation
};

/// By category, in the order of the settings, for the paper's order of layers.
[[nodiscard]] std::vector<CategoryResult> compare_categories(const Evaluation& evaluation);

/// For each of the paper's objectives, the categories whose settings reach its best value among the models of the paper's order.
[[nodiscard]] std::vector<std::vector<std::string>> best_categories(const Evaluation& evaluation);

}  // namespace apreqel
