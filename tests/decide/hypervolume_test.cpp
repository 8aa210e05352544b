#include <apreqel/evaluation.h>
#include <apreqel/statistics.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>
#include <limits>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

double volume(std::vector<Costs> points, Costs reference) { return hypervolume(points, reference).value(); }

TEST_CASE("hypervolumes are the published ones", "[decide]")
{
    CHECK(volume({{1, 1, 1}, {2, 2, 2}}, {3, 3, 3}) == 8);  // pagmo2's tests
    CHECK_THAT(volume({{2.3, 4.5, 3.2}, {3.4, 3.4, 3.4}, {6, 1.2, 3.6}}, {7, 7, 7}), WithinRel(66.386, 1e-12));
    CHECK_THAT(volume({{-6, -1, -6}, {-1, -3, -5}, {-3, -4, -4}, {-4, -2, -3}, {-5, -5, -2}, {-2, -6, -1}}, {0, 0, 0}),
               WithinRel(99.0, 1e-12));
    CHECK(volume({{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, {4, 4, 4}) == 13);  // moarchiving's
    // emoa's, in two metrics: a third that is the same for all adds a factor of 1
    CHECK_THAT(volume({{0, 1, 0}, {1, 0, 0}, {.5, .5, 0}}, {2, 2, 1}), WithinRel(3.25, 1e-12));
    CHECK_THAT(volume({{0, 1, 0}, {1, 0, 0}, {.5, .5, 0}}, {1, 1, 1}), WithinRel(0.25, 1e-12));
}

TEST_CASE("points on or outside the reference, duplicates and dominated points add no hypervolume", "[decide]")
{
    CHECK(volume({}, {1, 1, 1}) == 0);
    CHECK(volume({{1, 0, 0}, {2, 0, 0}}, {1, 1, 1}) == 0);
    CHECK(volume({{0, 0, 0}, {0, 0, 0}, {.5, .5, .5}, {5, 5, 5}}, {1, 1, 1}) == 1);
    CHECK(!hypervolume(std::vector<Costs>{{0, 0, NAN}}, {1, 1, 1}));
    CHECK(!hypervolume(std::vector<Costs>{{0, 0, 0}}, {1, 1, std::numeric_limits<double>::infinity()}));
}

TEST_CASE("hypervolumes are by any number of criteria", "[decide]")
{
    const auto of = [](std::vector<Costs> points, Costs reference) { return hypervolume(points, reference).value(); };
    CHECK(of({{1}, {2}}, {3}) == 2);
    CHECK(of({{0, 1}, {1, 0}}, {2, 2}) == 3);
    CHECK(of({{0, 0, 0, 0}, {0, 0, 0, -1}}, {1, 1, 1, 1}) == 2);
    CHECK(of({{1, 1, 1, 1, 1}}, {1, 2, 2, 2, 2}) == 0);
    CHECK(!hypervolume(std::vector<Costs>{{0, 0}}, {1, 1, 1}));
}

TEST_CASE("dominance needs to be better somewhere and worse nowhere", "[decide]")
{
    CHECK(dominates(Costs{1, 1, 1}, Costs{1, 1, 2}));
    CHECK(!dominates(Costs{1, 1, 1}, Costs{1, 1, 1}));
    CHECK(!dominates(Costs{0, 2, 1}, Costs{1, 1, 1}));
    const std::vector<Costs> points{{1, 2, 3}, {1, 2, 3}, {2, 2, 3}, {3, 1, 1}};
    CHECK(non_dominated(points) == std::vector<bool>{true, true, false, true});
}

TEST_CASE("a gain does not depend on the units of the metrics", "[decide]")
{
    const std::vector<Costs> uniform{{1, 5, 9}, {2, 2, 5}, {4, 4, 1}, {5, 1, 8}};
    const std::vector<Costs> mixed{{1.5, 2, 4}, {3, 1.5, 3}};
    const auto gain = hypervolume_gain(uniform, mixed);
    auto scaled = [](std::vector<Costs> points) {
        for (Costs& point : points) point = {point[0] * 1e9, point[1] * 0.01, point[2] * 3};
        return points;
    };
    const auto same = hypervolume_gain(scaled(uniform), scaled(mixed));
    REQUIRE((gain && same && gain->gain && same->gain));
    CHECK_THAT(*gain->gain, WithinRel(*same->gain, 1e-9));
    CHECK_THAT(gain->uniform, WithinRel(same->uniform, 1e-9));
    CHECK_THAT(*gain->gain, WithinRel(gain->mixed / gain->uniform - 1, 1e-9));
}

TEST_CASE("one type, or metrics all equal, leave no gain to state", "[decide]")
{
    const std::vector<Costs> one{{1, 1, 1}};
    CHECK(!hypervolume_gain(one, one)->gain);
    const std::vector<Costs> equal(5, Costs{2, 2, 2});
    CHECK(!hypervolume_gain(equal, one)->gain);
    CHECK(!hypervolume_gain(std::vector<Costs>{}, one));
}

Measurement measurement(std::uint64_t bytes, std::vector<double> latencies, double perplexity)
{
    Measurement m{.memory_bytes = bytes, .quality = {.perplexity = perplexity, .tokens = 1}};
    m.speed.latency_ms = {.median = median(latencies), .samples = std::move(latencies)};
    return m;
}

/// Three uniform models whose latency is the same in every round.
std::vector<Measurement> steady_uniform(std::size_t rounds)
{
    return {measurement(1, std::vector<double>(rounds, 5), 9), measurement(2, std::vector<double>(rounds, 2), 5),
            measurement(4, std::vector<double>(rounds, 4), 1)};
}

TEST_CASE("the interval of a gain holds it, and is a point where no round differs", "[decide]")
{
    const std::vector<Measurement> mixed{measurement(1, std::vector<double>(6, 2), 4)};
    const auto exact = hypervolume_gain(steady_uniform(6), mixed);
    REQUIRE((exact && exact->gain && exact->low));
    CHECK(*exact->low == *exact->gain);
    CHECK(*exact->high == *exact->gain);

    const std::vector<Measurement> noisy{measurement(1, {1.8, 1.9, 2, 2, 2.1, 2.4}, 4)};
    const auto wide = hypervolume_gain(steady_uniform(6), noisy);
    REQUIRE((wide && wide->low));
    CHECK(*wide->low < *wide->gain);
    CHECK(*wide->high > *wide->gain);
}

TEST_CASE("too few rounds state a gain without an interval", "[decide]")
{
    const auto gain = hypervolume_gain(steady_uniform(5), std::vector{measurement(1, {1.8, 1.9, 2, 2.1, 2.4}, 4)});
    REQUIRE((gain && gain->gain));
    CHECK(!gain->low);
}

/// Scored on `chunks` chunks of 10 tokens, of which the even ones are `contrast` easier than their mean, the odd ones harder.
Measurement on_text(Measurement model, std::size_t chunks, double contrast)
{
    model.quality.tokens = 10 * chunks;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        const double nll = std::log(model.quality.perplexity) + (chunk % 2 == 0 ? -contrast : contrast);
        model.quality.chunk_nll.push_back(10 * nll);
    }
    return model;
}

TEST_CASE("the interval of a gain includes the noise of the text, where all models read the same", "[decide]")
{
    const auto gain_of = [](double uniform_contrast, double mixed_contrast, std::size_t mixed_chunks) {
        std::vector<Measurement> uniform;
        for (const Measurement& model : steady_uniform(6)) uniform.push_back(on_text(model, 8, uniform_contrast));
        const Measurement mixed = measurement(1, std::vector<double>(6, 2), 4);
        return hypervolume_gain(uniform, std::vector{on_text(mixed, mixed_chunks, mixed_contrast)}).value();
    };
    const auto noisy = gain_of(0.1, -0.1, 8);  // what is easy for the uniform models is hard for the mixed
    REQUIRE((noisy.gain && noisy.low));
    CHECK(*noisy.low < *noisy.gain - 0.01);
    CHECK(*noisy.high > *noisy.gain + 0.01);

    // All models find the same chunks hard: every perplexity changes by the same factor, and the gain hardly.
    const auto paired = gain_of(0.1, 0.1, 8);
    REQUIRE(paired.low);
    CHECK_THAT(*paired.low, WithinRel(*paired.gain, 1e-9));
    CHECK_THAT(*paired.high, WithinRel(*paired.gain, 1e-9));

    const auto other_text = gain_of(0.1, -0.1, 9);  // rounds only, and they are all the same
    REQUIRE(other_text.low);
    CHECK(*other_text.low == *other_text.gain);
    CHECK(*other_text.high == *other_text.gain);
}

}  // namespace
}  // namespace apreqel
