#include "runtime/energy.h"

#include "support/fake_sensors.h"
#include "support/temp_dir.h"

#include "base/file.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

constexpr const char* kPackage0 = "class/powercap/intel-rapl:0/energy_uj";
constexpr const char* kPackage1 = "class/powercap/intel-rapl:1/energy_uj";
constexpr const char* kMemory0 = "class/powercap/intel-rapl:0:2/energy_uj";

/// Two packages with their parts, and what tells of them again.
std::shared_ptr<FakeSensors> server()
{
    auto sensors = std::make_shared<FakeSensors>();
    add_zone(*sensors, "intel-rapl:0", "package-0", "5000000");
    add_zone(*sensors, "intel-rapl:0:0", "core", "3000000");
    add_zone(*sensors, "intel-rapl:0:1", "uncore", "1000000");
    add_zone(*sensors, "intel-rapl:0:2", "dram", "2000000");
    add_zone(*sensors, "intel-rapl:1", "package-1", "7000000");
    add_zone(*sensors, "intel-rapl:1:0", "core", "3000000");
    add_zone(*sensors, "intel-rapl:2", "psys", "90000000");
    add_zone(*sensors, "intel-rapl-mmio:0", "package-0", "5000000");
    sensors->files["class/powercap/intel-rapl/enabled"] = "1";
    return sensors;
}

std::unique_ptr<EnergyMeter> opened(const std::shared_ptr<FakeSensors>& sensors, bool accelerators = false)
{
    auto meter = EnergyMeter::open(sensors, accelerators);
    if (!meter) FAIL(meter.error().message);
    return std::move(*meter);
}

double joules(EnergyMeter& meter)
{
    const auto read = meter.joules();
    if (!read) FAIL(read.error().message);
    return *read;
}

TEST_CASE("all packages count, and their memory; what is part of them, or tells the same again, does not", "[runtime]")
{
    const auto sensors = server();
    const auto meter = opened(sensors);
    CHECK(meter->source() == "RAPL package-0, dram, package-1");
    CHECK(joules(*meter) == 0);
    for (auto& [file, text] : sensors->files)
        if (file.ends_with("energy_uj")) text += "0";  // ten times as much
    CHECK_THAT(joules(*meter), WithinRel(45.0 + 18.0 + 63.0, 1e-12));
    CHECK_THAT(joules(*meter), WithinRel(126.0, 1e-12));
}

