#include "runtime/energy.h"

#include "base/printable.h"
#include "runtime/nvml.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string_view>

namespace apreqel {
namespace {

constexpr const char* kPowercap = "class/powercap";
constexpr const char* kHwmon = "class/hwmon";

class MachineSensors : public Sensors {
public:
    explicit MachineSensors(std::filesystem::path sysfs) : sysfs_(std::move(sysfs)) {}

    [[nodiscard]] std::vector<std::string> list(const std::string& folder) const override
    {
        std::error_code error;
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(sysfs_ / folder, error))
            names.push_back(entry.path().filename().string());
        std::ranges::sort(names);
        return names;
    }

    [[nodiscard]] std::expected<std::string, std::error_code> read(const std::string& file) const override
    {
        errno = 0;
        std::ifstream stream(sysfs_ / file);
        std::string line;
        if (stream && std::getline(stream, line)) return line;
        return std::unexpected(std::error_code(errno != 0 ? errno : ENODATA, std::generic_category()));
    }

    [[nodiscard]] std::vector<double> gpu_millijoules() const override { return nvml_millijoules(); }

    [[nodiscard]] double seconds() const override
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }

    void wait(double seconds) override { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

private:
    std::filesystem::path sysfs_;
};

/// "energy: /sys/class/powercap/intel-rapl:0/energy_uj: Permission denied", and who can change that.
std::unexpected<Error> unreadable(const std::string& file, std::string_view why, bool forbidden)
{
    Error error{ErrorCode::failed, std::format("energy: /sys/{}: {}", file, why)};
    if (forbidden && file.starts_with(kPowercap))
        error.hint = std::format("allow it: sudo chmod a+r /sys/{}/intel-rapl:*/energy_uj (until the next boot)", kPowercap);
    else if (forbidden)
        error.hint = std::format("allow it: sudo chmod a+r /sys/{}", file);
    return std::unexpected(std::move(error));
}

/// True of "intel-rapl:0" for no parts, of "intel-rapl:0:1" for one: not of intel-rapl-mmio, which tells the same again.
bool is_zone(std::string_view name, std::ptrdiff_t parts)
{
    constexpr std::string_view kPrefix = "intel-rapl:";
    return name.starts_with(kPrefix) && std::ranges::count(name.substr(kPrefix.size()), ':') == parts;
}

/// Whether a channel of that label measures what others measure parts of: what enters a board (VDD_IN, POM_5V_IN), a whole
/// socket beside its cores (amd_energy), the whole system.
bool is_total(std::string_view label)
{
    return label.ends_with("_IN") || label.starts_with("Esocket") || label.contains("Total");
}

}  // namespace

std::shared_ptr<Sensors> machine_sensors(std::filesystem::path sysfs)
{
    const char* elsewhere = std::getenv("APREQEL_SYSFS");
    if (sysfs.empty()) sysfs = elsewhere != nullptr && *elsewhere != '\0' ? elsewhere : "/sys";
    return std::make_shared<MachineSensors>(std::move(sysfs));
}

Result<std::unique_ptr<EnergyMeter>> EnergyMeter::open(std::shared_ptr<Sensors> sensors, bool accelerators)
{
    std::unique_ptr<EnergyMeter> meter(new EnergyMeter(std::move(sensors)));
    const Result<> rapl = meter->find_rapl();
    if (accelerators) meter->gpus_ = meter->sensors_->gpu_millijoules();
    if (!meter->gpus_.empty()) {
        meter->add_source(std::format("NVML, {} GPU{}", meter->gpus_.size(), meter->gpus_.size() > 1 ? "s" : ""));
        if (!rapl) meter->source_ += ", not the processor";
    }
    if (meter->source_.empty()) {  // what hwmon has beside a RAPL that may not be read is not most of the machine
        const Result<> hwmon = rapl ? meter->find_hwmon() : rapl;
        if (meter->source_.empty() && !hwmon) return std::unexpected(hwmon.error());
        if (meter->source_.empty())
            return fail("energy: nothing on this machine tells it: no RAPL (/sys/{}), no sensor of power (/sys/{}){}",
                        kPowercap, kHwmon, accelerators ? ", no NVML" : "");
    }
    meter->time_ = meter->sensors_->seconds();
    return meter;
}

