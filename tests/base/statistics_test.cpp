#include <apreqel/statistics.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>

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
    std::vector<std::size_t> order;
    std::vector<std::size_t> round(kModels);
    std::iota(round.begin(), round.end(), 0);
    std::mt19937_64 random(1);
    for (std::size_t r = 0; r < kRounds; ++r) {
        std::ranges::shuffle(round, random);
        for (const std::size_t m : round) {
            const std::size_t k = order.size();
            order.push_back(m);
            const double pace = (k / 23) % 2 == 0 ? 1 : 1.6;                             // slow and fast spells of 23 samples
            const double noise = 1 + 0.01 * (static_cast<double>(k * 37 % 11) - 5) / 5;  // ± 1 %
            samples[m][r] = static_cast<double>(10 + m) * pace * noise;
        }
    }
    const auto leveled = without_drift(samples, order);
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
    const auto leveled = without_drift(steady, std::vector<std::size_t>(8));
    CHECK(leveled[0][5] > 11.5);
    CHECK(leveled[0][7] < 8.5);
    const std::vector<std::size_t> order{0};
    CHECK(without_drift({{5}}, order) == std::vector<std::vector<double>>{{5}});
    CHECK(without_drift({}, order).empty());
    CHECK(without_drift({{}, {}}, order).size() == 2);
}

TEST_CASE("a median of an even number is the mean of the two in the middle", "[base]")
{
    CHECK(median({4, 1, 3, 2}) == 2.5);
    CHECK(median({3, 1, 2}) == 2);
    CHECK(median({7}) == 7);
    CHECK(quantile({4, 1, 3, 2}, 0) == 1);
    CHECK(quantile({4, 1, 3, 2}, 1) == 4);
    CHECK_THAT(quantile({10, 20, 30, 40, 50}, 0.1), WithinAbs(14, 1e-12));  // Hyndman & Fan, definition 7
}

TEST_CASE("a mean keeps its standard error where the spread is small beside it", "[base]")
{
    Mean small;
    Mean shifted;
    for (const double value : {1.0, 2.0, 3.0, 4.0}) {
        small.add(value);
        shifted.add(1e9 + value);
    }
    CHECK_THAT(small.standard_error(), WithinAbs(0.6454972243679028, 1e-15));  // √(5/3 / 4)
    CHECK_THAT(shifted.standard_error(), WithinAbs(small.standard_error(), 1e-6));
    CHECK(shifted.mean() == 1e9 + 2.5);
}

TEST_CASE("thousands of samples still have a narrow interval of 95 %", "[base]")
{
    for (const std::size_t n : {1'074, 1'075, 1'100, 5'000, 100'001}) {
        std::vector<double> samples(n);
        std::iota(samples.begin(), samples.end(), 1);
        const Sampled sampled = summarize(samples);
        INFO(n);
        CHECK(sampled.confidence >= 0.95);
        CHECK(sampled.confidence < 0.96);
        // ± 1.96 standard errors of the rank, √n / 2, as the binomial is all but normal.
        CHECK_THAT(sampled.high - sampled.low, WithinAbs(1.96 * std::sqrt(static_cast<double>(n)), 4));
    }
}

/// The share of 2000 experiments of `n` skewed samples, whose median is 1, in which the interval of the median holds it.
double coverage_of_summary(std::size_t n)
{
    std::mt19937_64 random(7);
    std::size_t held = 0;
    for (int experiment = 0; experiment < 2000; ++experiment) {
        std::vector<double> samples(n);
        std::ranges::generate(samples,
                              [&] { return -std::log(std::generate_canonical<double, 53>(random)) / std::numbers::ln2; });
        const Sampled sampled = summarize(std::move(samples));
        held += sampled.low <= 1 && 1 <= sampled.high ? 1 : 0;
    }
    return static_cast<double>(held) / 2000;
}

TEST_CASE("an interval of the median covers it as often as it says", "[base]")
{
    const std::size_t n = GENERATE(2, 3, 5, 6, 10, 20, 51);
    INFO(n << " samples");
    CHECK_THAT(coverage_of_summary(n), WithinAbs(summarize(std::vector<double>(n)).confidence, 0.02));
}

/// The share of experiments in which the bootstrap's interval of median of n rounds + mean of n chunks holds the true value.
double coverage_of_bootstrap(std::size_t n)
{
    std::mt19937_64 random(11);
    const auto exponential = [&] { return -std::log(std::generate_canonical<double, 53>(random)); };
    constexpr int kExperiments = 250;
    int held = 0;
    for (int experiment = 0; experiment < kExperiments; ++experiment) {
        std::vector<double> rounds(n);
        std::vector<double> chunks(n);
        std::ranges::generate(rounds, exponential);
        std::ranges::generate(chunks, [&] { return exponential() - exponential(); });  // symmetric, with heavy tails
        const auto interval = bootstrap(std::vector{n, n}, [&](const Draw& draw) {
            std::vector<double> drawn;
            for (const std::size_t round : draw[0]) drawn.push_back(rounds[round]);
            double sum = 0;
            for (const std::size_t chunk : draw[1]) sum += chunks[chunk];
            return std::optional(median(std::move(drawn)) + sum / static_cast<double>(n));
        });
        held += interval->low <= std::numbers::ln2 && std::numbers::ln2 <= interval->high ? 1 : 0;
    }
    return static_cast<double>(held) / kExperiments;
}

TEST_CASE("an interval of the bootstrap covers what it is of in 95 % of the cases, or a little more", "[base]")
{
    const std::size_t n = GENERATE(6, 10, 16);
    INFO(n << " of each");
    CHECK(coverage_of_bootstrap(n) >= 0.94);
    CHECK(coverage_of_bootstrap(n) <= 0.99);
}

TEST_CASE("the bootstrap states no interval of few repetitions, nor of nothing", "[base]")
{
    const auto one = [](const Draw&) { return std::optional(1.0); };
    CHECK(!bootstrap(std::vector<std::size_t>{5}, one));
    CHECK(!bootstrap(std::vector<std::size_t>{6, 5}, one));
    CHECK(!bootstrap({}, one));
    CHECK(bootstrap(std::vector<std::size_t>{6}, one)->high == 1);
    CHECK(!bootstrap(std::vector<std::size_t>{6}, [](const Draw&) { return std::optional<double>(); }));
}

TEST_CASE("models are known to a share when no interval is wider, and none is with fewer than six samples", "[base]")
{
    const std::vector<std::vector<double>> models{{99, 100, 101, 100, 100, 100}, {198, 200, 200, 200, 200, 202}};
    CHECK(known_to(models, 0.0101));
    CHECK(!known_to(models, 0.0099));
    CHECK(!known_to(std::vector<std::vector<double>>{models[0], {1, 1, 1, 1, 1}}, 0.5));
    // From nine samples on, one that was disturbed does not count.
    CHECK(known_to(std::vector<std::vector<double>>{{1, 1, 1, 1, 1, 1, 1, 1, 9}}, 0.001));
}

}  // namespace
}  // namespace apreqel
