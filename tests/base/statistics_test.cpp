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

TEST_CASE("a machine that changes its speed between and within rounds slows no model", "[base]")
{
    constexpr std::size_t kModels = 7;
    constexpr std::size_t kRounds = 12;
    std::vector<std::vector<double>> samples(kModels, std::vector<double>(kRounds));
    for (std::size_t r = 0; r < kRounds; ++r) {
        for (std::size_t m = 0; m < kModels; ++m) {
            const std::size_t k = r * kModels + m;
            const double pace = (k / 23) % 2 == 0 ? 1 : 1.6;                             // slow and fast spells of 23 samples
            const double noise = 1 + 0.01 * (static_cast<double>(k * 37 % 11) - 5) / 5;  // ± 1 %
            samples[m][r] = static_cast<double>(10 + m) * pace * noise;
        }
    }
    const auto leveled = without_drift(samples);
    const double scale = summarize(leveled[0]).median / 10;
    for (std::size_t m = 0; m < kModels; ++m) {
        const Sampled model = summarize(leveled[m]);
        CHECK_THAT(model.median / scale, Catch::Matchers::WithinRel(static_cast<double>(10 + m), 0.015));
        CHECK(model.high / model.low < 1.06);
        CHECK(summarize(samples[m]).high / summarize(samples[m]).low > 1.5);
    }
}

TEST_CASE("samples without drift keep their noise, and one sample is what it is", "[base]")
{
    std::vector<std::vector<double>> steady{{10, 11, 10, 9, 10, 12, 10, 8}};
    const auto leveled = without_drift(steady);
    CHECK(leveled[0][5] > 11.5);
    CHECK(leveled[0][7] < 8.5);
    CHECK(without_drift({{5}}) == std::vector<std::vector<double>>{{5}});
    CHECK(without_drift({}).empty());
    CHECK(without_drift({{}, {}}).size() == 2);
}

}  // namespace
}  // namespace apreqel
