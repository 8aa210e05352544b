// Token generation and prompt processing speed by the algorithm of llama-bench, interleaved over models.
#pragma once

#include "base/monitor.h"
#include "runtime/energy.h"
#include "runtime/session.h"

#include <apreqel/measurement.h>

#include <filesystem>
#include <span>
#include <vector>

namespace apreqel {

/// Measures each model once per round, in an order drawn anew for each, so that neither a drift of the machine's speed nor the
/// model before favours one, and takes the drift out (`without_drift`). A prompt longer than libllama's batch is processed in
/// pieces, as llama-bench does, and so are the tokens of the depth, once. Rounds may end early, and be of fewer tokens: see
/// SpeedSettings. Models stay loaded if together they fit in half of the free memory, else each round loads them in turn.
/// `caches`: the types of the KV cache of each model; empty: those of `run`.
/// `sensors` are read where the energy is to be measured: during the generated tokens, so that prompts do not count, after a few
/// seconds in which nothing runs. Error: among others, they tell nothing.
[[nodiscard]] Result<std::vector<Speed>> measure_speed(std::span<const std::filesystem::path> models,
                                                       std::span<const CacheTypes> caches, const RunSettings& run,
                                                       const SpeedSettings& settings, Monitor& monitor,
                                                       std::shared_ptr<Sensors> sensors = machine_sensors());

/// Error: the energy of a token cannot be measured here, and why.
[[nodiscard]] Result<> check_energy(const RunSettings& run, std::shared_ptr<Sensors> sensors = machine_sensors());

}  // namespace apreqel
