// The readers of JSON documents and of prompts.
#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "study/format.h"

#include <array>

namespace apreqel::fuzz {
namespace {

template <auto read>
bool accepts(std::string_view input)
{
    const MemoryFile file(input);
    return read(file.path()).has_value();
}

/// A study of a model with two types and two layers.
Result<Evaluation> read_study(const std::filesystem::path& path)
{
    Profile profile{.layers = 2};
    profile.types = {{.type = "q4_K", .bits_per_weight = 4.5}, {.type = "q8_0", .bits_per_weight = 8.5}};
    Scores scores;
    scores.layers = {{.layer = "blk.0.attn", .score = 1}, {.layer = "blk.0.ffn", .score = 2}};
    return read_evaluation(path, profile, scores);
}

constexpr std::array kTargets{
    Target{"scores", accepts<read_scores>},   Target{"profile", accepts<read_profile>},
    Target{"plan", accepts<read_plan>},       Target{"sensitivity", accepts<read_sensitivity>},
    Target{"run", accepts<read_run>},         Target{"study", accepts<read_study>},
    Target{"quality", accepts<read_quality>}, Target{"speeds", accepts<read_speeds>},
    Target{"prompts", accepts<read_prompts>},
};

}  // namespace

std::span<const Target> record_targets() { return kTargets; }

}  // namespace apreqel::fuzz
