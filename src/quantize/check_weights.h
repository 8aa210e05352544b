// A read of the weights before anything is computed with them.
#pragma once

#include "base/monitor.h"

#include <apreqel/inventory.h>

namespace apreqel {

/// Reads every tensor in f32, f16, bf16 or a quantized type once. Errors: a weight is not a finite number; unreadable; interrupted.
[[nodiscard]] Result<> check_weights(const Inventory& inventory, unsigned threads, Monitor& monitor);

}  // namespace apreqel
