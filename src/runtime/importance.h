// Collects importance matrices: watches what libllama multiplies every weight with.
#pragma once

#include "base/monitor.h"
#include "model/importance.h"
#include "runtime/inputs.h"
#include "runtime/session.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace apreqel {

/// Sums up the squares of what every weight of a layer is multiplied with. The sums are in double, so that rounding does not grow
/// with the text.
class ImportanceObserver : public InputObserver {
public:
    explicit ImportanceObserver(const Inventory& inventory);

    /// What was seen of `chunks` chunks of `context` tokens; once. Weights and experts that saw no input are warned of.
    /// Errors: inputs that are not finite; a graph that uses none of the weights.
    [[nodiscard]] Result<ImportanceMatrix> matrix(const LoadedModel& model, std::size_t context, std::size_t chunks,
                                                  Monitor& monitor);

private:
    [[nodiscard]] bool is_whole(std::size_t number, const ggml_tensor& weight) const override;
    void add(std::size_t number, const ggml_tensor& node) override;
    void add_row(const ggml_tensor& input, std::int64_t i1, std::int64_t i2, std::int64_t i3, std::int64_t matrix,
                 InputSums& sums) const;

    std::vector<InputSums> sums_;
    std::vector<float> input_;
    std::vector<std::int32_t> experts_;
};

/// Runs the text chunk by chunk, the first token of each replaced by BOS, and sums up the inputs of every weight that takes a
/// layer's type, as llama-imatrix does. `text` of the result is left empty.
/// Errors: fewer tokens than one context, and those of ImportanceObserver::matrix.
[[nodiscard]] Result<ImportanceMatrix> collect_importance(const LoadedModel& model, const Inventory& inventory,
                                                          std::span<const Token> tokens, const ImportanceSettings& settings,
                                                          Monitor& monitor);

}  // namespace apreqel
