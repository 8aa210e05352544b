// The front: how long it takes, how near it comes, and what NSGA-II finds with more time.
#include <apreqel/evaluation.h>
#include <apreqel/front.h>

#include <pagmo/algorithm.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/population.hpp>
#include <pagmo/problem.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>

namespace {

using namespace apreqel;

/// Costs as a model has them: half the layers 2.5 times the size of the others, KL divergence falling fourfold per bit,
/// latency not monotone in the type.
AdditiveCosts synthetic(std::size_t layers, std::size_t types)
{
    std::mt19937_64 random(3);
    const auto uniform = [&] { return static_cast<double>(random() % 1000) / 1000; };
    std::vector<double> latency(types);
    for (double& value : latency) value = 1 + uniform();
    AdditiveCosts costs{.fixed = {100, 1, 0.001}, .groups = {}};
    for (std::size_t l = 0; l < layers; ++l) {
        const double sensitivity = std::exp(3 * uniform());
        const double size = l % 2 == 0 ? 2.5 : 1;
        costs.groups.emplace_back();
        for (std::size_t q = 0; q < types; ++q) {
            const double bits = 3 + 5 * static_cast<double>(q) / static_cast<double>(types - 1);
            costs.groups.back().push_back(
                {size * bits, size * latency[q], sensitivity * std::exp(-1.4 * (bits - 3)) * (0.9 + 0.2 * uniform())});
        }
    }
    return costs;
}

/// One integer for each layer: the index of its type.
struct Problem {
    AdditiveCosts costs{};

    [[nodiscard]] Costs cost(const pagmo::vector_double& x) const
    {
        std::vector<std::uint8_t> types;
        for (const double type : x) types.push_back(static_cast<std::uint8_t>(type));
        return cost_of(costs, types);
    }
    [[nodiscard]] pagmo::vector_double fitness(const pagmo::vector_double& x) const { return cost(x); }
    [[nodiscard]] std::pair<pagmo::vector_double, pagmo::vector_double> get_bounds() const
    {
        const auto last = static_cast<double>(costs.groups.front().size() - 1);
        return {pagmo::vector_double(costs.groups.size(), 0), pagmo::vector_double(costs.groups.size(), last)};
    }
    [[nodiscard]] static pagmo::vector_double::size_type get_nobj() { return 3; }
    [[nodiscard]] pagmo::vector_double::size_type get_nix() const { return costs.groups.size(); }
};

double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }  // of the processor: one thread

void bench(std::size_t layers, std::size_t types, double times)
{
    const AdditiveCosts costs = synthetic(layers, types);
    double start = seconds();
    const Front front = *pareto_front(costs);
    const double taken = seconds() - start;
    std::printf("%zu layers, %zu types: %zu points in %.2f s, epsilon %.3f %%\n", layers, types, front.points.size(), taken,
                100 * *front.epsilon);

    std::vector<Costs> points;
    for (const FrontPoint& point : front.points) points.push_back(point.cost);
    const Costs reference = worst_of(points);
    start = seconds();
    const auto some = *spread(points, reference, 28);
    std::printf("  spread: 28 of them in %.2f s\n", seconds() - start);

    const double volume = *hypervolume(points, reference);
    std::vector<Costs> chosen;
    for (const std::size_t p : some) chosen.push_back(points[p]);
    std::printf("  the 28 dominate %.3f %% of what all do\n", 100 * *hypervolume(chosen, reference) / volume);

    if (times <= 0) return;
    constexpr unsigned kGenerations = 50;
    for (const std::size_t size : {100UZ, 400UZ, 2000UZ}) {
        start = seconds();
        pagmo::population population(Problem{costs}, size, 1);
        const pagmo::algorithm nsga2{pagmo::nsga2(kGenerations, 0.95, 10, 1 / static_cast<double>(layers), 50, 1)};
        std::size_t generations = 0;
        for (; seconds() - start < times * taken; generations += kGenerations) population = nsga2.evolve(population);
        std::vector<Costs> found;
        for (const pagmo::vector_double& f : population.get_f()) found.push_back(f);
        std::printf("  NSGA-II, %zu in the population, %zu generations, %.1f s, %.0f times as long: %.3f %% of the volume\n",
                    size, generations, seconds() - start, (seconds() - start) / taken,
                    100 * *hypervolume(found, reference) / volume);
        std::fflush(stdout);
    }
}

}  // namespace

/// Arguments: layers, types, how many times the front's own time NSGA-II gets (0: no NSGA-II).
int main(int count, char** arguments)
{
    for (int i = 1; i + 2 < count; i += 3)
        bench(std::strtoul(arguments[i], nullptr, 10), std::strtoul(arguments[i + 1], nullptr, 10),
              std::strtod(arguments[i + 2], nullptr));
    return 0;
}
