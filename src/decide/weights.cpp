#include <apreqel/plan.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ranges>

namespace apreqel {
namespace {

struct Preset {
    std::string_view name;
    Weights weights;
};

constexpr std::array kPresets{
    Preset{"balanced", {1.0 / 3, 1.0 / 3, 1.0 / 3}},
    Preset{"memory", {0.8, 0.1, 0.1}},
    Preset{"latency", {0.1, 0.8, 0.1}},
    Preset{"accuracy", {0.1, 0.1, 0.8}},
};

std::string_view trimmed(std::string_view text)
{
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    return text.substr(0, text.find_last_not_of(" \t") + 1);
}

/// A weight, or nothing if `text` is not a finite number of 0 or more.
std::optional<double> parse_weight(std::string_view text)
{
    double weight = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, weight);
    if (error != std::errc() || rest != end || !std::isfinite(weight) || weight < 0) return std::nullopt;
    return weight;
}

std::unexpected<Error> refuse(std::string_view text, std::string_view why)
{
    return std::unexpected(
        Error{ErrorCode::usage, std::format("weights \"{}\": {}", text, why),
              "give 0.2,0.6,0.2 (memory,latency,accuracy), or memory=.2,latency=.6,accuracy=.2, or one of balanced, "
              "memory, latency, accuracy"});
}

}  // namespace

Result<Weights> parse_weights(std::string_view text)
{
    if (const auto preset = std::ranges::find(kPresets, trimmed(text), &Preset::name); preset != kPresets.end())
        return preset->weights;

    std::vector<std::string_view> parts;
    for (const auto part : std::views::split(text, ',')) parts.push_back(trimmed(std::string_view(part)));
    Weights weights{};
    std::array<bool, kMetrics> given{};
    const bool named = text.contains('=');
    if (!named && parts.size() != kMetrics) return refuse(text, "not three numbers, names or a preset");
    for (std::size_t p = 0; p < parts.size(); ++p) {
        std::size_t metric = p;
        std::string_view number = parts[p];
        if (named) {
            const std::size_t equals = number.find('=');
            const std::string_view name = trimmed(number.substr(0, equals));
            metric = static_cast<std::size_t>(std::ranges::find(kMetricNames, name) - kMetricNames.begin());
            if (equals == std::string_view::npos || metric == kMetrics)
                return refuse(text, std::format("\"{}\" names no metric", parts[p]));
            if (std::exchange(given[metric], true)) return refuse(text, std::format("{} is given twice", name));
            number = trimmed(number.substr(equals + 1));
        }
        const auto weight = parse_weight(number);
        if (!weight) return refuse(text, std::format("\"{}\" is not a number of 0 or more", number));
        weights[metric] = *weight;
    }
    if (std::ranges::all_of(weights, [](double weight) { return weight == 0; })) return refuse(text, "all are 0");
    return weights;
}

}  // namespace apreqel
