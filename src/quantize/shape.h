// Models without weights: all that decides how fast a model runs, in a few megabytes.
#pragma once

#include "quantize/write_models.h"

namespace apreqel {

/// Writes the file of `spec` from the model's header alone: its weights are a hole, which reads as zeros and takes no room on
/// disk. A token takes as long as in the model itself, as no kernel looks at what it multiplies.
/// Only experts are chosen by what is computed: so that they are chosen as widely as in use, the embedding, the norms and the
/// routers of a mixture of experts are filled with random numbers, the same in every file.
/// Errors: as those of `write_models`.
[[nodiscard]] Result<> write_shape(const Inventory& inventory, const ModelSpec& spec);

}  // namespace apreqel
