// The planners, fed with what the readers accept. An input is two documents, each on one line.
#include "fuzz/targets.h"
#include "records/format.h"

#include <apreqel/plan.h>

#include <algorithm>
#include <array>
#include <utility>

namespace apreqel::fuzz {
namespace {

// More than this is planned too, but takes longer than a fuzzer has patience.
constexpr std::size_t kMostTypes = 4;
constexpr std::size_t kMostLayers = 8;

const Weights kBalanced = parse_weights("balanced").value();

std::pair<std::string_view, std::string_view> two_lines(std::string_view input)
{
    const std::size_t end = std::min(input.find('\n'), input.size());
    return {input.substr(0, end), input.substr(std::min(end + 1, input.size()))};
}

/// Works on a plan as the program does.
bool written(const Result<Plan>& plan)
{
    if (plan) static_cast<void>(to_json(*plan) + tensor_type_file(*plan).value_or(""));
    return plan.has_value();
}

bool accepts_paper(std::string_view input)
{
    const auto [first, second] = two_lines(input);
    const auto profile = parse_profile(first);
    if (!profile || profile->model.types.size() > kMostTypes) return false;
    const auto scores = parse_scores(second);
    if (!scores || scores->layers.size() > kMostLayers) return false;
    return written(make_plan(*profile, *scores, {.weights = kBalanced}));
}

bool accepts_front(std::string_view input)
{
    const auto [first, second] = two_lines(input);
    const auto profile = parse_profile(first);
    if (!profile || profile->model.types.size() > kMostTypes || profile->device.models.size() > kMostLayers) return false;
    const auto sensitivity = parse_sensitivity(second);
    if (!sensitivity || sensitivity->groups.size() > kMostLayers) return false;
    PlanRequest request{.method = Method::front, .weights = kBalanced};
    const bool accepted = written(make_front_plan(*profile, *sensitivity, request));
    request.limits.context = {.tokens = 10, .cache_bytes = 100, .buffer_bytes = 10};
    request.limits.most[kMemory] = 5000;
    request.limits.most[kLatency] = 2;
    request.limits.most[kDivergence] = 1;
    request.limits.most[kPerplexityIncrease] = 0.5;
    request.normalization = Normalization::vector;
    request.mix_embedding = true;
    request.runners_up = 1;
    written(make_front_plan(*profile, *sensitivity, request));
    return accepted;
}

constexpr std::array kPlanTargets{
    Target{"paper", accepts_paper},
    Target{"front", accepts_front},
};

}  // namespace

std::span<const Target> plan_targets() { return kPlanTargets; }

}  // namespace apreqel::fuzz
