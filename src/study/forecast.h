// How long work will take, before it begins.
#pragma once

#include "study/form.h"

namespace apreqel {

/// Tells, by its monitor, what `run` will do by the front method and about how long each step will take on this machine: from
/// the tokens that go through the model and the time that one takes, measured on a prompt through a shape of it. Nothing is said
/// of models with fewer than `least` weights, which take a moment, nor where sensitivities are known from a run before.
[[nodiscard]] Result<> forecast(const Study& study, const RunGoal& goal, std::uint64_t least = kWorthTiming);

}  // namespace apreqel
