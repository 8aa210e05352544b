// The JSON form of every record. docs/formats.md is the contract; what is read is untrusted.
#pragma once

#include "model/importance.h"

#include <apreqel/evaluation.h>
#include <apreqel/inventory.h>
#include <apreqel/plan.h>
#include <apreqel/sensitivity.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What `run` ends with: the plan, and every model measured side by side. `mix.name` is the output file.
struct RunResult {
    Plan plan;
    Measurement reference;             ///< the full-precision model; its speed is not measured
    std::vector<Measurement> uniform;  ///< in the order of plan.types
    Measurement mix;
    std::vector<Measurement> tried{};  ///< mixes that were built and measured too, and were not better
    std::string instead{};             ///< the uniform type that is shipped in the place of a mix it dominates, or empty
    bool limits_kept = true;           ///< as measured
    std::string device;
    std::string text;
    std::string version;
};

/// What every type would weigh, for `inspect`.
struct TypeWeight {
    std::string type;
    std::uint64_t tensor_bytes = 0;  ///< memory
    std::uint64_t file_bytes = 0;    ///< exact size of the file `quantize` would write
    double bits_per_weight = 0;
    std::vector<Fallback> fallbacks;
};

[[nodiscard]] std::string to_json(const Inventory& inventory, const std::vector<TypeWeight>& weights);
[[nodiscard]] std::string to_json(const Scores& scores, std::string_view key = {});
[[nodiscard]] std::string to_json(const Profile& profile, std::string_view key = {});
[[nodiscard]] std::string to_json(const Sensitivity& sensitivity, std::string_view key = {});
[[nodiscard]] std::string to_json(const Plan& plan);
[[nodiscard]] std::string to_json(const std::vector<Measurement>& measurements, const std::string& device,
                                  const std::string& text);
[[nodiscard]] std::string to_json(const RunResult& result);
[[nodiscard]] std::string to_json(const ImportanceMatrix& matrix, const Inventory& inventory);
[[nodiscard]] std::string to_json(const Evaluation& evaluation);

/// The part of a measurement that is a property of the model, and the part that is one of the device.
[[nodiscard]] std::string to_json(const Quality& quality);
[[nodiscard]] std::string to_json(const std::vector<Speed>& speeds);

/// Errors name file, field and cause: not JSON, not this schema, field missing, of another type or out of range.
[[nodiscard]] Result<Scores> read_scores(const std::filesystem::path& path);
[[nodiscard]] Result<Profile> read_profile(const std::filesystem::path& path);
/// Only the allocation is required; the rest is filled as far as the file has it.
[[nodiscard]] Result<Plan> read_plan(const std::filesystem::path& path);
[[nodiscard]] Result<Sensitivity> read_sensitivity(const std::filesystem::path& path);
[[nodiscard]] Result<RunResult> read_run(const std::filesystem::path& path);
/// `profile` and `scores`: those of the same model; the study's types are the profile's.
[[nodiscard]] Result<Evaluation> read_evaluation(const std::filesystem::path& path, const Profile& profile,
                                                 const Scores& scores);
[[nodiscard]] Result<Quality> read_quality(const std::filesystem::path& path);
[[nodiscard]] Result<std::vector<Speed>> read_speeds(const std::filesystem::path& path);

/// The `key` a scores or sensitivity file was written with, or empty.
[[nodiscard]] std::string read_key(const std::filesystem::path& path);

/// Prompts: one per line, or one JSON object per line with a `prompt`, `text` or `turns` (its first) field.
[[nodiscard]] Result<std::vector<std::string>> read_prompts(const std::filesystem::path& path);
[[nodiscard]] std::string prompts_jsonl(const std::vector<std::string>& prompts);

}  // namespace apreqel