TEST_CASE("a counter that begins again at 0 goes on from its range", "[runtime]")
{
    const auto sensors = server();
    const auto meter = opened(sensors);
    sensors->files[kPackage0] = "999000000";
    CHECK_THAT(joules(*meter), WithinRel(994.0, 1e-12));
    sensors->files[kPackage0] = "1500000";
    CHECK_THAT(joules(*meter), WithinRel(994.0 + 2.5, 1e-12));
    CHECK(meter->interval() < 65'000.0 / 350);  // before 32 bits are through at 350 W

    const auto other = server();
    other->files.erase("class/powercap/intel-rapl:1/max_energy_range_uj");
    const auto without = opened(other);
    other->files[kPackage1] = "1";
    const auto backwards = without->joules();
    REQUIRE(!backwards);
    CHECK(backwards.error().message == "energy: /sys/class/powercap/intel-rapl:1/energy_uj: it goes backwards");
}

TEST_CASE("a counter that may not be read is an error that says how to allow it, whatever else there is", "[runtime]")
{
    const auto sensors = server();
    sensors->forbidden = {kMemory0};
    sensors->files["class/hwmon/hwmon0/name"] = "nvme";
    sensors->files["class/hwmon/hwmon0/power1_input"] = "1000000";
    const auto meter = EnergyMeter::open(sensors, false);
    REQUIRE(!meter);
    CHECK(meter.error().code == ErrorCode::failed);
    CHECK(meter.error().message == "energy: /sys/class/powercap/intel-rapl:0:2/energy_uj: Permission denied");
    CHECK(meter.error().hint.contains("sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"));

    sensors->gpus = {1000};
    CHECK(opened(sensors, true)->source() == "NVML, 1 GPU, not the processor");
}

TEST_CASE("where nothing tells the energy, one line says where it was looked for", "[runtime]")
{
    const auto meter = EnergyMeter::open(std::make_shared<FakeSensors>(), true);
    REQUIRE(!meter);
    CHECK(meter.error().message ==
          "energy: nothing on this machine tells it: no RAPL (/sys/class/powercap), no sensor of power (/sys/class/hwmon), no "
          "NVML");
}

TEST_CASE("GPUs count beside the processor where models run on them", "[runtime]")
{
    const auto sensors = server();
    sensors->gpus = {5000, 7000};
    CHECK(opened(sensors, false)->source() == "RAPL package-0, dram, package-1");
    const auto meter = opened(sensors, true);
    CHECK(meter->source() == "RAPL package-0, dram, package-1 + NVML, 2 GPUs");
    sensors->gpus = {5250, 7500};
    sensors->files[kPackage1] = "8000000";
    CHECK_THAT(joules(*meter), WithinRel(0.25 + 0.5 + 1, 1e-12));
    sensors->gpus = {};
    CHECK(!meter->joules());
}

TEST_CASE("power is integrated over the times it was read at", "[runtime]")
{
    const auto sensors = std::make_shared<FakeSensors>();
    const std::string chip = "class/hwmon/hwmon3/";
    sensors->files = {{chip + "name", "ina226"}, {chip + "power1_input", "4000000"}, {chip + "power1_label", "board"}};
    const auto meter = opened(sensors);
    CHECK(meter->source() == "hwmon ina226 board");
    CHECK(meter->interval() < 0.1);
    sensors->now += 2;
    CHECK_THAT(joules(*meter), WithinRel(8.0, 1e-12));  // 4 W
    sensors->now += 1;
    sensors->files[chip + "power1_input"] = "6000000";
    CHECK_THAT(joules(*meter), WithinRel(8.0 + 5.0, 1e-12));  // from 4 to 6 W
}

TEST_CASE("a chip without power multiplies voltage by current; what enters the board stands for the rails behind it",
          "[runtime]")
{
    const auto sensors = std::make_shared<FakeSensors>();
    const std::string chip = "class/hwmon/hwmon1/";
    sensors->files = {{chip + "name", "ina3221"},
                      {chip + "in1_input", "5000"},
                      {chip + "curr1_input", "1200"},
                      {chip + "in1_label", "VDD_IN"},
                      {chip + "in2_input", "5000"},
                      {chip + "curr2_input", "400"},
                      {chip + "in2_label", "VDD_CPU_GPU_CV"},
                      {chip + "in3_input", "5000"},
                      {chip + "in3_label", "VDD_SOC"},
                      {chip + "in4_input", "12"}};
    const auto board = opened(sensors);
    CHECK(board->source() == "hwmon ina3221 VDD_IN");
    sensors->now += 1;
    CHECK_THAT(joules(*board), WithinRel(6.0, 1e-12));  // 5 V × 1.2 A; in3 and in4 have no current

    sensors->files[chip + "in1_label"] = "VDD_GPU";
    const auto rails = opened(sensors);
    CHECK(rails->source() == "hwmon ina3221 VDD_GPU + hwmon ina3221 VDD_CPU_GPU_CV");
    sensors->now += 1;
    CHECK_THAT(joules(*rails), WithinRel(8.0, 1e-12));
}

TEST_CASE("of a chip its counters of energy go before power, and that of a socket before those of its cores", "[runtime]")
{
    const auto sensors = std::make_shared<FakeSensors>();
    const std::string chip = "class/hwmon/hwmon0/";
    sensors->files = {{chip + "name", "amd_energy"},        {chip + "energy1_input", "100"},
                      {chip + "energy1_label", "Ecore000"}, {chip + "energy2_input", "1000"},
                      {chip + "energy2_label", "Esocket0"}, {chip + "power1_input", "9000000"}};
    const auto meter = opened(sensors);
    CHECK(meter->source() == "hwmon amd_energy Esocket0");
    sensors->now += 10;
    sensors->files[chip + "energy1_input"] = "5000000";
    sensors->files[chip + "energy2_input"] = "2001000";
    CHECK_THAT(joules(*meter), WithinRel(2.0, 1e-12));
}

TEST_CASE("batteries, chargers and channels without data do not count", "[runtime]")
{
    const auto sensors = std::make_shared<FakeSensors>();
    sensors->files = {{"class/hwmon/hwmon0/name", "BAT0"},
                      {"class/hwmon/hwmon0/device/type", "Battery"},
                      {"class/hwmon/hwmon0/power1_input", "9000000"},
                      {"class/hwmon/hwmon1/name", "power_meter"},
                      {"class/hwmon/hwmon1/power1_average", "20000000"},
                      {"class/hwmon/hwmon1/power2_input", ""}};
    CHECK(opened(sensors)->source() == "hwmon power_meter power1");
    sensors->files.erase("class/hwmon/hwmon1/power1_average");
    const auto none = EnergyMeter::open(sensors, false);
    REQUIRE(!none);
    CHECK(none.error().message == "energy: /sys/class/hwmon/hwmon1/power2_input: is not a number");
}

TEST_CASE("idle power is the mean over the time waited; a counter that stands still is an error, and so is a wish to stop",
          "[runtime]")
{
    const auto sensors = server();
    double counted = 5e6;
    sensors->on_wait = [&](double seconds) {
        counted += 12.5e6 * seconds;
        sensors->files[kPackage0] = std::format("{:.0f}", counted);
    };
    const auto meter = opened(sensors);
    const double begin = sensors->now;
    const auto idle = meter->idle_watts(3, Monitor());
    REQUIRE(idle);
    CHECK_THAT(*idle, WithinRel(12.5, 1e-6));
    CHECK(sensors->now - begin >= 3);
    CHECK(sensors->now - begin < 3.2);

    sensors->on_wait = {};
    const auto still = meter->idle_watts(3, Monitor());
    REQUIRE(!still);
    CHECK(still.error().message == "energy: RAPL package-0, dram, package-1 counts nothing");

    struct Stop : Monitor {
        [[nodiscard]] bool stop_requested() const override { return true; }
    };
    const auto stopped = meter->idle_watts(3, Stop());
    REQUIRE(!stopped);
    CHECK(stopped.error().code == ErrorCode::interrupted);
}

TEST_CASE("a sysfs elsewhere is read as files", "[runtime]")
{
    const TempDir folder;
    const auto chip = folder / "class" / "hwmon" / "hwmon0";
    std::filesystem::create_directories(chip);
    REQUIRE(write_text(chip / "name", "ina219\n"));
    REQUIRE(write_text(chip / "power1_input", "2500000\n"));
    const auto sensors = machine_sensors(folder.path());
    CHECK(sensors->list("class/hwmon") == std::vector<std::string>{"hwmon0"});
    CHECK(sensors->list("class/powercap").empty());
    CHECK(sensors->read("class/hwmon/hwmon0/name") == "ina219");
    CHECK(sensors->read("class/hwmon/hwmon0/none").error() == std::errc::no_such_file_or_directory);
    const auto meter = EnergyMeter::open(sensors, false);
    REQUIRE(meter);
    CHECK((*meter)->source() == "hwmon ina219 power1");
}

}  // namespace
}  // namespace apreqel
