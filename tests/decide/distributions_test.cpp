#include "decide/topsis.h"

#include <apreqel/distributions.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <utility>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Every composition of `layers` into `types` counts.
std::vector<std::vector<std::size_t>> compositions(std::size_t layers, std::size_t types)
{
    std::vector<std::vector<std::size_t>> all;
    std::vector<std::size_t> counts(types);
    const std::function<void(std::size_t, std::size_t)> visit = [&](std::size_t type, std::size_t left) {
        if (type + 1 == types) {
            counts[type] = left;
            all.push_back(counts);
            return;
        }
        for (std::size_t n = 0; n <= left; ++n) {
            counts[type] = n;
            visit(type + 1, left - n);
        }
    };
    visit(0, layers);
    return all;
}

/// The whole matrix of candidates, as the paper has it.
std::vector<double> candidate_matrix(const std::vector<std::vector<std::size_t>>& all, const std::vector<Costs>& costs,
                                     std::size_t layers)
{
    std::vector<double> matrix;
    for (const auto& counts : all) {
        for (std::size_t j = 0; j < costs.front().size(); ++j) {
            double estimate = 0;
            for (std::size_t i = 0; i < counts.size(); ++i)
                estimate += static_cast<double>(counts[i]) / static_cast<double>(layers) * costs[i][j];
            matrix.push_back(estimate);
        }
    }
    return matrix;
}

const std::vector<Costs> kFive{
    {3.7e6, 1.40, 52.0}, {4.5e6, 1.15, 50.5}, {5.3e6, 1.31, 50.4}, {6.2e6, 1.62, 50.3}, {7.7e6, 1.21, 50.2}};

TEST_CASE("the number of distributions is the binomial coefficient", "[decide]")
{
    CHECK(count_distributions(64, 5) == 814385);
    CHECK(count_distributions(72, 4) == 67525);
    CHECK(count_distributions(1, 1) == 1);
    CHECK(count_distributions(9, 3) == static_cast<double>(compositions(9, 3).size()));
    CHECK_THAT(count_distributions(160, 12), WithinRel(65942612131162216.0, 1e-15));
    CHECK_THAT(count_distributions(1000, 40), WithinRel(1.0587e71, 1e-4));
    CHECK(count_distributions(0, 5) == 0);
    CHECK(count_distributions(5, 0) == 0);
}

TEST_CASE("ranking equals TOPSIS on the whole matrix of candidates", "[decide]")
{
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> uniform(0.5, 10);
    for (std::size_t trial = 0; trial < 400; ++trial) {
        const std::size_t criteria = trial % 2 == 0 ? 3 : 1 + trial / 2 % 6;
        const std::size_t layers = 1 + random() % 8;
        std::vector<Costs> costs(1 + random() % 4, Costs(criteria));
        Costs weights(criteria);
        for (std::size_t j = 0; j < criteria; ++j) {
            for (Costs& cost : costs) cost[j] = uniform(random) * (j == 0 ? 1e9 : 1);
            weights[j] = j == 2 && trial % 3 == 0 ? 0 : uniform(random);
            if (j == 3 && trial % 7 == 0)
                for (Costs& cost : costs) cost[j] = 0;
            if (j == 1 && trial % 5 == 0) costs.front()[j] = 0;
        }
        if (costs.size() > 2 && trial % 5 == 0) costs[1] = costs[0];
        CAPTURE(trial, criteria, layers, costs.size());
        const auto all = compositions(layers, costs.size());
        const auto matrix = candidate_matrix(all, costs, layers);
        std::vector<Column> columns;
        for (const double weight : weights) columns.push_back({weight});
        const std::vector<double> expected = topsis(matrix, columns);
        const auto ranking = rank_distributions(layers, costs, weights, all.size());
        REQUIRE(ranking);
        REQUIRE(ranking->best.size() == all.size());
        CHECK(ranking->candidates == static_cast<double>(all.size()));
        for (std::size_t j = 0; j < criteria; ++j) {
            double squares = 0;
            for (std::size_t k = 0; k < all.size(); ++k) squares += matrix[k * criteria + j] * matrix[k * criteria + j];
            CHECK_THAT(ranking->scale.norm[j], WithinRel(squares > 0 ? std::sqrt(squares) : 1, 1e-12));
        }
        double previous = 2;
        for (const RankedDistribution& candidate : ranking->best) {
            const auto k = static_cast<std::size_t>(std::ranges::find(all, candidate.counts) - all.begin());
            REQUIRE(k < all.size());
            CHECK(std::abs(candidate.closeness - expected[k]) < 1e-9);
            CHECK(candidate.closeness < previous + 1e-11);
            previous = candidate.closeness;
        }
    }
}

