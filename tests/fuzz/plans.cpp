// The planners, fed with what the readers accept. An input is two documents, each on one line.
#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "study/format.h"

#include <apreqel/plan.h>

#include <algorithm>
#include <array>
#include <utility>

namespace apreqel::fuzz {
namespace {

// More than this is planned too, but takes longer than a fuzzer has patience.
constexpr std::size_t kMostTypes = 4;
constexpr std::size_t kMostLayers = 8;

constexpr Weights kBalanced{1. / 3, 1. / 3, 1. / 3};

std::pair<std::string_view, std::string_view> two_lines(std::string_view input)
{
    const std::size_t end = std::min(input.find('\n'), input.size());
    return {input.substr(0, end), input.substr(std::min(end + 1, input.size()))};
}

bool accepts_paper(std::string_view input)
{
    const auto [first, second] = two_lines(input);
    const MemoryFile profile_file(first);
    const auto profile = read_profile(profile_file.path());
    if (!profile || profile->types.size() > kMostTypes) return false;
    const MemoryFile scores_file(second);
    const auto scores = read_scores(scores_file.path());
    if (!scores || scores->layers.size() > kMostLayers) return false;
    const auto plan = make_plan(*profile, *scores, kBalanced);
    if (plan) static_cast<void>(to_json(*plan) + tensor_type_file(*plan));
    return plan.has_value();
}

bool accepts_front(std::string_view input)
{
    const auto [first, second] = two_lines(input);
    const MemoryFile profile_file(first);
    const auto profile = read_profile(profile_file.path());
    if (!profile || profile->types.size() > kMostTypes || profile->mixes.size() > kMostLayers) return false;
    const MemoryFile sensitivity_file(second);
    const auto sensitivity = read_sensitivity(sensitivity_file.path());
    if (!sensitivity || sensitivity->layers.size() > kMostLayers) return false;
    const auto plan = make_front_plan(*profile, *sensitivity, kBalanced, {});
    if (plan) static_cast<void>(to_json(*plan) + tensor_type_file(*plan));
    const Limits limits{.memory_bytes = 5000, .latency_ms = 2, .kld = 1, .perplexity_increase = 0.5, .context = 10};
    static_cast<void>(make_front_plan(*profile, *sensitivity, kBalanced, limits, Normalization::vector, 1, true));
    return plan.has_value();
}

constexpr std::array kTargets{
    Target{"paper", accepts_paper},
    Target{"front", accepts_front},
};

}  // namespace

std::span<const Target> plan_targets() { return kTargets; }

}  // namespace apreqel::fuzz
