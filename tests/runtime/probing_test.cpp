#include "runtime/probing.h"

#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

/// KL divergence over the whole vocabulary, in double.
double exact_divergence(const std::vector<float>& reference, const std::vector<float>& logits)
{
    const auto log_sum = [](const std::vector<float>& all) {
        double sum = 0;
        for (const float logit : all) sum += std::exp(double{logit} - 30);
        return 30 + std::log(sum);
    };
    const double of_reference = log_sum(reference);
    const double of_logits = log_sum(logits);
    double sum = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const double log_p = double{reference[i]} - of_reference;
        sum += std::exp(log_p) * (log_p - (double{logits[i]} - of_logits));
    }
    return sum;
}

TEST_CASE("the divergence over the likeliest tokens and any other is that over all, within 1 % and never above it", "[runtime]")
{
    std::mt19937_64 random(5);
    std::normal_distribution<float> normal;
    for (int round = 0; round < 20; ++round) {
        // As text has them: the k-th likeliest token has a probability of about k to the power −2, on 50,000.
        std::vector<float> reference(50'000);
        for (std::size_t i = 0; i < reference.size(); ++i)
            reference[i] = 15 - 2 * std::log(static_cast<float>(i + 1)) + 0.1F * normal(random);
        std::shuffle(reference.begin(), reference.end(), random);
        std::vector<float> logits = reference;
        const float change = round < 10 ? 0.05F : 0.5F;
        for (float& logit : logits) logit += change * normal(random);
        const double exact = exact_divergence(reference, logits);
        const double found = Expectation(reference).divergence(logits);
        CHECK(found <= exact);
        CHECK_THAT(found, WithinRel(exact, 0.01));
        CHECK_THAT(Expectation(reference, reference.size()).divergence(logits), WithinAbs(exact, 1e-6));
        CHECK(Expectation(reference).divergence(reference) == 0);
    }
}

TEST_CASE("logits that are not finite give no divergence", "[runtime]")
{
    const std::vector<float> reference{1, 2, 3};
    CHECK(std::isnan(Expectation(reference).divergence(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN(), 3})));
    CHECK(std::isnan(Expectation(reference).divergence(std::vector<float>{1, std::numeric_limits<float>::infinity(), 3})));
    // Of what is no number there is no order to find the likeliest in.
    std::vector<float> broken(5000, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < broken.size(); i += 3) broken[i] = static_cast<float>(i % 7);
    CHECK(std::isnan(Expectation(broken).divergence(std::vector<float>(broken.size()))));
}

std::vector<std::vector<Token>> some_sequences(std::size_t count, std::size_t length)
{
    std::vector<std::vector<Token>> sequences(count, std::vector<Token>(length));
    for (std::size_t s = 0; s < count; ++s)
        for (std::size_t i = 0; i < length; ++i) sequences[s][i] = static_cast<Token>((s * 37 + i * 11) % 300);
    return sequences;
}

TEST_CASE("a probe that changes nothing measures nothing, and the sequences may be run in any order", "[runtime]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path());
    const auto model = LoadedModel::load(path, {.threads = 1}, WeightAccess::writable);
    REQUIRE(model);
    const Monitor quiet;
    auto probes = ProbeRun::record(*model, some_sequences(3, 24), quiet);
    REQUIRE(probes);
    for (const auto& [first, count] : {std::pair(std::size_t{2}, std::size_t{1}), std::pair(std::size_t{0}, std::size_t{3})}) {
        const auto same = probes->compare(first, count);
        REQUIRE(same);
        CHECK(same->kld == 0);
        CHECK(same->tokens == count * (24 - kUncompared));
    }
    CHECK(!ProbeRun::record(*model, {std::vector<Token>(kUncompared)}, quiet));
    CHECK(*time_prompt(path, {.threads = 1}, 16, quiet) > 0);
}

TEST_CASE("a probe of another KV cache measures what its types round, and the next one nothing", "[runtime]")
{
    const auto model = LoadedModel::load(demo_model(), {.threads = 1});
    REQUIRE(model);
    const Monitor quiet;
    auto probes = ProbeRun::record(*model, some_sequences(2, 64), quiet);
    REQUIRE(probes);
    const auto coarse = probes->compare(0, 2, {.keys = "q4_0"});
    const auto fine = probes->compare(0, 2, {.keys = "q8_0"});
    const auto values = probes->compare(0, 2, {.values = "q4_0"});
    const auto same = probes->compare(0, 2);
    REQUIRE((coarse && fine && values && same));
    CHECK(coarse->kld > 4 * fine->kld);
    CHECK(values->kld > 0);
    CHECK(same->kld == 0);
    CHECK(!probes->compare(0, 2, {.keys = "q3_K"}));
}

}  // namespace
}  // namespace apreqel
