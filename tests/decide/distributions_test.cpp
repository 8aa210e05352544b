#include "decide/topsis.h"

#include <apreqel/plan.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

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

/// The whole K × 3 matrix, as the paper has it.
std::vector<double> candidate_matrix(const std::vector<std::vector<std::size_t>>& all, const std::vector<Metrics>& costs,
                                     std::size_t layers)
{
    std::vector<double> matrix;
    for (const auto& counts : all) {
        for (std::size_t j = 0; j < kMetrics; ++j) {
            double estimate = 0;
            for (std::size_t i = 0; i < counts.size(); ++i)
                estimate += static_cast<double>(counts[i]) / static_cast<double>(layers) * costs[i][j];
            matrix.push_back(estimate);
        }
    }
    return matrix;
}

const std::vector<Metrics> kFive{
    {3.7e6, 1.40, 52.0}, {4.5e6, 1.15, 50.5}, {5.3e6, 1.31, 50.4}, {6.2e6, 1.62, 50.3}, {7.7e6, 1.21, 50.2}};

TEST_CASE("the number of distributions is the binomial coefficient", "[decide]")
{
    CHECK(count_distributions(64, 5) == 814385);
    CHECK(count_distributions(72, 4) == 67525);
    CHECK(count_distributions(1, 1) == 1);
    CHECK(count_distributions(9, 3) == compositions(9, 3).size());
    CHECK(!count_distributions(0, 5));
    CHECK(!count_distributions(1000, 40));
}

TEST_CASE("ranking equals TOPSIS on the whole matrix of candidates", "[decide]")
{
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> uniform(0.5, 10);
    for (int trial = 0; trial < 200; ++trial) {
        const std::size_t layers = 1 + random() % 8;
        std::vector<Metrics> costs(1 + random() % 4);
        for (Metrics& cost : costs) cost = {uniform(random) * 1e9, uniform(random), uniform(random)};
        if (costs.size() > 2 && trial % 5 == 0) costs[1] = costs[0];
        Weights weights{uniform(random), uniform(random), trial % 3 == 0 ? 0 : uniform(random)};
        const auto all = compositions(layers, costs.size());
        const auto matrix = candidate_matrix(all, costs, layers);
        const std::vector<Criterion> criteria{{weights[0]}, {weights[1]}, {weights[2]}};
        const std::vector<double> expected = topsis(matrix, criteria);
        const auto ranking = rank_distributions(layers, costs, weights, all.size());
        REQUIRE(ranking);
        REQUIRE(ranking->best.size() == all.size());
        CHECK(ranking->candidates == all.size());
        for (std::size_t j = 0; j < kMetrics; ++j) {
            double squares = 0;
            for (std::size_t k = 0; k < all.size(); ++k) squares += matrix[k * kMetrics + j] * matrix[k * kMetrics + j];
            CHECK_THAT(ranking->norm[j], WithinRel(std::sqrt(squares), 1e-12));
        }
        double previous = 2;
        for (const Candidate& candidate : ranking->best) {
            const auto k = static_cast<std::size_t>(std::ranges::find(all, candidate.counts) - all.begin());
            REQUIRE(k < all.size());
            CHECK(std::abs(candidate.closeness - expected[k]) < 1e-9);
            CHECK(candidate.closeness < previous + 1e-11);
            previous = candidate.closeness;
        }
    }
}

TEST_CASE("keeping few candidates keeps the first of all", "[decide]")
{
    const Weights weights{0.5, 0.3, 0.2};
    const auto few = rank_distributions(12, kFive, weights, 5);
    const auto all = rank_distributions(12, kFive, weights, 100000);
    REQUIRE(few);
    REQUIRE(all);
    REQUIRE(few->best.size() == 5);
    CHECK(all->best.size() == *count_distributions(12, 5));
    for (std::size_t k = 0; k < 5; ++k) CHECK(few->best[k].counts == all->best[k].counts);
}

TEST_CASE("the winner of the paper's size is not dominated and sums to all layers", "[decide]")
{
    const auto ranking = rank_distributions(64, kFive, {0.4, 0.3, 0.3}, 20);
    REQUIRE(ranking);
    CHECK(ranking->candidates == 814385);
    const Candidate& winner = ranking->best.front();
    CHECK(std::ranges::fold_left(winner.counts, std::size_t{0}, std::plus<>()) == 64);
    for (const auto& counts : compositions(64, 5)) {
        bool better = false;
        bool worse = false;
        for (std::size_t j = 0; j < kMetrics; ++j) {
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
    const std::vector<Metrics> equal_latency{{5e6, 1, 9}, {4e6, 1, 9}};
    CHECK(rank_distributions(7, equal_latency, {0, 1, 0})->best[0].counts == std::vector<std::size_t>{0, 7});
    // Twins in everything: rounding must not decide.
    const std::vector<Metrics> twins{{5e6, 1.1, 9.3}, {5e6, 1.1, 9.3}, {5e6, 1.1, 9.3}};
    const auto ranking = rank_distributions(10, twins, {1, 1, 1});
    CHECK(ranking->best[0].counts == std::vector<std::size_t>{10, 0, 0});
    CHECK(ranking->best[0].closeness == 1);
}

TEST_CASE("one layer or one type is a plan like any other", "[decide]")
{
    const auto one_type = rank_distributions(5, std::vector<Metrics>{{1e6, 2, 3}}, {1, 1, 1});
    REQUIRE(one_type);
    CHECK(one_type->best[0].counts == std::vector<std::size_t>{5});
    CHECK(one_type->best[0].closeness == 1);
    const auto one_layer = rank_distributions(1, kFive, {1, 0, 0});
    CHECK(one_layer->best[0].counts == std::vector<std::size_t>{1, 0, 0, 0, 0});
}

TEST_CASE("ranking refuses what it cannot rank", "[decide]")
{
    const auto code = [](const auto& result) { return result.error().code; };
    CHECK(code(rank_distributions(16, kFive, {0, 0, 0})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, kFive, {-1, 1, 1})) == ErrorCode::usage);
    CHECK(code(rank_distributions(160, std::vector<Metrics>(12, Metrics{1, 1, 1}), {1, 1, 1})) == ErrorCode::usage);
    CHECK(code(rank_distributions(16, std::vector<Metrics>{{1, 0, 1}}, {1, 1, 1})) == ErrorCode::failed);
    CHECK(code(rank_distributions(16, std::vector<Metrics>{{1, std::nan(""), 1}}, {1, 1, 1})) == ErrorCode::failed);
}

}  // namespace
}  // namespace apreqel