/// Every candidate by the plain formulas, in the order of the ranking: what `rank_distributions` must find without visiting all.
std::vector<RankedDistribution> ranked_by_enumeration(std::size_t layers, const std::vector<Costs>& costs, const Costs& weights,
                                                      const DistributionRanking& ranking)
{
    bool equal = true;
    for (std::size_t j = 0; j < weights.size(); ++j)
        equal = equal && (weights[j] == 0 || best_of(costs)[j] == worst_of(costs)[j]);
    const auto rounded = [](double value) { return std::llround(value * 1e12); };
    std::vector<std::pair<std::vector<long long>, RankedDistribution>> all;  // with what the order goes by
    for (const auto& counts : compositions(layers, costs.size())) {
        RankedDistribution candidate{.counts = counts, .estimate = Costs(weights.size())};
        double ideal = 0;
        double anti_ideal = 0;
        for (std::size_t j = 0; j < weights.size(); ++j) {
            for (std::size_t i = 0; i < counts.size(); ++i)
                candidate.estimate[j] += static_cast<double>(counts[i]) / static_cast<double>(layers) * costs[i][j];
            const double value = candidate.estimate[j] / ranking.scale.norm[j] * weights[j];
            ideal += (value - ranking.scale.ideal[j]) * (value - ranking.scale.ideal[j]);
            anti_ideal += (value - ranking.scale.anti_ideal[j]) * (value - ranking.scale.anti_ideal[j]);
        }
        candidate.closeness = equal ? 1 : closeness(std::sqrt(ideal), std::sqrt(anti_ideal));
        std::vector<long long> key{-rounded(candidate.closeness)};
        for (std::size_t j = 0; j < weights.size(); ++j) key.push_back(rounded(candidate.estimate[j] / costs[0][j]));
        all.emplace_back(std::move(key), std::move(candidate));
    }
    std::ranges::sort(all, [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first < b.first : a.second.counts > b.second.counts;
    });
    std::vector<RankedDistribution> candidates;
    for (auto& [key, candidate] : all) candidates.push_back(std::move(candidate));
    return candidates;
}

/// Costs of some shape that makes ties, flat bounds or degenerate hulls.
std::vector<Costs> shaped_costs(std::size_t shape, std::size_t types, std::mt19937_64& random)
{
    const auto uniform = [&] { return static_cast<double>(random() % 100000) / 100000; };
    const auto small = [&] { return static_cast<double>(1 + random() % 3); };
    std::vector<Costs> costs;
    for (std::size_t i = 0; i < types; ++i) {
        const double s = static_cast<double>(i) / static_cast<double>(types);
        const double a = uniform();
        const double b = uniform();
        const double odd = i % 2 == 0 ? 0 : 1;
        const auto unless = [i](std::size_t rest) { return i % 3 == rest ? 1.0 : 2.0; };
        switch (shape) {
            case 0: costs.push_back({1e9 * (1 + a), 10 + b, 5 + uniform()}); break;
            case 1: costs.push_back({small(), small(), small()}); break;      // ties in every metric
            case 2: costs.push_back({1 + s, 3 - 2 * s, 1 + 0.5 * s}); break;  // on a line
            case 3: costs.push_back({1 + a, 1 + b, 4 - a - b}); break;        // on a plane
            case 4: costs.push_back({1 + a, 2 * (1 + a), 3 - a}); break;      // latency in proportion to bytes
            case 5: costs.push_back({2, 1 + a, small()}); break;              // equal memory
            case 6: costs.push_back({7, 7, 7}); break;                        // equal in everything
            case 7: costs.push_back(i < 2 ? Costs{1 + a, 1 + b, 2 - a} : costs[random() % i]); break;  // twins
            case 8: costs.push_back({2 + odd + 1e-6 * a, 3 - odd + 1e-6 * b, 1}); break;               // nearly twins
            case 9: costs.push_back({2 + odd + 1e-3 * a, 3 - odd + 1e-3 * b, 1 + a}); break;
            case 10: costs.push_back({unless(0), unless(1), unless(2)}); break;  // none is close to the ideal
            default: costs.push_back({std::round(1e9 * (0.4 + s)), 1 + 0.4 * a, 7 + std::exp(-6 * s) * (1 + 0.1 * b)}); break;
        }
    }
    return costs;
}

