#include "runtime/placement.h"

#include "base/joined.h"
#include "runtime/context.h"
#include "runtime/runtime.h"

#include <ggml-backend.h>

#include <algorithm>
#include <regex>

namespace apreqel {
namespace {

bool is_accelerator(ggml_backend_dev_t device) { return ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU; }

std::vector<ggml_backend_dev_t> all_devices()
{
    start_backend();
    std::vector<ggml_backend_dev_t> devices;
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) devices.push_back(ggml_backend_dev_get(i));
    return devices;
}

std::unexpected<Error> unknown(std::string_view what, std::string_view name, const std::vector<std::string>& known)
{
    return std::unexpected(Error{ErrorCode::usage, std::format("run: {} {}: there is none of that name here", what, name),
                                 "there are: " + joined(known, ", ")});
}

Result<ggml_backend_dev_t> accelerator(const std::string& name)
{
    std::vector<std::string> known{std::string(kNoDevice)};
    for (ggml_backend_dev_t device : all_devices()) {
        if (!is_accelerator(device)) continue;
        if (name == ggml_backend_dev_name(device)) return device;
        known.emplace_back(ggml_backend_dev_name(device));
    }
    return unknown("device", name, known);
}

Result<ggml_backend_buffer_type_t> buffer_type(const std::string& name)
{
    std::vector<std::string> known;
    for (ggml_backend_dev_t device : all_devices()) {
        ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(device);
        if (type == nullptr || std::ranges::contains(known, ggml_backend_buft_name(type))) continue;
        if (name == ggml_backend_buft_name(type)) return type;
        known.emplace_back(ggml_backend_buft_name(type));
    }
    return unknown("buffer", name, known);
}

bool is_regular_expression(const std::string& pattern)
{
    try {
        static_cast<void>(std::regex(pattern));
        return true;
    } catch (const std::regex_error&) {
        return false;
    }
}

}  // namespace

std::vector<ggml_backend_dev_t> accelerators(const RunSettings& settings)
{
    std::vector<ggml_backend_dev_t> devices = all_devices();
    std::erase_if(devices, [&](ggml_backend_dev_t device) {
        if (!is_accelerator(device)) return true;
        return !settings.devices.empty() && !std::ranges::contains(settings.devices, ggml_backend_dev_name(device));
    });
    return devices;
}

std::vector<std::string> accelerator_buffers(const RunSettings& settings)
{
    std::vector<std::string> buffers;
    for (ggml_backend_dev_t device : accelerators(settings))
        if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_ACCEL)  // which computes in main memory
            buffers.emplace_back(ggml_backend_buft_name(ggml_backend_dev_buffer_type(device)));
    return buffers;
}

Result<std::shared_ptr<Placement>> Placement::of(const RunSettings& settings)
{
    auto placement = std::make_shared<Placement>();
    const auto mode = std::ranges::find(kSplitModes, settings.split_mode);
    if (mode == kSplitModes.end()) return unknown("split mode", settings.split_mode, {kSplitModes.begin(), kSplitModes.end()});
    placement->split_mode_ = static_cast<llama_split_mode>(mode - kSplitModes.begin());
    for (const std::string& name : settings.devices) {
        if (name == kNoDevice && settings.devices.size() == 1) break;
        const auto device = accelerator(name);
        if (!device) return std::unexpected(device.error());
        if (std::ranges::contains(placement->devices_, *device)) return usage_error("run: device {} is named twice", name);
        placement->devices_.push_back(*device);
    }
    if (!settings.devices.empty()) placement->devices_.push_back(nullptr);
    placement->patterns_.reserve(settings.overrides.size());
    for (const auto& [pattern, buffer] : settings.overrides) {
        if (!is_regular_expression(pattern)) return usage_error("run: {}={}: that is no regular expression", pattern, buffer);
        const auto type = buffer_type(buffer);
        if (!type) return std::unexpected(type.error());
        placement->patterns_.push_back(pattern);
        placement->overrides_.push_back({placement->patterns_.back().c_str(), *type});
    }
    if (!settings.overrides.empty()) placement->overrides_.push_back({nullptr, nullptr});
    return placement;
}

void Placement::apply(llama_model_params& params)
{
    params.split_mode = split_mode_;
    if (!devices_.empty()) params.devices = devices_.data();
    if (!overrides_.empty()) params.tensor_buft_overrides = overrides_.data();
}

Result<> check_settings(const RunSettings& settings)
{
    for (const std::string& type : {settings.cache.keys, settings.cache.values})
        if (!std::ranges::contains(kCacheTypes, type))
            return unknown("type of KV cache", type, {kCacheTypes.begin(), kCacheTypes.end()});
    if (const auto placement = Placement::of(settings); !placement) return std::unexpected(placement.error());
    return {};
}

}  // namespace apreqel
