// The JSON form of the records that only the program has; the others are in <apreqel/json.h>.
#pragma once

#include "model/importance.h"
#include "model/model_shape.h"

#include <apreqel/inventory.h>
#include <apreqel/json.h>
#include <apreqel/sensitivity.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// A plan that was built beside the one that is shipped.
struct TriedModel {
    Metrics predicted = every_criterion(kUnknown);
    Measurement measured;  ///< `name`: "plan 2", "all q4_K"
};

/// What `run` ends with: the plan, and every model measured side by side. `mix.name` is the output file.
struct RunResult {
    Plan plan;
    Measurement reference;             ///< the full-precision model; its speed is not measured
    std::vector<Measurement> uniform;  ///< the uniform variants in the order of plan.types; of the paper's method
    Measurement mix;
    std::vector<Measurement> rivals{};  ///< what the mix was to be better than, measured in its rounds
    std::vector<TriedModel> tried{};    ///< what was built and measured too, and was not better
    std::string because{};              ///< why that one, for people
    bool limits_kept = true;            ///< as measured
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

[[nodiscard]] std::string to_json(const Inventory& inventory, const std::vector<TypeWeight>& weights,
                                  const ContextMemory& context);
[[nodiscard]] std::string to_json(const RunResult& result);
[[nodiscard]] std::string to_json(const ImportanceMatrix& matrix, const Inventory& inventory);

[[nodiscard]] Result<RunResult> parse_run(std::string_view text);
[[nodiscard]] Result<RunResult> read_run(const std::filesystem::path& path);

/// One part of several that work is spread over.
struct Share {
    std::size_t number = 1;  ///< from 1 on
    std::size_t count = 1;

    [[nodiscard]] bool has(std::size_t place) const { return place % count + 1 == number; }
};

/// What one machine of several contributes to a sensitivity.
struct SensitivityShard {
    std::string key;  ///< of the sensitivity
    Share share{};
    std::size_t round = 1;    ///< above 1: what followed from the probes of the round before, which it has too
    std::size_t context = 0;  ///< tokens of a chunk, where every group is probed in every type; 0: one type tells of the others
    std::size_t choices = 0;  ///< leading types that there are to choose from
    Sensitivity probes;       ///< nothing filled in
};
[[nodiscard]] std::string to_json(const SensitivityShard& shard);
[[nodiscard]] Result<SensitivityShard> parse_shard(std::string_view text);
[[nodiscard]] Result<SensitivityShard> read_shard(const std::filesystem::path& path);

[[nodiscard]] std::string to_json(const ModelShape& shape);
[[nodiscard]] Result<ModelShape> parse_shape(std::string_view text);
[[nodiscard]] Result<ModelShape> read_shape(const std::filesystem::path& path);

/// Prompts: one per line, or one JSON object per line with a `prompt`, `text` or `turns` (its first) field.
[[nodiscard]] Result<std::vector<std::string>> parse_prompts(std::string_view text);
[[nodiscard]] Result<std::vector<std::string>> read_prompts(const std::filesystem::path& path);
[[nodiscard]] std::string prompts_jsonl(const std::vector<std::string>& prompts);

/// The table of fields in docs/formats.md under the heading `section`; error: there is none.
[[nodiscard]] Result<std::string> documented_fields(std::string_view section);

}  // namespace apreqel
