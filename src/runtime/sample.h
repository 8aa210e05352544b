// Text written by the model itself: what is measured on where the user gives none.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

namespace apreqel {

/// Texts sampled at temperature 1 from the beginning of a sequence (BOS) and a line break, end tokens excluded. Without
/// the line break some models, trained on text that never begins, write noise. The same seed and device give the same
/// texts. Valid UTF-8.
[[nodiscard]] Result<std::vector<std::string>> sample_texts(const LoadedModel& model, const SampleSettings& settings,
                                                            Monitor& monitor);

}  // namespace apreqel
