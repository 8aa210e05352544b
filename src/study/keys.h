// What an artifact was made from, as text: equal keys, equal results.
#pragma once

#include "study/study.h"

#include <string>
#include <string_view>

namespace apreqel {

/// What of a variant's making is not in its name.
[[nodiscard]] std::string variant_key(const Inventory& inventory, const Variant& variant);

/// All of an allocation, on this study's model.
[[nodiscard]] std::string allocation_key(const Study& study, const std::vector<LayerType>& allocation);

/// How quality is measured, on `text`.
[[nodiscard]] std::string quality_key(const Study& study, std::string_view text);

/// How and where speed is measured.
[[nodiscard]] std::string speed_key(const Study& study);

}  // namespace apreqel