Result<> EnergyMeter::find_rapl()
{
    std::string names;
    std::vector<Counter> counters;
    const std::vector<std::string> zones = sensors_->list(kPowercap);
    for (const std::string& package : zones) {
        const auto name_of = [&](const std::string& zone) {
            return sensors_->read(std::format("{}/{}/name", kPowercap, zone)).value_or("");
        };
        if (!is_zone(package, 0) || !name_of(package).starts_with("package")) continue;  // psys counts the packages again
        for (const std::string& zone : zones) {
            const bool memory = is_zone(zone, 1) && zone.starts_with(package + ":") && name_of(zone) == "dram";
            if (zone != package && !memory) continue;
            const std::string folder = std::format("{}/{}/", kPowercap, zone);
            Counter counter{.file = folder + "energy_uj"};
            const auto now = value(counter.file);
            if (!now) return std::unexpected(now.error());
            counter.last = *now;
            counter.range = value(folder + "max_energy_range_uj").value_or(0);
            counters.push_back(std::move(counter));
            names += (names.empty() ? "" : ", ") + name_of(zone);
        }
    }
    if (counters.empty()) return {};
    counters_.append_range(std::move(counters));
    add_source("RAPL " + names);
    return {};
}

std::vector<EnergyMeter::Channel> EnergyMeter::channels_of(const std::string& chip, const std::string& kind) const
{
    const auto strip = [](std::string_view file, std::string_view head, std::string_view tail) -> std::optional<std::string> {
        if (!file.starts_with(head) || !file.ends_with(tail) || file.size() <= head.size() + tail.size()) return std::nullopt;
        const std::string_view number = file.substr(head.size(), file.size() - head.size() - tail.size());
        if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
        return std::string(number);
    };
    const std::vector<std::string> files = sensors_->list(chip);
    std::vector<Channel> channels;
    for (const std::string& file : files) {
        auto number = strip(file, kind, "_input");
        if (!number && kind == "power") {  // what ACPI's meters have in its place
            number = strip(file, kind, "_average");
            if (number && std::ranges::contains(files, std::format("power{}_input", *number))) continue;
        }
        if (!number) continue;
        Channel channel{.files = {std::format("{}/{}", chip, file)}, .label = {}};
        if (kind == "in") {
            const std::string current = std::format("curr{}_input", *number);
            if (!std::ranges::contains(files, current)) continue;
            channel.files.push_back(std::format("{}/{}", chip, current));
        }
        channel.label = sensors_->read(std::format("{}/{}{}_label", chip, kind, *number)).value_or(kind + *number);
        channels.push_back(std::move(channel));
    }
    return channels;
}

Result<> EnergyMeter::find_hwmon()
{
    constexpr std::array<std::string_view, 5> kSupplies{"Battery", "Mains", "USB", "UPS",
                                                        "Wireless"};  // power_supply's own hwmon chips
    struct Found {
        Channel channel;
        std::string name;
        bool counts;  ///< energy, else power
    };
    std::vector<Found> all;
    Result<> problem;
    for (const std::string& entry : sensors_->list(kHwmon)) {
        const std::string chip = std::format("{}/{}", kHwmon, entry);
        if (std::ranges::contains(kSupplies, sensors_->read(chip + "/device/type").value_or(""))) continue;
        const std::string name = sensors_->read(chip + "/name").value_or(entry);
        for (const std::string kind : {"energy", "power", "in"}) {
            std::vector<Found> found;
            for (Channel& channel : channels_of(chip, kind)) {
                const auto now = value(Power{.files = channel.files});
                if (now)
                    found.push_back({std::move(channel), name, kind == "energy"});
                else if (problem)
                    problem = std::unexpected(now.error());  // a channel that is switched off has no data
            }
            all.append_range(found);
            if (!found.empty()) break;
        }
    }
    const auto total = [](const Found& found) { return is_total(found.channel.label); };
    if (std::ranges::any_of(all, total)) std::erase_if(all, [&](const Found& found) { return !total(found); });
    for (Found& found : all) {
        add_source(std::format("hwmon {} {}", found.name, found.channel.label));
        const double now = value(Power{.files = found.channel.files}).value_or(0);
        if (found.counts)
            counters_.push_back({.file = found.channel.files.front(), .last = now});
        else
            powers_.push_back({.files = std::move(found.channel.files), .last = now});
    }
    return problem;
}

