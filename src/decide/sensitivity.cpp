#include <apreqel/sensitivity.h>
#include <apreqel/statistics.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace apreqel {
namespace {

/// KL divergences are compared as logarithms; below this they are rounding.
constexpr double kLeast = 1e-12;

/// Groups of the same kind to either side that tell what to expect of one, and how many of these it takes.
constexpr std::ptrdiff_t kNeighbours = 2;
constexpr std::size_t kEnough = 3;

/// "ffn_gate+ffn_up" of "blk.3.ffn_gate+ffn_up".
std::string_view kind_of(std::string_view group)
{
    const std::size_t dot = group.starts_with("blk.") ? group.find('.', 4) : std::string_view::npos;
    return dot == std::string_view::npos ? group : group.substr(dot + 1);
}

/// What errors are compared by: the weighted ones, if they are known of all candidates.
auto error_measure(const Sensitivity& sensitivity)
{
    const bool weighted = std::ranges::all_of(sensitivity.groups, [](const GroupSensitivity& group) {
        return std::ranges::all_of(group.probes, [](const Probe& probe) {
            return probe.memory_bytes == 0 || (probe.weighted_error > 0) == (probe.squared_error > 0);
        });
    });
    return weighted ? &Probe::weighted_error : &Probe::squared_error;
}

/// Factors from errors to KL divergences, as logarithms.
class Rates {
public:
    explicit Rates(const Sensitivity& sensitivity) : error_(error_measure(sensitivity)) {}

    [[nodiscard]] double error(const Probe& probe) const { return probe.*error_; }

    /// Of a measured probe; nothing if it tells nothing.
    [[nodiscard]] std::optional<double> of(const Probe& probe) const
    {
        if (!probe.measured || error(probe) <= 0) return std::nullopt;
        return std::log(std::max(probe.kld, kLeast) / error(probe));
    }

    /// What the group's measured probes make of probe `target`, which itself is left out: the rate of the nearest in error, or
    /// between those of the next below and above.
    [[nodiscard]] std::optional<double> estimate(const GroupSensitivity& group, std::size_t target) const
    {
        if (error(group.probes[target]) <= 0) return std::nullopt;
        const double wanted = std::log(error(group.probes[target]));
        std::optional<std::pair<double, double>> below;  // logarithms of error and rate
        std::optional<std::pair<double, double>> above;
        for (std::size_t q = 0; q < group.probes.size(); ++q) {
            const auto known = of(group.probes[q]);
            if (q == target || !known) continue;
            const std::pair<double, double> point{std::log(error(group.probes[q])), *known};
            if (point.first <= wanted && (!below || point.first > below->first)) below = point;
            if (point.first > wanted && (!above || point.first < above->first)) above = point;
        }
        if (!below || !above) return below ? std::optional(below->second) : above ? std::optional(above->second) : std::nullopt;
        const double part = (wanted - below->first) / (above->first - below->first);
        return below->second + part * (above->second - below->second);
    }

private:
    double Probe::* error_;
};

Separability summarize_factors(const std::vector<double>& factors)
{
    if (factors.empty()) return {};
    return {.pairs = factors.size(), .median_factor = median(factors), .worst_factor = std::ranges::max(factors)};
}

}  // namespace

Result<> fill_in(Sensitivity& sensitivity)
{
    const Rates rates(sensitivity);
    std::vector<double> all;
    std::vector<double> factors;
    for (const GroupSensitivity& group : sensitivity.groups) {
        for (std::size_t q = 0; q < group.probes.size(); ++q) {
            const auto own = rates.of(group.probes[q]);
            if (!own) continue;
            all.push_back(*own);
            if (const auto other = rates.estimate(group, q)) factors.push_back(std::exp(std::abs(*own - *other)));
        }
    }
    if (all.empty()) return fail("sense: nothing was probed, so there is nothing to fill in from: give it more time");
    const double common = median(all);
    for (GroupSensitivity& group : sensitivity.groups) {
        for (std::size_t q = 0; q < group.probes.size(); ++q) {
            Probe& probe = group.probes[q];
            if (probe.measured || probe.memory_bytes == 0) continue;
            probe.kld = rates.error(probe) * std::exp(rates.estimate(group, q).value_or(common));
        }
    }
    sensitivity.separability = summarize_factors(factors);
    return {};
}

Separability held_out(const Sensitivity& sensitivity, std::span<const Cell> known, std::span<const Cell> held)
{
    Sensitivity filled = sensitivity;
    for (std::size_t g = 0; g < filled.groups.size(); ++g)
        for (std::size_t q = 0; q < filled.types.size(); ++q)
            if (!std::ranges::contains(known, Cell{g, q})) filled.groups[g].probes[q].measured = false;
    if (!fill_in(filled)) return {};
    std::vector<double> factors;
    for (const auto& [g, q] : held) {
        const Probe& probe = sensitivity.groups[g].probes[q];
        if (!probe.measured) continue;
        const double estimate = filled.groups[g].probes[q].kld;
        factors.push_back(std::exp(std::abs(std::log(std::max(probe.kld, kLeast) / std::max(estimate, kLeast)))));
    }
    return summarize_factors(factors);
}

std::vector<Cell> outliers(const Sensitivity& sensitivity, std::span<const Cell> cells, double factor)
{
    const Rates rates(sensitivity);
    std::vector<std::ptrdiff_t> places;  // of each group among those of its kind
    std::map<std::string_view, std::ptrdiff_t> counts;
    for (const GroupSensitivity& group : sensitivity.groups) places.push_back(counts[kind_of(group.group)]++);
    std::vector<std::pair<double, Cell>> far;
    for (const Cell& cell : cells) {
        const GroupSensitivity& group = sensitivity.groups[cell.group];
        const auto own = rates.of(group.probes[cell.type]);
        std::vector<double> around;
        for (const Cell& other : cells) {
            const std::ptrdiff_t distance = places[other.group] - places[cell.group];
            const GroupSensitivity& neighbour = sensitivity.groups[other.group];
            if (distance == 0 || std::abs(distance) > kNeighbours || kind_of(neighbour.group) != kind_of(group.group)) continue;
            if (const auto rate = rates.of(neighbour.probes[other.type])) around.push_back(*rate);
        }
        if (!own || around.size() < kEnough) continue;
        const double away = std::abs(*own - median(around));
        if (away > std::log(factor)) far.emplace_back(away, cell);
    }
    std::ranges::stable_sort(far, std::greater{}, [](const auto& entry) { return entry.first; });
    std::vector<Cell> found;
    for (const auto& [away, cell] : far) found.push_back(cell);
    return found;
}

}  // namespace apreqel
