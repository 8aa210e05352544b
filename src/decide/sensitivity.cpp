#include <apreqel/sensitivity.h>
#include <apreqel/statistics.h>

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

/// KL divergences are compared as logarithms; below this they are rounding.
constexpr double kLeast = 1e-12;

/// ln (KL divergence / squared error) of a measured probe; nothing if it tells nothing.
std::optional<double> rate(const Probe& probe)
{
    if (!probe.measured || probe.squared_error <= 0) return std::nullopt;
    return std::log(std::max(probe.kld, kLeast) / probe.squared_error);
}

/// The rate of the group's measured probe nearest in squared error, leaving out probe `target` itself.
std::optional<double> nearest_rate(const GroupSensitivity& group, std::size_t target)
{
    std::optional<double> nearest;
    double least = 0;
    for (std::size_t q = 0; q < group.probes.size(); ++q) {
        const auto known = rate(group.probes[q]);
        if (q == target || !known || group.probes[target].squared_error <= 0) continue;
        const double distance = std::abs(std::log(group.probes[q].squared_error / group.probes[target].squared_error));
        if (nearest && distance >= least) continue;
        nearest = known;
        least = distance;
    }
    return nearest;
}

}  // namespace

Result<> fill_in(Sensitivity& sensitivity)
{
    std::vector<double> rates;
    std::vector<double> factors;
    for (const GroupSensitivity& group : sensitivity.groups) {
        for (std::size_t q = 0; q < group.probes.size(); ++q) {
            const auto own = rate(group.probes[q]);
            if (!own) continue;
            rates.push_back(*own);
            if (const auto other = nearest_rate(group, q)) factors.push_back(std::exp(std::abs(*own - *other)));
        }
    }
    if (rates.empty()) return fail("sense: nothing was probed, so there is nothing to fill in from: give it more time");
    const double common = median(rates);
    for (GroupSensitivity& group : sensitivity.groups) {
        for (std::size_t q = 0; q < group.probes.size(); ++q) {
            Probe& probe = group.probes[q];
            if (probe.measured || probe.memory_bytes == 0) continue;
            probe.kld = probe.squared_error * std::exp(nearest_rate(group, q).value_or(common));
        }
    }
    sensitivity.separability = {};
    if (!factors.empty())
        sensitivity.separability = {
            .pairs = factors.size(), .median_factor = median(factors), .worst_factor = std::ranges::max(factors)};
    return {};
}

}  // namespace apreqel
