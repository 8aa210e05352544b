// A sysfs made of text, and a clock that only goes on when somebody waits.
#pragma once

#include "runtime/energy.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace apreqel {

class FakeSensors : public Sensors {
public:
    std::map<std::string, std::string> files{};
    std::set<std::string> forbidden{};
    std::vector<double> gpus{};
    double now = 100;
    std::function<void(double)> on_wait{};  ///< what changes meanwhile
    std::function<void()> on_look{};        ///< and with every look at the clock

    [[nodiscard]] std::vector<std::string> list(const std::string& folder) const override
    {
        std::set<std::string> names;
        for (const auto& [file, text] : files) {
            if (!file.starts_with(folder + "/")) continue;
            const std::string rest = file.substr(folder.size() + 1);
            names.insert(rest.substr(0, rest.find('/')));
        }
        return {names.begin(), names.end()};
    }

    [[nodiscard]] std::expected<std::string, std::error_code> read(const std::string& file) const override
    {
        if (forbidden.contains(file)) return std::unexpected(std::make_error_code(std::errc::permission_denied));
        const auto found = files.find(file);
        if (found == files.end()) return std::unexpected(std::make_error_code(std::errc::no_such_file_or_directory));
        return found->second;
    }

    [[nodiscard]] std::vector<double> gpu_millijoules() const override { return gpus; }

    [[nodiscard]] double seconds() const override
    {
        if (on_look) on_look();
        return now;
    }

    void wait(double seconds) override
    {
        now += seconds;
        if (on_wait) on_wait(seconds);
    }
};

/// A zone of RAPL: "intel-rapl:0".
inline void add_zone(FakeSensors& sensors, const std::string& zone, const std::string& name, const std::string& microjoules)
{
    const std::string folder = "class/powercap/" + zone + "/";
    sensors.files[folder + "name"] = name;
    sensors.files[folder + "energy_uj"] = microjoules;
    sensors.files[folder + "max_energy_range_uj"] = "1000000000";
}

}  // namespace apreqel
