// The energy a machine takes, from what Linux and NVIDIA's driver tell of it.
#pragma once

#include "base/monitor.h"

#include <apreqel/error.h>

#include <condition_variable>
#include <expected>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace apreqel {

/// What is read, and when: a machine's, or in tests that of one that is made up.
class Sensors {
public:
    virtual ~Sensors() = default;
    /// The names in a folder of sysfs ("class/hwmon"), sorted; none where it is not there.
    [[nodiscard]] virtual std::vector<std::string> list(const std::string& folder) const = 0;
    /// The first line of a file of sysfs.
    [[nodiscard]] virtual std::expected<std::string, std::error_code> read(const std::string& file) const = 0;
    /// Millijoules that each NVIDIA GPU took since its driver was loaded; none where NVML or a GPU does not tell.
    [[nodiscard]] virtual std::vector<double> gpu_millijoules() const = 0;
    /// Of a clock that only goes forward.
    [[nodiscard]] virtual double seconds() const = 0;
    virtual void wait(double seconds) = 0;
};

/// This machine's; `sysfs` stands in for /sys, as APREQEL_SYSFS does in the environment.
[[nodiscard]] std::shared_ptr<Sensors> machine_sensors(std::filesystem::path sysfs = {});

/// Counts joules. Where there are counters they are the energy; where there are only sensors of power, it is integrated by the
/// trapezoidal rule over the times they were asked at.
class EnergyMeter {
public:
    /// Takes what covers most of the machine without counting anything twice:
    /// - RAPL (/sys/class/powercap): the sum of all packages and of their memory (dram), which is no part of them as cores are;
    /// - and with `accelerators` NVIDIA's GPUs, by NVML;
    /// - where there is neither, the sensors of hwmon, such as INA3221: of each chip its counters of energy, or else of power, or
    ///   else voltage times current; where some are totals (VDD_IN, Esocket0), these alone. Batteries and chargers do not count.
    /// Error: there is nothing to read, or it may not be read.
    [[nodiscard]] static Result<std::unique_ptr<EnergyMeter>> open(std::shared_ptr<Sensors> sensors, bool accelerators);

    /// Joules since it was opened. Safe from several threads. Error: a sensor cannot be read any more.
    [[nodiscard]] Result<double> joules();

    /// What is counted: "RAPL package-0, dram", "hwmon ina3221 VDD_IN".
    [[nodiscard]] const std::string& source() const { return source_; }

    /// How often it must be asked at least, in seconds: power changes, and counters begin again at 0.
    [[nodiscard]] double interval() const;

    /// Mean power over `seconds` in which this program does nothing. Errors: interrupted; it is 0, so that nothing is counted.
    [[nodiscard]] Result<double> idle_watts(double seconds, const Monitor& monitor);

private:
    /// What only grows, until it begins again at 0.
    struct Counter {
        std::string file;
        double range = 0;  ///< greatest value, µJ; 0: not known, and it never begins again
        double last = 0;   ///< µJ
    };
    /// Power: the product of the files, µW.
    struct Power {
        std::vector<std::string> files;
        double last = 0;
    };
    /// A file of hwmon that tells of energy or power, and what its channel is called.
    struct Channel {
        std::vector<std::string> files;
        std::string label;
    };

    explicit EnergyMeter(std::shared_ptr<Sensors> sensors) : sensors_(std::move(sensors)) {}
    Result<> find_rapl();
    Result<> find_hwmon();
    [[nodiscard]] std::vector<Channel> channels_of(const std::string& chip, const std::string& kind) const;
    [[nodiscard]] Result<double> value(const std::string& file) const;
    [[nodiscard]] Result<double> value(const Power& power) const;
    void add_source(const std::string& name);

    std::shared_ptr<Sensors> sensors_;
    std::string source_;
    std::vector<Counter> counters_;
    std::vector<Power> powers_;
    std::vector<double> gpus_;  ///< mJ when last read
    double time_ = 0;           ///< of the last reading
    double joules_ = 0;
    std::mutex mutex_;
};

/// Asks a meter as often as it must be, in a thread of its own, as long as it lives.
class MeterWatch {
public:
    explicit MeterWatch(EnergyMeter& meter);

private:
    std::mutex mutex_;
    std::condition_variable_any waiting_;
    std::jthread thread_;  ///< last: it is stopped and joined while the others are there
};

}  // namespace apreqel
