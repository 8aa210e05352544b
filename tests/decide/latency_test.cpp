#include "decide/latency.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Two parts in three types, and what they truly cost.
const std::vector<double> kTrue{1, 2, 4, 3, 2.5, 5};

TimedParts timed(std::vector<double> parts)
{
    TimedParts model{.parts = std::move(parts)};
    for (std::size_t p = 0; p < kTrue.size(); ++p) model.latency_ms += model.parts[p] * kTrue[p];
    model.mixed =
        model.parts[0] + model.parts[3] != 2 && model.parts[1] + model.parts[4] != 2 && model.parts[2] + model.parts[5] != 2;
    return model;
}

const std::vector<TimedParts> kUniform{timed({1, 0, 0, 1, 0, 0}), timed({0, 1, 0, 0, 1, 0}), timed({0, 0, 1, 0, 0, 1})};

double predicted(const LatencyFit& fit, const TimedParts& model)
{
    double sum = 0;
    for (std::size_t p = 0; p < fit.parts.size(); ++p) sum += fit.parts[p] * model.parts[p];
    return sum;
}

TEST_CASE("mixes tell what each type costs in each part", "[decide]")
{
    std::vector<TimedParts> models = kUniform;
    for (const auto& parts : {std::vector<double>{1, 0, 0, 0, 1, 0}, {0, 1, 0, 0, 0, 1}, {0, 0, 1, 1, 0, 0}})
        models.push_back(timed(parts));
    const LatencyFit fit = fit_latency(models, std::vector<double>(6, 2.5));
    // Every mix of the two parts is predicted, also those that were not measured.
    for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t f = 0; f < 3; ++f) {
            std::vector<double> parts(6);
            parts[a] = parts[3 + f] = 1;
            CHECK_THAT(predicted(fit, timed(parts)), WithinRel(timed(parts).latency_ms, 0.01));
        }
    }
    CHECK(fit.error > 0);
    CHECK(fit.error < 0.25);
}

TEST_CASE("without mixes, what is expected fills in and the uniform models stay exact", "[decide]")
{
    const std::vector<double> expected{2, 2.25, 4.5, 2, 2.25, 4.5};
    const LatencyFit fit = fit_latency(kUniform, expected);
    for (std::size_t p = 0; p < 6; ++p) CHECK_THAT(fit.parts[p], WithinRel(expected[p], 1e-9));
    CHECK(fit.error == 0);
}

TEST_CASE("no part costs less than nothing", "[decide]")
{
    std::vector<TimedParts> models = kUniform;
    models.push_back({.parts = {1, 0, 0, 0, 1, 0}, .latency_ms = 0.1, .mixed = true});  // impossibly fast
    const LatencyFit fit = fit_latency(models, std::vector<double>(6, 2.5));
    for (const double part : fit.parts) CHECK(part >= 0);
    CHECK(fit.error > 1);
}

}  // namespace
}  // namespace apreqel
