// Collects the second moments of what weights are multiplied with: what error feedback needs.
#pragma once

#include "base/monitor.h"
#include "model/hessian.h"
#include "model/importance.h"
#include "runtime/session.h"

#include <span>
#include <vector>

namespace apreqel {

/// Which weights of the layers are multiplied with one and the same input, as a graph of one token shows. Weights of experts, those
/// that take no part, and those with rows that no quantized type fits are left out.
[[nodiscard]] Result<std::vector<SharedInput>> find_shared_inputs(const LoadedModel& model, const Inventory& inventory,
                                                                  Monitor& monitor);

/// Runs the text as collect_importance does, and sums up the second moments of each of `inputs`. `part`, to tell people: "2 of 3",
/// or empty. `importance`, unless null, becomes what collect_importance collects on the same text.
/// Errors: fewer tokens than one context; inputs that are not finite; with `importance` those of collect_importance.
[[nodiscard]] Result<std::vector<InputMoments>> collect_moments(const LoadedModel& model, const Inventory& inventory,
                                                                std::span<const SharedInput> inputs,
                                                                std::span<const Token> tokens,
                                                                const ImportanceSettings& settings, std::string_view part,
                                                                ImportanceMatrix* importance, Monitor& monitor);

}  // namespace apreqel
