// The words a model is scored and measured on: the user's, or else the model's own.
#pragma once

#include "study/keys.h"
#include "study/study.h"

#include <string>
#include <vector>

namespace apreqel {

/// The evaluation text, without its last newline, as llama-perplexity reads it.
[[nodiscard]] Result<std::string> evaluation_text(const Study& study);

/// The prompts layers are scored on.
[[nodiscard]] Result<std::vector<std::string>> scoring_prompts(const Study& study);

/// The text an importance matrix is collected and sensitivities are probed on: not the one that models are measured on.
[[nodiscard]] Result<std::string> calibration_text(const Study& study);

/// Input::text, prompts or calibration, and what a stage needs of it at least.
struct TextNeed {
    Input text;
    std::size_t tokens;
    std::string why;
};
[[nodiscard]] TextNeed measuring(const Study& study);
[[nodiscard]] TextNeed probing(const Study& study);
[[nodiscard]] TextNeed collecting(const ImportanceSettings& settings);
[[nodiscard]] TextNeed scoring();

/// Refuses texts that are too short, before anything long begins: only the tokenizer is loaded. First those that are given; then
/// the others, which are sampled here.
[[nodiscard]] Result<> check_texts(const Study& study, const std::vector<TextNeed>& needs);

[[nodiscard]] std::string calibration_source(const Study& study);
[[nodiscard]] std::string prompts_source(const Study& study);

}  // namespace apreqel
