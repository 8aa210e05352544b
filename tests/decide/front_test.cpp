#include <apreqel/evaluation.h>
#include <apreqel/front.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <ranges>
#include <string>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Costs as models have them: larger types are more precise, latency is not monotone; of more than three criteria the rest are
/// like latency, of fewer the first are missing. `coarse`: whole numbers, so that many choices tie.
AdditiveCosts random_costs(std::size_t groups, std::size_t types, std::uint64_t seed, bool coarse = false,
                           std::size_t criteria = 3)
{
    std::mt19937_64 random(seed);
    const auto uniform = [&] { return static_cast<double>(random() % 1000) / 1000; };
    AdditiveCosts costs{.fixed = {100, 1, 0.001}, .groups = {}};
    if (criteria < 3) costs.fixed.erase(costs.fixed.begin(), costs.fixed.end() - static_cast<std::ptrdiff_t>(criteria));
    while (costs.fixed.size() < criteria) costs.fixed.insert(costs.fixed.begin(), 5);
    for (std::size_t g = 0; g < groups; ++g) {
        const double sensitivity = std::exp(3 * uniform());
        costs.groups.emplace_back();
        for (std::size_t q = 0; q < types; ++q) {
            Costs cost{3.0 + static_cast<double>(q) + uniform(), 1 + 2 * uniform(),
                       sensitivity * std::exp(-1.4 * static_cast<double>(q)) * (0.8 + 0.4 * uniform())};
            if (criteria < 3) cost.erase(cost.begin(), cost.end() - static_cast<std::ptrdiff_t>(criteria));
            while (cost.size() < criteria) cost.insert(cost.begin(), 1 + 2 * uniform());
            if (coarse)
                for (double& value : cost) value = std::round(value);
            costs.groups.back().push_back(cost);
        }
    }
    return costs;
}

/// Every choice's costs, none of which another dominates, each once.
std::vector<Costs> brute_force(const AdditiveCosts& costs)
{
    std::vector<std::uint8_t> types(costs.groups.size());
    std::vector<Costs> all;
    for (;;) {
        all.push_back(cost_of(costs, types));
        std::size_t g = 0;
        while (g < types.size() && ++types[g] == costs.groups[g].size()) types[g++] = 0;
        if (g == types.size()) break;
    }
    std::ranges::sort(all);
    std::vector<Costs> front;
    for (const Costs& point : all) {  // what dominates it comes before it
        const auto beats = [&](const Costs& other) { return other == point || dominates(other, point); };
        if (std::ranges::none_of(front, beats)) front.push_back(point);
    }
    return front;
}

/// Whether some point of the front is no worse than `point`, but for rounding.
bool covered(const Front& front, const Costs& point)
{
    return std::ranges::any_of(front.points, [&](const FrontPoint& other) {
        return std::ranges::equal(other.cost, point, [](double a, double b) { return a <= b + 1e-9; });
    });
}

double distance(const Costs& a, const Costs& b)
{
    double sum = 0;
    for (std::size_t j = 0; j < a.size(); ++j) sum += std::abs(a[j] - b[j]);
    return sum;
}

/// Small cases, the odd ones too: one group, one type, equal types, types that dominate, costs of 0, all costs equal.
AdditiveCosts small_costs(std::uint64_t seed, std::size_t criteria = 3)
{
    AdditiveCosts costs = random_costs(1 + seed % 6, 1 + seed / 6 % 4, seed, seed % 2 == 0, criteria);
    switch (seed % 9) {
        case 1:  // equal types
            for (GroupCosts& group : costs.groups) group.back() = group.front();
            break;
        case 2:  // equal groups
            for (GroupCosts& group : costs.groups) group = costs.groups.front();
            break;
        case 3:  // one type dominates
            for (GroupCosts& group : costs.groups) group.back() = Costs(criteria);
            break;
        case 4:  // all the same by one criterion
            for (GroupCosts& group : costs.groups)
                for (Costs& cost : group) cost[seed % criteria] = 0;
            break;
        case 5:
            for (GroupCosts& group : costs.groups) group.assign(group.size(), Costs(criteria, 0.1));
            break;
        case 6:  // nothing but the last
            for (GroupCosts& group : costs.groups)
                for (Costs& cost : group) std::fill(cost.begin(), cost.end() - 1, 0);
            break;
        case 7:
            costs = {.fixed = Costs(criteria), .groups = std::vector(costs.groups.size(), GroupCosts(2, Costs(criteria)))};
            break;
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

TEST_CASE("the front is that of all choices, by any number of criteria", "[decide]")
{
    const std::size_t criteria = GENERATE(1, 2, 3, 4, 5, 7);
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed, criteria);
        AdditiveCosts costs = small_costs(seed, criteria);
        if (criteria > 3 && costs.groups.size() > 5) costs.groups.resize(5);
        const auto front = pareto_front(costs);
        REQUIRE(front);
        CHECK(front->epsilon == 0);
        check_points(costs, *front);
        const std::vector<Costs> expected = brute_force(costs);
        // Sums in another order differ in the last bits, so a tie may count as one point more or less.
        for (const Costs& point : expected) CHECK(covered(*front, point));
        for (const FrontPoint& point : front->points)
            CHECK(std::ranges::any_of(expected, [&](const Costs& other) { return distance(other, point.cost) < 1e-9; }));
    }
}

