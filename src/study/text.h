// The words a model is scored and measured on: the user's, or else the model's own.
#pragma once

#include "study/study.h"

namespace apreqel {

/// The evaluation text, without its last newline, as llama-perplexity reads it.
[[nodiscard]] Result<std::string> evaluation_text(const Study& study);

/// The prompts layers are scored on.
[[nodiscard]] Result<std::vector<std::string>> scoring_prompts(const Study& study);

/// The text an importance matrix is collected and sensitivities are probed on: not the one that models are measured on.
[[nodiscard]] Result<std::string> calibration_text(const Study& study);

[[nodiscard]] std::string calibration_source(const Study& study);
[[nodiscard]] std::string prompts_source(const Study& study);

}  // namespace apreqel
