#include <apreqel/evaluation.h>
#include <apreqel/front.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Costs as models have them: larger types are more precise, latency is not monotone. `coarse`: whole numbers, so that
/// many choices tie.
AdditiveCosts random_costs(std::size_t layers, std::size_t types, std::uint64_t seed, bool coarse = false)
{
    std::mt19937_64 random(seed);
    const auto uniform = [&] { return static_cast<double>(random() % 1000) / 1000; };
    AdditiveCosts costs{.fixed = {100, 1, 0.001}, .layers = {}};
    for (std::size_t l = 0; l < layers; ++l) {
        const double sensitivity = std::exp(3 * uniform());
        costs.layers.emplace_back();
        for (std::size_t q = 0; q < types; ++q) {
            Metrics cost{3.0 + static_cast<double>(q) + uniform(), 1 + 2 * uniform(),
                         sensitivity * std::exp(-1.4 * static_cast<double>(q)) * (0.8 + 0.4 * uniform())};
            if (coarse)
                for (double& value : cost) value = std::round(value);
            costs.layers.back().push_back(cost);
        }
    }
    return costs;
}

/// Every choice's costs, none of which another dominates, each once.
std::vector<Metrics> brute_force(const AdditiveCosts& costs)
{
    std::vector<std::uint8_t> types(costs.layers.size());
    std::vector<Metrics> all;
    for (;;) {
        all.push_back(cost_of(costs, types));
        std::size_t l = 0;
        while (l < types.size() && ++types[l] == costs.layers[l].size()) types[l++] = 0;
        if (l == types.size()) break;
    }
    std::vector<Metrics> front;
    for (const Metrics& point : all) {
        const auto beats = [&](const Metrics& other) { return dominates(other, point); };
        if (std::ranges::none_of(all, beats)) front.push_back(point);
    }
    std::ranges::sort(front);
    front.erase(std::unique(front.begin(), front.end()), front.end());
    return front;
}

/// Whether some point of the front is no worse than `point`, but for rounding.
bool covered(const Front& front, const Metrics& point, const Metrics& allowance = {})
{
    return std::ranges::any_of(front.points, [&](const FrontPoint& other) {
        for (std::size_t j = 0; j < kMetrics; ++j)
            if (other.cost[j] > point[j] + allowance[j] + 1e-9) return false;
        return true;
    });
}

/// Small cases, the odd ones too: one layer, one type, equal types, types that dominate, costs of 0, all costs equal.
AdditiveCosts small_costs(std::uint64_t seed)
{
    AdditiveCosts costs = random_costs(1 + seed % 6, 1 + seed / 6 % 4, seed, seed % 2 == 0);
    switch (seed % 9) {
        case 1:  // equal types
            for (auto& layer : costs.layers) layer.back() = layer.front();
            break;
        case 2:  // equal layers
            for (auto& layer : costs.layers) layer = costs.layers.front();
            break;
        case 3:  // one type dominates
            for (auto& layer : costs.layers) layer.back() = {0, 0, 0};
            break;
        case 4:
            for (auto& layer : costs.layers)
                for (Metrics& cost : layer) cost[seed % 3] = 0;
            break;
        case 5:
            for (auto& layer : costs.layers) layer.assign(layer.size(), {2, 3, 0.1});
            break;
        case 6:  // nothing but divergence
            for (auto& layer : costs.layers)
                for (Metrics& cost : layer) cost[0] = cost[1] = 0;
            break;
        case 7: costs = {.fixed = {}, .layers = std::vector(costs.layers.size(), std::vector(2, Metrics{}))}; break;
        default: break;
    }
    return costs;
}

void check_points(const AdditiveCosts& costs, const Front& front)
{
    REQUIRE(!front.points.empty());
    for (const FrontPoint& point : front.points) {
        REQUIRE(cost_of(costs, point.types) == point.cost);
        for (const FrontPoint& other : front.points) REQUIRE(!dominates(other.cost, point.cost));
    }
    CHECK(std::ranges::is_sorted(front.points, {}, &FrontPoint::cost));
}

TEST_CASE("the front is that of all choices", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        const AdditiveCosts costs = small_costs(seed);
        const auto front = pareto_front(costs);
        REQUIRE(front);
        CHECK(front->epsilon == 0);
        check_points(costs, *front);
        const std::vector<Metrics> expected = brute_force(costs);
        // Sums in another order differ in the last bits, so a tie may count as one point more or less.
        for (const Metrics& point : expected) CHECK(covered(*front, point));
        for (const FrontPoint& point : front->points) {
            CHECK(std::ranges::any_of(expected, [&](const Metrics& other) {
                return std::abs(other[0] - point.cost[0]) + std::abs(other[1] - point.cost[1]) +
                           std::abs(other[2] - point.cost[2]) <
                       1e-9;
            }));
        }
    }
}