void EnergyMeter::add_source(const std::string& name) { source_ += (source_.empty() ? "" : " + ") + printable_line(name); }

Result<double> EnergyMeter::value(const std::string& file) const
{
    const auto line = sensors_->read(file);
    if (!line) {
        const bool forbidden = line.error() == std::errc::permission_denied;
        return unreadable(file, line.error().message(), forbidden);
    }
    double number = 0;
    const char* const end = line->data() + line->size();
    const auto [rest, error] = std::from_chars(line->data(), end, number, std::chars_format::fixed);
    if (error != std::errc() || rest != end) return unreadable(file, "is not a number", false);
    return number;
}

Result<double> EnergyMeter::value(const Power& power) const
{
    double product = 1;  // mV × mA are µW
    for (const std::string& file : power.files) {
        const auto factor = value(file);
        if (!factor) return factor;
        product *= *factor;
    }
    return product;
}

double EnergyMeter::interval() const
{
    constexpr double kPower = 0.05;  // INA3221 averages over about as long
    constexpr double kCounter = 60;  // of 32 bits at 15.3 µJ it begins again after 65 kJ: three minutes of 350 W
    return powers_.empty() ? kCounter : kPower;
}

Result<double> EnergyMeter::joules()
{
    const std::lock_guard lock(mutex_);
    double microjoules = 0;
    const double now = sensors_->seconds();
    for (Counter& counter : counters_) {
        const auto read = value(counter.file);
        if (!read) return read;
        double grown = *read - counter.last;
        if (grown < 0) {
            if (counter.range <= 0) return unreadable(counter.file, "it goes backwards", false);
            grown += counter.range;
        }
        microjoules += grown;
        counter.last = *read;
    }
    for (Power& power : powers_) {
        const auto read = value(power);
        if (!read) return read;
        microjoules += (power.last + *read) / 2 * (now - time_);
        power.last = *read;
    }
    if (!gpus_.empty()) {
        const std::vector<double> read = sensors_->gpu_millijoules();
        if (read.size() != gpus_.size()) return fail("energy: NVML does not tell that of all GPUs any more");
        for (std::size_t g = 0; g < read.size(); ++g) microjoules += 1000 * (read[g] - gpus_[g]);
        gpus_ = read;
    }
    time_ = now;
    joules_ += microjoules / 1e6;
    return joules_;
}

Result<double> EnergyMeter::idle_watts(double seconds, const Monitor& monitor)
{
    constexpr double kStep = 0.05;
    const auto before = joules();
    if (!before) return before;
    const double begin = sensors_->seconds();
    auto after = before;
    while (sensors_->seconds() - begin < seconds) {
        if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "energy: interrupted"});
        sensors_->wait(kStep);
        after = joules();
        if (!after) return after;
    }
    if (!(*after > *before)) return fail("energy: {} counts nothing", source_);
    return (*after - *before) / (sensors_->seconds() - begin);
}

MeterWatch::MeterWatch(EnergyMeter& meter)
    : thread_([this, &meter](const std::stop_token& stop) {
          const std::chrono::duration<double> interval(meter.interval());
          std::unique_lock lock(mutex_);
          // What cannot be read is said to who asks next.
          while (!waiting_.wait_for(lock, stop, interval, [] { return false; }) && !stop.stop_requested())
              if (const auto joules = meter.joules(); !joules) continue;
      })
{
}

}  // namespace apreqel