TEST_CASE("a front that is not complete comes as near as it says", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        const std::size_t criteria = seed % 4 == 3 ? 2 : 3;
        CAPTURE(seed, criteria);
        const AdditiveCosts costs = seed % 3 == 0 ? small_costs(seed, criteria)
                                                  : random_costs(4 + seed % 4, 2 + seed % 3, seed, seed % 5 == 0, criteria);
        const FrontSettings settings{.most_states = std::array<std::size_t, 4>{0, 1, 20, 2}[seed % 4],
                                     .epsilon = std::array{0.0, 0.001, 0.02, 0.1, 0.5}[seed % 5]};
        const auto front = pareto_front(costs, settings);
        REQUIRE(front);
        check_points(costs, *front);
        REQUIRE(front->epsilon);
        const double epsilon = *front->epsilon;
        CHECK(std::isfinite(epsilon));
        std::vector<Costs> points;
        for (const FrontPoint& point : front->points) points.push_back(point.cost);
        const Costs least = best_of(points);
        const Costs most = worst_of(points);
        for (const Costs& choice : brute_force(costs)) {
            CHECK(std::ranges::any_of(points, [&](const Costs& point) {
                for (std::size_t j = 0; j + 1 < criteria; ++j)
                    if (point[j] > choice[j] + epsilon * (most[j] - least[j]) + 1e-9) return false;
                return point.back() * (1 - epsilon) <= choice.back() + 1e-9;
            }));
        }
    }
}

TEST_CASE("a front by many criteria that is not complete says so, and has the least by each", "[decide]")
{
    const std::size_t criteria = GENERATE(4, 5);
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed, criteria);
        const AdditiveCosts costs = random_costs(6, 3, seed, false, criteria);
        const std::size_t states = std::array<std::size_t, 3>{0, 1, 20}[seed % 3];
        const auto front = pareto_front(costs, {.most_states_of_many = states});
        const auto complete = pareto_front(costs);
        REQUIRE(front);
        REQUIRE(complete);
        CHECK(!front->epsilon);
        CHECK(complete->epsilon == 0);
        check_points(costs, *front);
        CHECK(front->points.size() < complete->points.size());
        for (std::size_t j = 0; j < criteria; ++j) {
            const auto cost = [j](const FrontPoint& point) { return point.cost[j]; };
            Costs alone(criteria);
            alone[j] = 1;
            CHECK_THAT(std::ranges::min(front->points | std::views::transform(cost)),
                       WithinRel(least_weighted_cost(costs, alone), 1e-9));
        }
    }
}

TEST_CASE("thinned by many criteria, a front still comes near the best of every weighting", "[decide]")
{
    const AdditiveCosts costs = random_costs(16, 4, 7, false, 4);
    const auto front = pareto_front(costs, {.most_states_of_many = 300});
    REQUIRE(front);
    CHECK(!front->epsilon);
    for (const Costs& weights : {Costs{1, 1, 1, 1}, Costs{5, 1, 1, 1}, Costs{1, 5, 1, 1}, Costs{1, 1, 5, 20}}) {
        double least = std::numeric_limits<double>::infinity();
        for (const FrontPoint& point : front->points)
            least = std::min(least, std::inner_product(weights.begin(), weights.end(), point.cost.begin(), 0.0));
        const double bound = least_weighted_cost(costs, weights);
        CHECK(least >= bound * (1 - 1e-12));
        CHECK_THAT(least, WithinRel(bound, 0.03));
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
        REQUIRE(near->epsilon);
        CHECK(*near->epsilon > 0);
        CHECK(*near->epsilon <= 0.06);
        CHECK(near->points.size() < complete->points.size());
    }
}

