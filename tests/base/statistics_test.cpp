#include "base/statistics.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

TEST_CASE("the interval of the median comes from the binomial table", "[base]")
{
    const Sampled ten = summarize({10, 2, 9, 3, 8, 4, 7, 5, 6, 1});
    CHECK(ten.median == 5.5);
    CHECK(ten.low == 2);
    CHECK(ten.high == 9);
    CHECK_THAT(ten.confidence, WithinAbs(0.978516, 1e-6));
    const Sampled six = summarize({1, 2, 3, 4, 5, 6});
    CHECK(six.low == 1);
    CHECK(six.high == 6);
    CHECK_THAT(six.confidence, WithinAbs(0.96875, 1e-9));
}

TEST_CASE("few samples give their range and the coverage it has", "[base]")
{
    const Sampled five = summarize({3, 1, 2, 5, 4});
    CHECK(five.low == 1);
    CHECK(five.high == 5);
    CHECK_THAT(five.confidence, WithinAbs(0.9375, 1e-9));
    CHECK(summarize({7}).median == 7);
    CHECK(summarize({7}).confidence == 0);
    CHECK(summarize({}).samples.empty());
}

TEST_CASE("models measured in the same rounds are told apart by their differences", "[base]")
{
    // The machine slows down by half meanwhile: the medians overlap, the pairs do not.
    std::vector<double> faster;
    std::vector<double> slower;
    for (int round = 0; round < 10; ++round) {
        faster.push_back(1.0 + 0.05 * round);
        slower.push_back(faster.back() + 0.02);
    }
    CHECK(tell_apart(faster, slower));
    CHECK(!tell_apart(faster, faster));
    slower[0] = slower[1] = slower[2] = 0.9;
    CHECK(!tell_apart(faster, slower));
    CHECK(!tell_apart(std::vector<double>{1, 1}, std::vector<double>{2, 2}));  // too few to say
}

}  // namespace
}  // namespace apreqel
