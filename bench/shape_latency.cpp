// Shapes tell the truth: shape_latency MODEL TYPE... times the files of types and of three mixes, and their shapes, in the same
// rounds, and prints the median of the ratios shape / real with its interval.
#include "quantize/shape.h"
#include "quantize/write_models.h"
#include "runtime/runtime.h"

#include <apreqel/statistics.h>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <iostream>
#include <string>
#include <vector>

using namespace apreqel;

namespace {

/// What `result` holds, or the end of the program.
template <typename T>
T need(Result<T> result)
{
    if (result) {
        if constexpr (std::is_void_v<T>)
            return;
        else
            return std::move(*result);
    }
    std::cerr << result.error().message << "\n";
    std::exit(1);
}

void compare(const std::filesystem::path& path, const std::vector<std::string>& names, const std::filesystem::path& folder)
{
    const Inventory inventory = need(read_inventory(path));
    const QuantType embedding = need(parse_type("q8_0"));
    std::vector<std::string> titles;
    std::vector<ModelSpec> real;
    const auto add = [&](std::string title, TypeAssignment assignment) {
        real.push_back({.path = folder / std::format("real{}.gguf", titles.size()), .types = std::move(assignment.types)});
        titles.push_back(std::move(title));
    };
    std::vector<Variant> types;
    for (const std::string& name : names) {
        types.emplace_back(need(parse_type(name)));
        add(name, assign_types(inventory, types.back(), embedding));
    }
    for (std::size_t mix = 0; mix < std::min<std::size_t>(3, types.size()); ++mix) {
        std::vector<Variant> layers;
        for (std::size_t l = 0; l < inventory.layers.size(); ++l) layers.push_back(types[(l + mix) % types.size()]);
        add(std::format("mix {}", mix + 1), assign_types(inventory, layers, types[mix]));
    }
    Monitor monitor;
    need(write_models(inventory, real, {}, 2, monitor));
    std::vector<std::filesystem::path> paths;
    for (ModelSpec& spec : real) {
        paths.push_back(spec.path);
        spec.path += ".shape";
        need(write_shape(inventory, spec));
        paths.push_back(spec.path);
    }
    for (const auto& timed : paths) {  // read from the disk, as a user's file is
        const int file = ::open(timed.c_str(), O_RDONLY);
        ::fsync(file);
        ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        ::close(file);
    }
    const SpeedSettings settings{.repetitions = 20, .prompt = 0, .precision = 0.01, .sample_ms = 300};
    const std::vector<Speed> speeds = need(llama_runtime()->measure_speed(paths, {}, {}, settings, monitor));
    for (std::size_t m = 0; m < titles.size(); ++m) {
        std::vector<double> ratios = speeds[2 * m + 1].latency_ms.samples;
        std::ranges::transform(ratios, speeds[2 * m].latency_ms.samples, ratios.begin(), std::divides{});
        const Sampled ratio = summarize(std::move(ratios));
        std::cout << std::format("{}: {:.3f} ms/token, shape / real {:.3f} [{:.3f}, {:.3f}], {} rounds\n", titles[m],
                                 speeds[2 * m].latency_ms.median, ratio.median, ratio.low, ratio.high, ratio.samples.size());
    }
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 3) {
        std::cerr << "usage: shape_latency MODEL TYPE...\n";
        return 1;
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "shape_latencyXXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return 1;
    compare(argv[1], {argv + 2, argv + argc}, pattern);
    std::filesystem::remove_all(pattern);
}