TEST_CASE("the best are those of an enumeration, in its order, ties and all", "[decide]")
{
    constexpr std::size_t kShapes = 12;
    std::mt19937_64 random(11);
    const auto uniform = [&] { return static_cast<double>(1 + random() % 100) / 100; };
    for (std::size_t trial = 0; trial < 12000; ++trial) {
        const std::size_t types = 1 + random() % 6;
        const std::size_t layers = 1 + random() % (types > 4 ? 6 : 12);
        auto costs = shaped_costs(trial % kShapes, types, random);
        Costs weights{uniform(), uniform(), uniform()};
        if (random() % 3 == 0) weights[random() % 3] = 0;
        if (random() % 4 == 0) weights = std::array{Costs{1, 0, 0}, Costs{0, 1, 0}, Costs{0, 0, 1}}[random() % 3];
        if (random() % 5 == 0) weights = {1, 1, 1};
        if (trial % 4 == 1) {  // as many criteria again, some of them copies
            const auto more = shaped_costs(trial / kShapes % kShapes, types, random);
            for (std::size_t i = 0; i < types; ++i) costs[i].append_range(more[i]);
            weights.append_range(Costs{uniform(), 0, uniform()});
        } else if (trial % 4 == 2) {
            const std::size_t fewer = 1 + random() % 2;
            for (Costs& cost : costs) cost.resize(fewer);
            weights.resize(fewer);
            if (std::ranges::max(weights) == 0) weights.front() = 1;
        }
        const std::size_t keep = std::array<std::size_t, 4>{1, 5, 40, 100000}[random() % 4];
        const auto ranking = rank_distributions(layers, costs, weights, keep);
        REQUIRE(ranking);
        const auto expected = ranked_by_enumeration(layers, costs, weights, *ranking);
        CAPTURE(trial, trial % kShapes, layers, types, keep, weights);
        REQUIRE(ranking->best.size() == std::min(keep, expected.size()));
        for (std::size_t k = 0; k < ranking->best.size(); ++k) {
            CAPTURE(k);
            REQUIRE(ranking->best[k].counts == expected[k].counts);
            REQUIRE(ranking->best[k].closeness == expected[k].closeness);
        }
    }
}

TEST_CASE("the best of many candidates are those of an enumeration", "[decide]")
{
    std::mt19937_64 random(12);
    for (std::size_t trial = 0; trial < 96; ++trial) {
        const std::size_t types = 3 + random() % 3;
        const std::size_t layers = std::array<std::size_t, 3>{160, 40, 20}[types - 3];
        const auto costs = shaped_costs(trial % 12, types, random);
        const Costs weights{0.1 + 0.1 * static_cast<double>(random() % 9), 0.3, trial % 5 == 0 ? 0 : 0.4};
        const std::size_t keep = trial % 2 == 0 ? 8 : 200;
        const auto ranking = rank_distributions(layers, costs, weights, keep);
        REQUIRE(ranking);
        const auto expected = ranked_by_enumeration(layers, costs, weights, *ranking);
        CAPTURE(trial);
        for (std::size_t k = 0; k < keep; ++k) REQUIRE(ranking->best[k].counts == expected[k].counts);
    }
}

