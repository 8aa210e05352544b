// Several devices as one.
#include <apreqel/profile.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace apreqel {
namespace {

bool are_same(const TimedModel& left, const TimedModel& right)
{
    const auto equal = [](const GroupType& one, const GroupType& other) {
        return one.group == other.group && one.type == other.type;
    };
    if (left.allocation.empty() || right.allocation.empty())
        return left.allocation.empty() && right.allocation.empty() && left.name == right.name;
    return std::ranges::equal(left.allocation, right.allocation, equal);
}

/// The speeds of `model` on all devices; fewer where one did not time it.
std::vector<const Speed*> speeds_of(std::span<const DeviceProfile> devices, const TimedModel& model)
{
    std::vector<const Speed*> speeds;
    for (const DeviceProfile& device : devices) {
        const auto same = std::ranges::find_if(device.models, [&](const TimedModel& other) { return are_same(model, other); });
        if (same != device.models.end()) speeds.push_back(&same->speed);
    }
    return speeds;
}

double latency(const Speed& speed) { return speed.latency_ms.median; }
/// Milliseconds per token of a prompt; infinite where none was timed.
double prompt_latency(const Speed& speed) { return 1000 / speed.prompt_tokens_per_second.median; }
/// Joules; infinite where they were not counted.
double energy(const Speed& speed) { return speed.energy.joules.median > 0 ? speed.energy.joules.median : kUnlimited; }

Speed slowest(const std::vector<const Speed*>& speeds)
{
    const auto most = [&](auto time) {
        return *std::ranges::max_element(speeds, {}, [&](const Speed* s) { return time(*s); });
    };
    return {.latency_ms = most(latency)->latency_ms,
            .prompt_tokens_per_second = most(prompt_latency)->prompt_tokens_per_second,
            .energy = most(energy)->energy};
}

/// Of a time on every device: Σ w·t/f ÷ Σ w, times Σ w·f ÷ Σ w, where f is that of the fastest uniform variant.
class WeightedMean {
public:
    template <typename Time>
    WeightedMean(std::span<const DeviceProfile> devices, std::span<const double> weights, Time time)
        : weights_(weights), sum_(std::reduce(weights.begin(), weights.end()))
    {
        for (const DeviceProfile& device : devices) {
            double fastest = kUnlimited;
            for (const TimedModel& model : device.models)
                if (model.allocation.empty()) fastest = std::min(fastest, time(model.speed));
            fastest_.push_back(fastest);
            mean_ += weights[fastest_.size() - 1] * fastest / sum_;
        }
    }

    template <typename Time>
    [[nodiscard]] double of(const std::vector<const Speed*>& speeds, Time time) const
    {
        double relative = 0;
        for (std::size_t d = 0; d < speeds.size(); ++d) relative += weights_[d] * time(*speeds[d]) / fastest_[d];
        return mean_ * relative / sum_;
    }

private:
    std::span<const double> weights_;
    double sum_;
    double mean_ = 0;
    std::vector<double> fastest_;
};

Sampled exactly(double value) { return {.median = value, .low = value, .high = value, .confidence = 0, .samples = {}}; }

bool has_cache(const DeviceProfile& device, const ContextMemory& context)
{
    return device.context.cache_type_k == context.cache_type_k && device.context.cache_type_v == context.cache_type_v;
}

/// What all of them have room for if each has; without a size where they did not count the same tokens.
ContextMemory largest_context(std::span<const DeviceProfile> devices)
{
    const auto tokens = [](const DeviceProfile& device) { return device.context.tokens; };
    const auto bytes = [](const DeviceProfile& device) { return device.context.bytes(); };
    ContextMemory largest = std::ranges::max_element(devices, {}, bytes)->context;
    if (std::ranges::all_of(devices, [&](std::uint64_t counted) { return counted == largest.tokens; }, tokens)) return largest;
    return {.cache_type_k = largest.cache_type_k, .cache_type_v = largest.cache_type_v};
}

Result<> check(std::span<const DeviceProfile> devices, std::span<const double> weights)
{
    const DeviceProfile& first = devices.front();
    for (const DeviceProfile& device : devices) {
        if (device.model != first.model)
            return fail("plan: {} timed model {}, {} timed {}", first.device, first.model, device.device, device.model);
        if (!(device.workload == first.workload))
            return fail("plan: {} and {} timed other numbers of tokens: give all the same --workload", first.device,
                        device.device);
        if (!has_cache(device, first.context))
            return fail("plan: {} and {} timed other types of KV cache: give all the same --cache-type-k and --cache-type-v",
                        first.device, device.device);
        if (device.embedding_type != first.embedding_type)
            return fail("plan: {} timed embeddings in {}, {} in {}", first.device, first.embedding_type, device.device,
                        device.embedding_type);
        if (device.offload != first.offload)
            return fail("plan: {} and {} timed other numbers of layers on GPUs: no file is best for both", first.device,
                        device.device);
        for (const TimedModel& model : device.models)
            if (!(latency(model.speed) > 0))
                return fail("plan: the latency of {} on {} was not measured", model.name, device.device);
    }
    if (weights.empty()) return {};
    if (weights.size() != devices.size()) return usage_error("plan: {} weights for {} devices", weights.size(), devices.size());
    const bool sound = std::ranges::all_of(weights, [](double weight) { return std::isfinite(weight) && weight >= 0; });
    if (!sound || std::ranges::max(weights) <= 0) return usage_error("plan: weights of devices are 0 or more, and not all 0");
    return {};
}

}  // namespace

Result<DeviceProfile> fleet_of(std::span<const DeviceProfile> devices, std::span<const double> weights)
{
    if (devices.empty()) return fail("plan: no device");
    if (auto possible = check(devices, weights); !possible) return std::unexpected(possible.error());
    if (devices.size() == 1) return devices.front();
    DeviceProfile fleet = devices.front();
    fleet.models.clear();
    fleet.context = largest_context(devices);
    for (const DeviceProfile& device : devices.subspan(1)) fleet.device += "; " + device.device;
    fleet.device = (weights.empty() ? "the slowest of: " : "the weighted mean of: ") + fleet.device;
    const auto known = [&](auto time) {
        return std::ranges::all_of(devices, [&](const DeviceProfile& device) {
            return std::ranges::all_of(device.models, [&](const TimedModel& m) { return std::isfinite(time(m.speed)); });
        });
    };
    for (const TimedModel& model : devices.front().models) {
        const auto speeds = speeds_of(devices, model);
        if (speeds.size() < devices.size()) continue;
        TimedModel& common = fleet.models.emplace_back(model.name, model.allocation, slowest(speeds));
        if (!weights.empty()) {
            common.speed.latency_ms = exactly(WeightedMean(devices, weights, latency).of(speeds, latency));
            common.speed.prompt_tokens_per_second =
                exactly(1000 / WeightedMean(devices, weights, prompt_latency).of(speeds, prompt_latency));
            common.speed.energy.joules = exactly(WeightedMean(devices, weights, energy).of(speeds, energy));
        }
        if (!known(prompt_latency)) common.speed.prompt_tokens_per_second = Sampled{.samples = {}};
        if (!known(energy)) common.speed.energy = {};
    }
    if (fleet.models.empty()) return fail("plan: the devices timed no type in common");
    return fleet;
}

}  // namespace apreqel
