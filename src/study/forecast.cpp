#include "study/forecast.h"

#include "study/text.h"

#include <apreqel/look.h>
#include <apreqel/refine.h>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

// What a token takes in other work ÷ in a prompt of its own, and what else there is to do, as seen with models of 135 and 270
// million weights on two cores of an AMD EPYC: the forecast is good to a factor of two.
constexpr double kWritten = 1.3;             ///< when several texts are written at a time
constexpr double kProbe = 1.25;              ///< with the weights exchanged
constexpr double kQuantizedWeights = 1.5e7;  ///< a second
constexpr double kTimedModel = 3;            ///< seconds of all its rounds
constexpr double kUsualTypes = 8;

constexpr double kMatrixTokens = 8192;
constexpr double kMomentTokens = 2 * 8192;  // of the same text, and the sums take as long again
constexpr double kProbeTokens = 20'000;
constexpr double kCacheTokens = 14'000;

std::string about(double seconds)
{
    if (seconds < 90) return std::format("{:.0f} s", std::max(1.0, seconds));
    if (seconds < 5400) return std::format("{:.0f} min", seconds / 60);
    return std::format("{:.1f} h", seconds / 3600);
}

}  // namespace

Result<> forecast(const Study& study, const RunGoal& goal, std::uint64_t least)
{
    std::error_code ignored;
    if (study.inventory.parameters() < least || std::filesystem::exists(study.workspace.path("sensitivity.json"), ignored))
        return {};
    const auto form = fastest_form(study, least);
    if (!form) return std::unexpected(form.error());
    study.monitor.begin("forecast", 0);
    const auto token = seconds_per_token(study, *form);
    if (!token) return std::unexpected(token.error());
    const auto text = static_cast<double>(study.settings.quality.chunks * study.settings.quality.context);
    const double build = static_cast<double>(study.inventory.parameters()) / kQuantizedWeights;
    double all = 0;
    std::string steps;
    const auto add = [&](std::string_view step, double seconds) {
        if (seconds <= 0) return;
        all += seconds;
        steps += std::format("{}{} {}", steps.empty() ? "" : ", ", step, about(seconds));
    };
    add("text", *token * kWritten *
                    ((study.settings.text.empty() ? text : 0) + (study.settings.calibration.empty() ? kMatrixTokens : 0)));
    if (!goal.feedback || study.inventory.experts > 0) add("importance", *token * kMatrixTokens);
    if (goal.feedback) add("inputs of layers", *token * kMomentTokens);
    add("latencies", kTimedModel * 2 * kUsualTypes);
    if (study.settings.mix_cache) add("types of the KV cache", *token * kCacheTokens + kTimedModel * kUsualTypes);
    add("probes", *token * kProbe * kProbeTokens);
    add(reference_name(study), *token * text);
    add("rivals", static_cast<double>(goal.rivals.size()) * (build + *token * text));
    constexpr auto kCandidates = static_cast<double>(kMostAttempts);
    const auto looks = static_cast<double>(look_of(study.settings.quality.chunks) * study.settings.quality.context);
    add(std::format("{} candidates", kMostAttempts),
        kCandidates * (build + *token * (looks > 0 ? looks : text) + kTimedModel * (kCandidates + 1) / 2) +
            (looks > 0 ? *token * text : 0));
    study.monitor.end(std::format("{}; in all about {}{}", steps, about(all),
                                  goal.minutes > 0 ? std::format(", of {} that there are", about(60 * goal.minutes)) : ""));
    return {};
}

}  // namespace apreqel