TEST_CASE("distributions that no one could enumerate are ranked", "[decide]")
{
    // Bits per weight from 2 to 8.5, three types of one size, latency that is not monotone, perplexity that falls.
    const std::vector<double> bits{2.0625, 2.625, 3.4375, 3.44, 4.25, 4.5, 4.5, 4.5, 5.5, 5.5, 6.5625, 8.5};
    std::vector<Costs> costs;
    for (std::size_t i = 0; i < bits.size(); ++i) {
        costs.push_back({1e9 * bits[i], 30 + 5 * bits[i] + static_cast<double>(i * 7 % 5), 7.3 + 9 * std::exp(-1.3 * bits[i])});
    }
    const auto neighbours_are_no_closer = [&](const Costs& weights) {
        const auto ranking = rank_distributions(160, costs, weights, 5);
        REQUIRE(ranking);
        REQUIRE(ranking->best.size() == 5);
        CHECK(ranking->candidates > 6e16);
        const RankedDistribution& winner = ranking->best.front();
        CHECK(std::ranges::fold_left(winner.counts, std::size_t{0}, std::plus<>()) == 160);
        for (std::size_t from = 0; from < costs.size(); ++from) {
            for (std::size_t to = 0; to < costs.size(); ++to) {
                if (winner.counts[from] == 0 || from == to) continue;
                double ideal = 0;
                double anti_ideal = 0;
                for (std::size_t j = 0; j < 3; ++j) {
                    const double estimate = winner.estimate[j] + (costs[to][j] - costs[from][j]) / 160;
                    const double value = estimate / ranking->scale.norm[j] * weights[j];
                    ideal += std::pow(value - ranking->scale.ideal[j], 2);
                    anti_ideal += std::pow(value - ranking->scale.anti_ideal[j], 2);
                }
                CHECK(closeness(std::sqrt(ideal), std::sqrt(anti_ideal)) < winner.closeness + 1e-11);
            }
        }
    };
    neighbours_are_no_closer({1.0 / 3, 1.0 / 3, 1.0 / 3});
    neighbours_are_no_closer({0.5, 0, 0.5});
    neighbours_are_no_closer({0.05, 0.05, 0.9});
    CHECK(rank_distributions(160, costs, {1, 0, 0})->best[0].counts[0] == 160);
    CHECK(rank_distributions(160, costs, {0, 0, 1})->best[0].counts[11] == 160);
    // All equal in what matters: the smallest, then the fastest.
    for (Costs& cost : costs) cost[2] = 9;
    CHECK(rank_distributions(160, costs, {0, 0, 1})->best[0].counts[0] == 160);
    for (Costs& cost : costs) cost[0] = 1e9;
    CHECK(rank_distributions(160, costs, {0.5, 0, 0.5})->best[0].counts[0] == 160);
    // More candidates than 64 bits hold.
    costs.append_range(std::vector(costs));
    for (std::size_t i = 0; i < costs.size(); ++i) costs[i][2] = 10 - 0.1 * static_cast<double>(i);
    const auto many = rank_distributions(1000, costs, {0.2, 0.3, 0.5});
    REQUIRE(many);
    CHECK(many->candidates > 1e40);
    CHECK(many->best[0].distance_ideal > 0);
}

TEST_CASE("keeping few candidates keeps the first of all", "[decide]")
{
    const Costs weights{0.5, 0.3, 0.2};
    const auto few = rank_distributions(12, kFive, weights, 5);
    const auto all = rank_distributions(12, kFive, weights, 100000);
    REQUIRE(few);
    REQUIRE(all);
    REQUIRE(few->best.size() == 5);
    CHECK(static_cast<double>(all->best.size()) == count_distributions(12, 5));
    for (std::size_t k = 0; k < 5; ++k) CHECK(few->best[k].counts == all->best[k].counts);
}

TEST_CASE("the winner of the paper's size is not dominated and sums to all layers", "[decide]")
{
    const auto ranking = rank_distributions(64, kFive, {0.4, 0.3, 0.3}, 20);
    REQUIRE(ranking);
    CHECK(ranking->candidates == 814385);
    const RankedDistribution& winner = ranking->best.front();
    CHECK(std::ranges::fold_left(winner.counts, std::size_t{0}, std::plus<>()) == 64);
    for (const auto& counts : compositions(64, 5)) {
        bool better = false;
        bool worse = false;
        for (std::size_t j = 0; j < 3; ++j) {
            double estimate = 0;
            for (std::size_t i = 0; i < counts.size(); ++i) estimate += static_cast<double>(counts[i]) / 64 * kFive[i][j];
            better = better || estimate < winner.estimate[j] * (1 - 1e-12);
            worse = worse || estimate > winner.estimate[j] * (1 + 1e-12);
        }
        if (better && !worse) FAIL("a candidate dominates the winner");
    }
}

TEST_CASE("a single weight chooses the uniform variant that is best in its metric", "[decide]")
{
    CHECK(rank_distributions(16, kFive, {1, 0, 0})->best[0].counts == std::vector<std::size_t>{16, 0, 0, 0, 0});
    CHECK(rank_distributions(16, kFive, {0, 1, 0})->best[0].counts == std::vector<std::size_t>{0, 16, 0, 0, 0});
    CHECK(rank_distributions(16, kFive, {0, 0, 1})->best[0].counts == std::vector<std::size_t>{0, 0, 0, 0, 16});
    CHECK(rank_distributions(16, kFive, {0, 0, 1})->best[0].closeness == 1);
}

