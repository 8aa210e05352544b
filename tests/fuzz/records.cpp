// The readers of JSON documents and of prompts.
#include "fuzz/targets.h"
#include "records/format.h"

#include <array>

namespace apreqel::fuzz {
namespace {

template <auto parse>
bool accepts(std::string_view input)
{
    return parse(input).has_value();
}

/// A study of a model with two types and two layers.
Result<Evaluation> parse_study(std::string_view input)
{
    Profile profile;
    profile.model.layers = 2;
    for (const auto& [type, bits] : {std::pair("q4_K", 4.5), std::pair("q8_0", 8.5)}) {
        profile.model.types.push_back({.type = type, .bits_per_weight = bits});
        profile.device.models.push_back({.name = type});
    }
    Scores scores;
    scores.layers = {{.layer = "blk.0.attn", .score = 1}, {.layer = "blk.0.ffn", .score = 2}};
    return parse_evaluation(input, profile, scores);
}

constexpr std::array kRecordTargets{
    Target{"scores", accepts<parse_scores>},
    Target{"profile", accepts<parse_profile>},
    Target{"model-profile", accepts<parse_model_profile>},
    Target{"device-profile", accepts<parse_device_profile>},
    Target{"cache-profile", accepts<parse_cache_profile>},
    Target{"shape", accepts<parse_shape>},
    Target{"plan", accepts<parse_plan>},
    Target{"layout", accepts<parse_layout>},
    Target{"sensitivity", accepts<parse_sensitivity>},
    Target{"shard", accepts<parse_shard>},
    Target{"run", accepts<parse_run>},
    Target{"study", accepts<parse_study>},
    Target{"quality", accepts<parse_quality>},
    Target{"speeds", accepts<parse_speeds>},
    Target{"prompts", accepts<parse_prompts>},
};

}  // namespace

std::span<const Target> record_targets() { return kRecordTargets; }

}  // namespace apreqel::fuzz
