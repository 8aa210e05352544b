#include <apreqel/contest.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

Measurement measured(std::uint64_t bytes, double latency, double kld)
{
    Measurement model{.memory_bytes = bytes, .quality = {.kld = kld, .tokens = 40, .kld_tokens = 40, .chunk_nll = {}}};
    model.speed.latency_ms.median = latency;
    for (int round = 0; round < 8; ++round) model.speed.latency_ms.samples.push_back(latency * (1 + 0.5 * round));
    for (int chunk = 0; chunk < 4; ++chunk) model.quality.chunk_nll.push_back(20 + chunk);
    return model;
}

TEST_CASE("a model wins a contest that is no larger, no slower and closer to full precision", "[decide]")
{
    const Quality full = measured(1000, 2, 0).quality;
    const Measurement rival = measured(1000, 2, 0.1);
    const Contest better = contest(measured(1000, 2, 0.08), rival, full);
    CHECK(better.won());
    CHECK(better.shortfall() == 1);
    CHECK_THAT(better.divergence, WithinRel(0.8, 1e-12));
    CHECK_THAT(better.latency.median, WithinRel(1.0, 1e-12));  // round by round: the machine's slowness is that of both
    const Contest larger = contest(measured(1100, 1, 0.01), rival, full);
    CHECK(!larger.no_larger());
    CHECK_THAT(larger.shortfall(), WithinRel(1.1, 1e-12));
    const Contest slower = contest(measured(900, 2.4, 0.01), rival, full);
    CHECK(!slower.no_slower());
    CHECK_THAT(slower.shortfall(), WithinRel(1.2, 1e-12));
    const Contest same = contest(rival, rival, full);
    CHECK(!same.closer());
    CHECK(same.shortfall() > 1);
}

TEST_CASE("slower is what is so beyond the noise of the rounds", "[decide]")
{
    const Quality full = measured(1000, 2, 0).quality;
    const Measurement rival = measured(1000, 2, 0.1);
    Measurement model = measured(1000, 2.02, 0.08);
    for (std::size_t round = 0; round < 8; round += 2) model.speed.latency_ms.samples[round] *= 0.9;
    const Contest noisy = contest(model, rival, full);
    CHECK(noisy.latency.high > 1);
    CHECK(noisy.no_slower());
    CHECK(noisy.won());
    CHECK(noisy.shortfall() >= noisy.latency.median);
}

TEST_CASE("a text that became less likely by more than two paired standard errors is not closer", "[decide]")
{
    const Quality full = measured(1000, 2, 0).quality;
    const Measurement rival = measured(1000, 2, 0.1);
    Measurement model = measured(1000, 2, 0.08);
    for (double& nll : model.quality.chunk_nll) nll += 1;  // in every chunk alike
    model.quality.chunk_nll.back() += 0.1;
    const Contest worse = contest(model, rival, full);
    REQUIRE(worse.has_chunks);
    CHECK_THAT(worse.nll, WithinRel(1.025 / 10, 1e-12));
    CHECK(worse.rival_nll == 0);
    CHECK_THAT(worse.nll_error, WithinRel(0.025 / 10, 1e-9));  // deviation 0.05 of four chunks
    CHECK(!worse.closer());
    CHECK_THAT(worse.shortfall(), WithinRel(std::exp(0.1025 - 0.005), 1e-9));
    model.quality.chunk_nll = {25, 17, 26, 19};  // more likely in some, less in others
    CHECK(contest(model, rival, full).closer());
    model.quality.chunk_nll.pop_back();  // of another text: nothing can be said
    CHECK(!contest(model, rival, full).has_chunks);
    CHECK(contest(model, rival, full).closer());
}

TEST_CASE("a text likelier than full precision finds it is as far as one less likely", "[decide]")
{
    const Quality full = measured(1000, 2, 0).quality;
    Measurement rival = measured(1000, 2, 0.1);
    Measurement model = measured(1000, 2, 0.08);
    for (std::size_t c = 0; c < 4; ++c) {
        rival.quality.chunk_nll[c] -= 2 + 0.1 * static_cast<double>(c % 2);
        model.quality.chunk_nll[c] += 1;
    }
    const Contest nearer = contest(model, rival, full);  // less likely than the rival finds it, and half as far
    CHECK_THAT(nearer.nll, WithinRel(0.1, 1e-9));
    CHECK_THAT(nearer.rival_nll, WithinRel(-0.205, 1e-9));
    CHECK_THAT(nearer.farther(), WithinRel(-0.105, 1e-9));
    CHECK_THAT(nearer.nll_error, WithinRel(0.01 / std::sqrt(12.0), 1e-6));  // 0.2 and 0.21, twice each: deviation 0.01/√3
    CHECK(nearer.closer());
    model.quality.kld = 0.2;
    const Contest farther = contest(rival, model, full);
    CHECK(farther.nll < farther.rival_nll);
    CHECK(!farther.closer());
}

TEST_CASE("the ratio of two KL divergences has an interval over the chunks that both were compared on", "[decide]")
{
    const Quality full;
    Measurement rival = measured(1000, 2, 0.1);
    rival.quality.chunk_kld = {1, 2, 3, 4, 5, 6, 7, 8};
    Measurement model = rival;
    for (double& sum : model.quality.chunk_kld) sum *= 0.8;
    const auto alike = contest(model, rival, full).divergence_interval;
    REQUIRE(alike);  // chunks differ by a factor of 8, and their ratio does not
    CHECK_THAT(alike->low, WithinRel(0.8, 1e-12));
    CHECK_THAT(alike->high, WithinRel(0.8, 1e-12));
    model.quality.chunk_kld.back() = 8;
    const auto apart = contest(model, rival, full).divergence_interval;
    CHECK_THAT(apart->low, WithinRel(0.8, 1e-12));  // the last chunk is not in every draw
    CHECK(apart->high > 0.85);
    CHECK(apart->high <= 1);
    model.quality.kld_tokens = 39;
    CHECK(!contest(model, rival, full).divergence_interval);
    model = rival;
    model.quality.chunk_kld.pop_back();
    CHECK(!contest(model, rival, full).divergence_interval);
    rival.quality.chunk_kld = model.quality.chunk_kld = {1, 2, 3, 4, 5};
    CHECK(!contest(model, rival, full).divergence_interval);  // too few to tell
}

}  // namespace
}  // namespace apreqel
