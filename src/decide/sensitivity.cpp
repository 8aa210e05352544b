#include <apreqel/sensitivity.h>

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

double median(std::vector<double> values)
{
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

/// The rate of the layer's measured probe nearest in squared error, leaving out probe `target` itself.
std::optional<double> nearest_rate(const LayerSensitivity& layer, std::size_t target)
{
    std::optional<double> nearest;
    double least = 0;
    for (std::size_t q = 0; q < layer.probes.size(); ++q) {
        const auto known = rate(layer.probes[q]);
        if (q == target || !known || layer.probes[target].squared_error <= 0) continue;
        const double distance = std::abs(std::log(layer.probes[q].squared_error / layer.probes[target].squared_error));
        if (nearest && distance >= least) continue;
        nearest = known;
        least = distance;
    }
    return nearest;
}

}  // namespace

Result<> fill_in(Sensitivity& sensitivity)
{
    std::vector<LayerSensitivity*> layers;
    for (LayerSensitivity& layer : sensitivity.layers) layers.push_back(&layer);
    layers.push_back(&sensitivity.embedding);
    std::vector<double> rates;
    std::vector<double> factors;
    for (const LayerSensitivity* layer : layers) {
        for (std::size_t q = 0; q < layer->probes.size(); ++q) {
            const auto own = rate(layer->probes[q]);
            if (!own) continue;
            rates.push_back(*own);
            if (const auto other = nearest_rate(*layer, q)) factors.push_back(std::exp(std::abs(*own - *other)));
        }
    }
    if (rates.empty()) return fail("sense: no layer was probed, so there is nothing to fill in from: give it more time");
    const double common = median(rates);
    for (LayerSensitivity* layer : layers) {
        for (std::size_t q = 0; q < layer->probes.size(); ++q) {
            Probe& probe = layer->probes[q];
            if (probe.measured) continue;
            probe.kld = probe.squared_error * std::exp(nearest_rate(*layer, q).value_or(common));
        }
    }
    sensitivity.separability = {};
    if (!factors.empty())
        sensitivity.separability = {
            .pairs = factors.size(), .median_factor = median(factors), .worst_factor = std::ranges::max(factors)};
    return {};
}

}  // namespace apreqel
