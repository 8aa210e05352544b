// How the sub-layers of a model's blocks hang on the residual stream.
#pragma once

#include "gguf/container.h"

#include <apreqel/inventory.h>

namespace apreqel {

/// Sets Inventory::residual and its reason from the architecture, the tensors' roles and the layers found.
void find_residual(Inventory& inventory, const Container& container);

}  // namespace apreqel