TEST_CASE("no weighting of the costs has a choice much better than the front", "[decide]")
{
    const AdditiveCosts costs = random_costs(64, 5, 7);
    const auto front = pareto_front(costs);
    REQUIRE(front);
    for (const Costs& weights : {Costs{1, 0, 0}, Costs{0, 1, 0}, Costs{0, 0, 1}, Costs{1, 1, 1}, Costs{1, 5, 20}}) {
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
    const auto message = [](const AdditiveCosts& costs) {
        const auto front = pareto_front(costs);
        return front ? std::string() : front.error().message;
    };
    CHECK(message({}).contains("no groups"));
    CHECK(message({.fixed = {0, 0, 0}, .groups = {}}).contains("no groups"));
    CHECK(message({.fixed = {}, .groups = {{{}}}}).contains("no criteria"));
    CHECK(message({.fixed = {0, 0, 0}, .groups = {{}}}).contains("1 to 255 types, it has 0"));
    CHECK(message({.fixed = {0, 0}, .groups = {{{1, 1, 1}}}}).contains("3 criteria"));
    CHECK(message({.fixed = {0, 0, 0}, .groups = {{{1, 1, 1}, {1, 1}}}}).contains("2 criteria"));
    CHECK(message({.fixed = {0}, .groups = {GroupCosts(256, Costs{1})}}).contains("it has 256"));
    for (const double bad : {-1.0, std::nan(""), std::numeric_limits<double>::infinity(), 1e300}) {
        CHECK(message({.fixed = {0, 0, 0}, .groups = {{{1, 1, bad}}}}).contains("cannot be planned with"));
        CHECK(message({.fixed = {0, 0, bad}, .groups = {{{1, 1, 1}}}}).contains("cannot be planned with"));
        CHECK(message({.fixed = {0, bad, 0}, .groups = {{{1, 1, 1}}}}).contains("cannot be planned with") == (bad != -1));
        CHECK(message({.fixed = Costs(4), .groups = {{{1, bad, 1, 1}}}}).contains("cannot be planned with"));
    }
}

TEST_CASE("the smallest and the greatest costs, one type and 255 of them have a front", "[decide]")
{
    for (const std::size_t criteria : {1, 2, 3, 4}) {
        CAPTURE(criteria);
        const auto one = pareto_front({.fixed = Costs(criteria, 1), .groups = {{Costs(criteria, 2)}}});
        REQUIRE(one);
        REQUIRE(one->points.size() == 1);
        CHECK(one->points[0].cost == Costs(criteria, 3));
        GroupCosts types;
        for (std::size_t q = 0; q < 255; ++q) {
            types.emplace_back(criteria, static_cast<double>(q));
            types.back().back() = static_cast<double>(254 - q);
        }
        const auto many = pareto_front({.fixed = Costs(criteria), .groups = {types, types}});
        REQUIRE(many);
        CHECK(many->points.size() == (criteria == 1 ? 1 : 509));
        for (const double size : {1e-320, 1e-200, 1e100}) {
            CAPTURE(size);
            AdditiveCosts costs = random_costs(6, 3, 3, true, criteria);
            for (GroupCosts& group : costs.groups)
                for (Costs& cost : group) cost.back() *= size / 1000;
            costs.fixed.back() = 0;
            const auto near = pareto_front(costs, {.most_states = 2, .most_states_of_many = 2});
            REQUIRE(near);
            check_points(costs, *near);
            CHECK((!near->epsilon || std::isfinite(*near->epsilon)));
        }
    }
}

TEST_CASE("a spread dominates as much as any choice of as many points, but for a third", "[decide]")
{
    const std::size_t criteria = GENERATE(1, 2, 3, 4);
    const auto front = pareto_front(random_costs(criteria > 3 ? 2 : 4, 3, 5, false, criteria));
    REQUIRE(front);
    std::vector<Costs> points;
    for (const FrontPoint& point : front->points) points.push_back(point.cost);
    Costs reference = worst_of(points);
    for (double& value : reference) value *= 1.01;
    const auto three = spread(points, reference, 3);
    REQUIRE(three);
    REQUIRE(three->size() == std::min<std::size_t>(3, points.size()));
    const auto volume = [&](const std::vector<std::size_t>& indices) {
        std::vector<Costs> some;
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

TEST_CASE("a spread of what cannot be compared is refused", "[decide]")
{
    CHECK(!spread(std::vector<Costs>{{1, 2}}, {3, std::nan("")}, 1));
    CHECK(!spread(std::vector<Costs>{{1, std::nan("")}}, {3, 3}, 1));
    CHECK(!spread(std::vector<Costs>{{1, 2, 3}}, {3, 3}, 1));
    CHECK(spread(std::vector<Costs>{}, {3, 3}, 1)->empty());
}

TEST_CASE("dominance and extremes are by all criteria there are", "[decide]")
{
    CHECK(dominates(Costs{1, 1, 1, 1}, Costs{1, 1, 1, 2}));
    CHECK(!dominates(Costs{1}, Costs{1}));
    CHECK(!dominates(Costs{0, 2, 1, 1, 1}, Costs{1, 1, 1, 1, 1}));
    CHECK(!dominates(Costs{1, std::nan("")}, Costs{2, 5}));
    CHECK(!dominates(Costs{1, 5}, Costs{2, std::nan("")}));
    const std::vector<Costs> points{{1, 2}, {1, 2}, {2, 2}, {3, 1}};
    CHECK(non_dominated(points) == std::vector<bool>{true, true, false, true});
    CHECK(best_of(points) == Costs{1, 1});
    CHECK(worst_of(points) == Costs{3, 2});
    CHECK(best_of(std::vector<Costs>{}).empty());
}

}  // namespace
}  // namespace apreqel