TEST_CASE("a front that is not complete comes as near as it says", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        const AdditiveCosts costs =
            seed % 3 == 0 ? small_costs(seed) : random_costs(4 + seed % 4, 2 + seed % 3, seed, seed % 5 == 0);
        const FrontSettings settings{.most_states = std::array<std::size_t, 4>{0, 1, 20, 100}[seed % 4],
                                     .epsilon = std::array{0.0, 0.001, 0.02, 0.1, 0.5}[seed % 5]};
        const auto front = pareto_front(costs, settings);
        REQUIRE(front);
        check_points(costs, *front);
        CHECK(std::isfinite(front->epsilon));
        const double epsilon = front->epsilon;
        Metrics range{};
        for (std::size_t j = 0; j < 2; ++j) {
            for (const FrontPoint& a : front->points)
                for (const FrontPoint& b : front->points) range[j] = std::max(range[j], a.cost[j] - b.cost[j]);
        }
        for (const Metrics& choice : brute_force(costs)) {
            CHECK(std::ranges::any_of(front->points, [&](const FrontPoint& point) {
                return point.cost[0] <= choice[0] + epsilon * range[0] + 1e-9 &&
                       point.cost[1] <= choice[1] + epsilon * range[1] + 1e-9 &&
                       point.cost[2] * (1 - epsilon) <= choice[2] + 1e-9;
            }));
        }
    }
}

TEST_CASE("a front is as near as was asked for where that is little work", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        const AdditiveCosts costs = random_costs(12, 4, seed);
        const auto complete = pareto_front(costs);
        const auto near = pareto_front(costs, {.most_states = 500, .epsilon = 0.05});
        REQUIRE(complete);
        REQUIRE(near);
        CHECK(complete->epsilon == 0);
        CHECK(near->epsilon > 0);
        CHECK(near->epsilon <= 0.06);
        CHECK(near->points.size() < complete->points.size());
    }
}

TEST_CASE("no weighting of the costs has a choice much better than the front", "[decide]")
{
    const AdditiveCosts costs = random_costs(64, 5, 7);
    const auto front = pareto_front(costs);
    REQUIRE(front);
    for (const Weights& weights : {Weights{1, 0, 0}, Weights{0, 1, 0}, Weights{0, 0, 1}, Weights{1, 1, 1}, Weights{1, 5, 20}}) {
        double least = std::numeric_limits<double>::infinity();
        for (const FrontPoint& point : front->points)
            least = std::min(least, weights[0] * point.cost[0] + weights[1] * point.cost[1] + weights[2] * point.cost[2]);
        const double bound = least_weighted_cost(costs, weights);
        CHECK(least >= bound * (1 - 1e-12));
        CHECK_THAT(least, WithinRel(bound, 0.001));
    }
}

TEST_CASE("costs that cannot be added are refused", "[decide]")
{
    CHECK(!pareto_front({}));
    CHECK(!pareto_front({.fixed = {}, .layers = {{}}}));
    CHECK(!pareto_front({.fixed = {}, .layers = {{{1, 1, -1}}}}));
    CHECK(!pareto_front({.fixed = {}, .layers = {{{1, std::nan(""), 1}}}}));
}

TEST_CASE("a spread dominates as much as any choice of as many points, but for a third", "[decide]")
{
    const auto front = pareto_front(random_costs(4, 3, 5));
    REQUIRE(front);
    std::vector<Metrics> points;
    for (const FrontPoint& point : front->points) points.push_back(point.cost);
    const Metrics reference = worst_of(points);
    const auto three = spread(points, reference, 3);
    REQUIRE(three);
    REQUIRE(three->size() == 3);
    const auto volume = [&](const std::vector<std::size_t>& indices) {
        std::vector<Metrics> some;
        for (const std::size_t i : indices) some.push_back(points[i]);
        return hypervolume(some, reference).value();
    };
    double best = 0;
    for (std::size_t a = 0; a < points.size(); ++a)
        for (std::size_t b = a; b < points.size(); ++b)
            for (std::size_t c = b; c < points.size(); ++c) best = std::max(best, volume({a, b, c}));
    CHECK(volume(*three) >= 0.63 * best);
    const auto all = spread(points, reference, points.size());
    CHECK_THAT(volume(*all), WithinRel(hypervolume(points, reference).value(), 1e-9));
}

}  // namespace
}  // namespace apreqel
