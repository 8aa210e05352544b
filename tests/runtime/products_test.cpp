// How far products are off.
#include "runtime/products.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

TEST_CASE("a product is as far off as its distance from the exact one is of that", "[runtime]")
{
    const std::vector<float> weights{1, 2, 0, 0, 1, -1};  // two rows of three
    const std::vector<float> inputs{1, 1, 1, 2, 0, 3};
    std::vector<float> products{3, 0, 2, -3};  // of the first vector, then of the second
    CHECK(product_error(products, weights, inputs, 3) == 0);
    for (float& product : products) product *= 1.25F;
    CHECK_THAT(product_error(products, weights, inputs, 3), WithinAbs(0.25, 1e-12));
    products = {3, 0, 2, -3 + std::sqrt(22.0F)};
    CHECK_THAT(product_error(products, weights, inputs, 3), WithinAbs(1, 1e-6));
    products[1] = std::numeric_limits<float>::quiet_NaN();
    CHECK(product_error(products, weights, inputs, 3) > kProductError);
}

TEST_CASE("where no block goes to a GPU, none is tried", "[runtime]")
{
    const std::vector<RowFormat> formats{{parse_type("q4_0").value(), 64}};
    CHECK(find_wrong_types({.gpu_layers = 0}, formats)->empty());
    CHECK(find_wrong_types({.devices = {std::string(kNoDevice)}}, formats)->empty());
}

}  // namespace
}  // namespace apreqel
