#include "decide/topsis.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

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
    const std::vector<Criterion> criteria{{.3, Direction::maximise}, {.4, Direction::maximise}, {.3, Direction::maximise}};
    check(topsis(matrix, criteria), {0.503720, 0.658085, 0.748249, 0.333997}, 1e-6);
}

TEST_CASE("topsis minimises costs", "[decide]")
{
    const std::vector<double> matrix{4, 30, 8, 5, 20, 7.5, 8, 25, 7.2};
    check(topsis(matrix, std::vector<Criterion>{{1.0 / 3}, {1.0 / 3}, {1.0 / 3}}), {0.6232809614, 0.7881857422, 0.2411833667},
          1e-10);
    check(topsis(matrix, std::vector<Criterion>{{.1}, {.8}, {.1}}), {0.1762547667, 0.9485281873, 0.4795275905}, 1e-10);
}

TEST_CASE("topsis does not change when all weights are scaled or a column changes its unit", "[decide]")
{
    const std::vector<double> matrix{4, 30, 8, 5, 20, 7.5, 8, 25, 7.2};
    std::vector<double> scaled = matrix;
    for (std::size_t k = 1; k < scaled.size(); k += 3) scaled[k] *= 1024;
    check(topsis(scaled, std::vector<Criterion>{{2}, {6}, {1}}), topsis(matrix, std::vector<Criterion>{{20}, {60}, {10}}),
          1e-12);
}

TEST_CASE("topsis has an answer for degenerate input", "[decide]")
{
    CHECK(topsis({}, std::vector<Criterion>{{1}}).empty());
    check(topsis(std::vector<double>{3, 4}, std::vector<Criterion>{{1}, {1}}), {1}, 0);               // one alternative
    check(topsis(std::vector<double>{3, 3, 3}, std::vector<Criterion>{{1}}), {1, 1, 1}, 0);           // all equal
    check(topsis(std::vector<double>{0, 1, 0, 2}, std::vector<Criterion>{{1}, {1}}), {1, 0}, 0);      // a column of zeros
    check(topsis(std::vector<double>{1, 5, 2, 1}, std::vector<Criterion>{{1}, {0}}), {1, 0}, 1e-15);  // a weight of zero
}

}  // namespace
}  // namespace apreqel
