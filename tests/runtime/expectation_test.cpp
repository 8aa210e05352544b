#include "runtime/expectation.h"

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

constexpr std::size_t kVocabulary = 50'000;

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

/// As text has them, roughly: the k-th likeliest token has a probability of about k to the power −1.3.
std::vector<float> some_logits(std::mt19937_64& random)
{
    std::normal_distribution<float> normal;
    std::vector<float> logits(kVocabulary);
    for (std::size_t i = 0; i < logits.size(); ++i)
        logits[i] = 15 - 1.3F * std::log(static_cast<float>(i + 1)) + 0.1F * normal(random);
    std::shuffle(logits.begin(), logits.end(), random);
    return logits;
}

double divergence(const Expectation& expectation, const std::vector<float>& logits)
{
    return expectation.divergence(logits, LogSoftmax(logits));
}

TEST_CASE("the divergence from what is kept is that over the whole vocabulary, on average", "[runtime]")
{
    std::mt19937_64 random(5);
    std::normal_distribution<float> normal;
    for (const float change : {0.02F, 0.3F}) {
        double exact = 0;
        double little = 0;
        double much = 0;
        for (std::size_t turn = 0; turn < 40; ++turn) {
            const std::vector<float> reference = some_logits(random);
            std::vector<float> logits = reference;
            for (float& logit : logits) logit += change * normal(random);
            exact += exact_divergence(reference, logits);
            little += divergence(Expectation(reference, 256, turn), logits);
            much += divergence(Expectation(reference, 1024, turn), logits);
            CHECK_THAT(divergence(Expectation(reference, kVocabulary, turn), logits),
                       WithinAbs(exact_divergence(reference, logits), 1e-6));
        }
        CHECK_THAT(little, WithinRel(exact, 0.08));
        CHECK_THAT(much, WithinRel(exact, 0.03));
    }
}

TEST_CASE("a tail that moves as a whole is seen, and a model is not apart from itself", "[runtime]")
{
    std::mt19937_64 random(7);
    const std::vector<float> reference = some_logits(random);
    std::vector<float> likelier = reference;
    for (float& logit : likelier)
        if (logit < 5) logit += 0.5F;
    double sum = 0;
    constexpr std::size_t kTurns = 100;
    for (std::size_t turn = 0; turn < kTurns; ++turn) {
        const Expectation expectation(reference, 256, turn);
        CHECK(divergence(expectation, reference) == 0);
        CHECK(expectation.likeliest() == std::ranges::max_element(reference) - reference.begin());
        sum += divergence(expectation, likelier);
    }
    CHECK_THAT(sum / kTurns, WithinRel(exact_divergence(reference, likelier), 0.03));
}

TEST_CASE("what is kept comes back from its bytes, and takes as many whatever the vocabulary", "[runtime]")
{
    std::mt19937_64 random(9);
    const std::vector<float> reference = some_logits(random);
    std::vector<float> logits = reference;
    std::ranges::reverse(logits);
    for (const std::size_t kept : {std::size_t{32}, kVocabulary - 10, kVocabulary}) {
        const Expectation expectation(reference, kept, 1);
        std::vector<std::byte> bytes(Expectation::bytes(kVocabulary, kept));
        expectation.write(bytes);
        Expectation again;
        REQUIRE(again.read(bytes, kVocabulary, kept));
        CHECK(divergence(again, logits) == divergence(expectation, logits));
        CHECK(again.likeliest() == expectation.likeliest());
    }
    CHECK(Expectation::bytes(kVocabulary, 32) == Expectation::bytes(10 * kVocabulary, 32));
    CHECK(Expectation::bytes(40, 32) == Expectation::bytes(40, 40));
    std::vector<std::byte> damaged(Expectation::bytes(kVocabulary, 32), std::byte{0xff});
    CHECK(!Expectation().read(damaged, kVocabulary, 32));
}

TEST_CASE("logits that are not finite give no divergence", "[runtime]")
{
    const std::vector<float> reference{1, 2, 3};
    const Expectation expectation(reference, 2, 0);
    CHECK(std::isnan(divergence(expectation, {1, std::numeric_limits<float>::quiet_NaN(), 3})));
    CHECK(std::isnan(divergence(expectation, {1, std::numeric_limits<float>::infinity(), 3})));
    // Of what is no number there is no order to find the likeliest in.
    std::vector<float> broken(5000, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < broken.size(); i += 3) broken[i] = static_cast<float>(i % 7);
    CHECK(std::isnan(divergence(Expectation(broken, 256, 0), std::vector<float>(broken.size()))));
}

}  // namespace
}  // namespace apreqel
