// Text written by the model itself: what is measured on where the user gives none.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <string>
#include <vector>

namespace apreqel {

/// Freely: texts sampled at temperature 1 from the beginning of a sequence (BOS) and a line break, end tokens excluded. Without
/// the line break some models, trained on text that never begins, write noise.
///
/// Prompted: texts of some 128 tokens of many kinds (openings.h), as many as it takes that joined by line breaks they have
/// sequences × tokens tokens. A model with a chat template that libllama knows is asked, and its texts are question and answer
/// without markup; another one goes on from a beginning. min-p 0.05, temperature 1; an end token ends a text. A model whose tokens
/// are no words may give fewer.
///
/// The same seed and device give the same texts. Valid UTF-8.
[[nodiscard]] Result<std::vector<std::string>> sample_texts(const LoadedModel& model, const SampleSettings& settings,
                                                            Monitor& monitor);

}  // namespace apreqel
