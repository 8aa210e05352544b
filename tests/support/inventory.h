// What the tests of models ask for again and again.
#pragma once

#include "quantize/assign_types.h"
#include "quantize/write_models.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <apreqel/inventory.h>
#include <apreqel/quant_type.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace apreqel {

/// The type of that name, which exists.
[[nodiscard]] inline QuantType type(const std::string& name) { return parse_type(name).value(); }

/// The tensor of that name, which is there.
[[nodiscard]] inline const Tensor& tensor(const Inventory& inventory, std::string_view name)
{
    return *std::ranges::find(inventory.tensors, name, &Tensor::name);
}

/// A tiny model, written into `folder` and read.
[[nodiscard]] inline Inventory tiny(const TempDir& folder, const TinyModelOptions& options = {})
{
    return read_inventory(make_tiny_model(folder.path(), options)).value();
}

/// What to write for a model all of whose tensors are of one type, as far as they can be.
[[nodiscard]] inline ModelSpec uniform(const Inventory& inventory, const std::filesystem::path& path,
                                       const std::string& name = "q4_K")
{
    return {path, assign_types(inventory, type(name), type(name)).types, {}};
}

}  // namespace apreqel