TEST_CASE("ties go to the smaller memory, then to the earlier type", "[decide]")
{
    // Latency alone decides, and is equal: the smaller one wins.
    const std::vector<Costs> equal_latency{{5e6, 1, 9}, {4e6, 1, 9}};
    CHECK(rank_distributions(7, equal_latency, {0, 1, 0})->best[0].counts == std::vector<std::size_t>{0, 7});
    // Twins in everything: rounding must not decide.
    const std::vector<Costs> twins{{5e6, 1.1, 9.3}, {5e6, 1.1, 9.3}, {5e6, 1.1, 9.3}};
    const auto ranking = rank_distributions(10, twins, {1, 1, 1});
    CHECK(ranking->best[0].counts == std::vector<std::size_t>{10, 0, 0});
    CHECK(ranking->best[0].closeness == 1);
    const auto many = rank_distributions(160, std::vector<Costs>(12, twins[0]), {1, 1, 1}, 2);
    REQUIRE(many);
    CHECK(many->best[0].counts[0] == 160);
    CHECK(many->best[1].counts[0] == 159);
    CHECK(many->best[1].counts[1] == 1);
}

TEST_CASE("distributions that cannot be told apart in reasonable time are refused", "[decide]")
{
    // Memory and perplexity on one line: countless ways to nearly the same estimate.
    std::vector<Costs> line;
    for (std::size_t i = 0; i < 12; ++i) {
        const double s = static_cast<double>(i) / 11;
        line.push_back({1 + s, 1, 1 + 1.7 * (1 - s)});
    }
    const auto ranking = rank_distributions(160, line, {0.5, 0, 0.5}, 1000, 1'000'000);
    REQUIRE(!ranking);
    CHECK(ranking.error().code == ErrorCode::usage);
    CHECK(ranking.error().message.contains("use fewer types"));
}

TEST_CASE("one layer or one type is a plan like any other", "[decide]")
{
    const auto one_type = rank_distributions(5, std::vector<Costs>{{1e6, 2, 3}}, {1, 1, 1});
    REQUIRE(one_type);
    CHECK(one_type->best[0].counts == std::vector<std::size_t>{5});
    CHECK(one_type->best[0].closeness == 1);
    const auto one_layer = rank_distributions(1, kFive, {1, 0, 0});
    CHECK(one_layer->best[0].counts == std::vector<std::size_t>{1, 0, 0, 0, 0});
}

TEST_CASE("a criterion that costs nothing in some types, or in all, is ranked by", "[decide]")
{
    const std::vector<Costs> free{{2, 0, 0}, {1, 0, 3e-9}, {1, 0, 5}};
    CHECK(rank_distributions(9, free, {0, 0, 1})->best[0].counts == std::vector<std::size_t>{9, 0, 0});
    CHECK(rank_distributions(9, free, {1, 1, 0})->best[0].counts == std::vector<std::size_t>{0, 9, 0});  // by the third
    CHECK(rank_distributions(9, free, {0, 1, 0})->best[0].closeness == 1);
    const auto all = rank_distributions(9, free, {1, 1, 1}, 1000);
    REQUIRE(all);
    CHECK(static_cast<double>(all->best.size()) == all->candidates);
    for (const RankedDistribution& candidate : all->best) CHECK((candidate.closeness >= 0 && candidate.closeness <= 1));
}

TEST_CASE("255 types are ranked", "[decide]")
{
    std::vector<Costs> costs;
    for (std::size_t i = 0; i < 255; ++i) {
        const double s = static_cast<double>(i) / 254;
        costs.push_back({1 + s, 3 - s, 1 + (1 - s) * (1 - s), 2});
    }
    const auto ranking = rank_distributions(64, costs, {0, 0, 1, 1}, 1, 10'000'000);
    REQUIRE(ranking);
    CHECK(ranking->best[0].counts[254] == 64);
}

TEST_CASE("ranking refuses what it cannot rank", "[decide]")
{
    const auto code = [](const auto& result) { return result.error().code; };
    CHECK(code(rank_distributions(16, kFive, {0, 0, 0})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, kFive, {-1, 1, 1})) == ErrorCode::usage);
    CHECK(code(rank_distributions(0, kFive, {1, 1, 1})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, std::vector<Costs>{}, {1, 1, 1})) == ErrorCode::usage);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    for (const double bad : {-1.0, std::nan(""), kInfinity, -kInfinity, 1e200, 1e-200})
        CHECK(code(rank_distributions(16, std::vector<Costs>{{1, bad, 1}}, {1, 1, 1})) == ErrorCode::failed);
    for (const double bad : {-1.0, std::nan(""), kInfinity, 1e200})
        CHECK(code(rank_distributions(16, kFive, {1, 1, bad})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, kFive, {1e-200, 0, 0})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, kFive, {1, 1})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, kFive, {})) == ErrorCode::usage);
    const std::vector<Costs> many{Costs(17, 1.0)};
    CHECK(code(rank_distributions(16, many, Costs(17, 1.0))) == ErrorCode::usage);
}

}  // namespace
}  // namespace apreqel
