#include "decide/topsis.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

void check(const std::vector<double>& found, const std::vector<double>& expected, double tolerance)
{
    REQUIRE(found.size() == expected.size());
    for (std::size_t k = 0; k < found.size(); ++k) CHECK_THAT(found[k], WithinAbs(expected[k], tolerance));
}

TEST_CASE("topsis gives the closeness of the example in Tzeng and Huang 2011", "[decide]")
{
    const std::vector<double> matrix{5, 8, 4, 7, 6, 8, 8, 8, 6, 7, 4, 6};
    const std::vector<Column> criteria{{.3, Direction::maximise}, {.4, Direction::maximise}, {.3, Direction::maximise}};
    check(topsis(matrix, criteria), {0.503720, 0.658085, 0.748249, 0.333997}, 1e-6);
}

TEST_CASE("topsis minimises costs", "[decide]")
{
    const std::vector<double> matrix{4, 30, 8, 5, 20, 7.5, 8, 25, 7.2};
    check(topsis(matrix, std::vector<Column>{{1.0 / 3}, {1.0 / 3}, {1.0 / 3}}), {0.6232809614, 0.7881857422, 0.2411833667},
          1e-10);
    check(topsis(matrix, std::vector<Column>{{.1}, {.8}, {.1}}), {0.1762547667, 0.9485281873, 0.4795275905}, 1e-10);
}

TEST_CASE("topsis does not change when all weights are scaled or a column changes its unit", "[decide]")
{
    const std::vector<double> matrix{4, 30, 8, 5, 20, 7.5, 8, 25, 7.2};
    std::vector<double> scaled = matrix;
    for (std::size_t k = 1; k < scaled.size(); k += 3) scaled[k] *= 1024;
    check(topsis(scaled, std::vector<Column>{{2}, {6}, {1}}), topsis(matrix, std::vector<Column>{{20}, {60}, {10}}), 1e-12);
}

TEST_CASE("topsis has an answer for degenerate input", "[decide]")
{
    CHECK(topsis({}, std::vector<Column>{{1}}).empty());
    check(topsis(std::vector<double>{3, 4}, std::vector<Column>{{1}, {1}}), {1}, 0);               // one alternative
    check(topsis(std::vector<double>{3, 3, 3}, std::vector<Column>{{1}}), {1, 1, 1}, 0);           // all equal
    check(topsis(std::vector<double>{0, 1, 0, 2}, std::vector<Column>{{1}, {1}}), {1, 0}, 0);      // a column of zeros
    check(topsis(std::vector<double>{1, 5, 2, 1}, std::vector<Column>{{1}, {0}}), {1, 0}, 1e-15);  // a weight of zero
}

TEST_CASE("values that are equal but for rounding do not count", "[decide]")
{
    const std::vector<Costs> rows{{0.1 + 0.2, 1, 0}, {0.3, 3, 0}};
    const Costs norms = norms_of(rows, Normalization::minmax);
    CHECK_THAT(norms[0], WithinAbs(0.3, 1e-12));
    CHECK(norms[1] == 2);
    CHECK(norms[2] == 1);
    CHECK(norms_of(rows, Normalization::vector)[2] == 1);
}

/// Points of a set that a scale is made of, and others, inside its box and outside.
struct Sample {
    std::vector<Costs> set;
    Costs weights;
    Scale scale;
    std::vector<Costs> points;

    explicit Sample(std::uint64_t seed)
    {
        std::mt19937_64 random(seed);
        const std::size_t criteria = 1 + random() % 6;
        const bool whole = random() % 2 == 0;  // whole numbers tie and dominate often
        const auto value = [&](double from, double to) {
            const double drawn = from + (to - from) * static_cast<double>(random() % 1000) / 1000;
            return whole ? std::round(drawn) : drawn;
        };
        set.resize(1 + random() % 5);
        for (Costs& row : set)
            for (std::size_t j = 0; j < criteria; ++j) row.push_back(value(2, 6));
        for (std::size_t j = 0; j < criteria; ++j) weights.push_back(random() % 3 == 0 ? 0 : value(1, 4));
        const auto normalization = random() % 2 == 0 ? Normalization::minmax : Normalization::vector;
        scale = scale_of(set, weights, norms_of(set, normalization));
        for (int k = 0; k < 12; ++k) {
            Costs& point = points.emplace_back();
            for (std::size_t j = 0; j < criteria; ++j) point.push_back(value(0, 8));
        }
        // Each of these dominates the one before it.
        for (int k = 0; k < 12; ++k) {
            points.push_back(points.back());
            double& cost = points.back()[random() % criteria];
            cost = std::max(0.0, cost - value(1, 3));
        }
    }
};

TEST_CASE("what dominates another is closer to the ideal, wherever the two lie", "[decide]")
{
    std::size_t compared = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        const Sample sample(seed);
        for (const Costs& a : sample.points) {
            for (const Costs& b : sample.points) {
                if (!dominates(a, b)) continue;
                CAPTURE(seed, a, b, sample.weights, sample.scale.ideal, sample.scale.anti_ideal);
                const double better = extended_closeness(a, sample.weights, sample.scale);
                const double worse = extended_closeness(b, sample.weights, sample.scale);
                REQUIRE(better >= worse);
                bool counts = false;
                for (std::size_t j = 0; j < a.size(); ++j) counts = counts || (sample.weights[j] > 0 && a[j] < b[j]);
                if (counts) REQUIRE(better > worse);
                ++compared;
            }
        }
    }
    CHECK(compared > 50000);
}

TEST_CASE("between ideal and anti-ideal the closeness is that of TOPSIS", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const Sample sample(seed);
        for (const Costs& row : sample.set) {
            const Distances d = distances(row, sample.weights, sample.scale);
            CHECK(extended_closeness(row, sample.weights, sample.scale) == closeness(d.ideal, d.anti_ideal));
        }
    }
}

TEST_CASE("the closeness does not jump where the box ends", "[decide]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        const Sample sample(seed);
        for (Costs point : sample.points) {
            for (std::size_t j = 0; j < point.size(); ++j) {
                if (best_of(sample.set)[j] == worst_of(sample.set)[j]) continue;
                for (const double edge : {best_of(sample.set)[j], worst_of(sample.set)[j]}) {
                    point[j] = edge * (1 - 1e-9);
                    const double inside = extended_closeness(point, sample.weights, sample.scale);
                    point[j] = edge * (1 + 1e-9);
                    CHECK(std::abs(extended_closeness(point, sample.weights, sample.scale) - inside) < 1e-4);
                }
            }
        }
    }
}

}  // namespace
}  // namespace apreqel
