// The uniform variants of a model: built once, measured, and spliced into every mix.
#pragma once

#include "study/study.h"

namespace apreqel {

/// What a key says of the importance matrix; empty without one.
[[nodiscard]] std::string importance_key(const Inventory& inventory);

/// Where the variant lives in the workspace; it is valid as soon as it exists.
[[nodiscard]] std::filesystem::path variant_path(const Workspace& workspace, const Inventory& inventory, QuantType type,
                                                 QuantType embedding_type);

/// Builds the missing variants of the study's types, all in one read of the source.
[[nodiscard]] Result<std::vector<std::filesystem::path>> build_variants(const Study& study);

}  // namespace apreqel
