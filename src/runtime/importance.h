// Collects importance matrices: watches what libllama multiplies every weight with.
#pragma once

#include "base/monitor.h"
#include "model/importance.h"
#include "runtime/session.h"

#include <span>

namespace apreqel {

/// Runs the text chunk by chunk, the first token of each replaced by BOS, and sums up the inputs of every weight that takes a
/// layer's type, as llama-imatrix does. `text` of the result is left empty. Weights and experts that saw no input are warned of.
/// Errors: fewer tokens than one context; inputs that are not finite; a graph that uses none of the weights.
[[nodiscard]] Result<ImportanceMatrix> collect_importance(const LoadedModel& model, const Inventory& inventory,
                                                          std::span<const Token> tokens, const ImportanceSettings& settings,
                                                          Monitor& monitor);

}  // namespace apreqel
