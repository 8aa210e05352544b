#include <apreqel/sensitivity.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>
#include <numbers>
#include <vector>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

Probe measured(double kld, double squared_error)
{
    return {.memory_bytes = 1, .measured = true, .kld = kld, .squared_error = squared_error};
}

Probe missing(double squared_error) { return {.memory_bytes = 1, .squared_error = squared_error}; }

GroupSensitivity group(std::string name, std::vector<Probe> probes)
{
    return {.group = name, .layer = name, .part = "attn", .parameters = 1, .probes = std::move(probes)};
}

TEST_CASE("a probe that is missing lies between those of the group that are nearest in error", "[decide]")
{
    Sensitivity sensitivity{.types = {"a", "b", "c"},
                            .groups = {group("blk.0.attn", {measured(0.08, 0.04), missing(0.01), measured(0.001, 0.001)}),
                                       group("blk.0.ffn", {missing(0.04), missing(0.01), Probe{}})}};
    REQUIRE(fill_in(sensitivity));
    // Twice the error at 0.04, once at 0.001: between them a power.
    CHECK_THAT(sensitivity.groups[0].probes[1].kld, WithinRel(0.01 * std::pow(2, std::log(10) / std::log(40)), 1e-9));
    CHECK(!sensitivity.groups[0].probes[1].measured);
    CHECK(sensitivity.groups[1].probes[2].kld == 0);  // it cannot have that type
    // The other group has the median factor of what was measured: of 1 and 2, as logarithms, their middle.
    CHECK_THAT(sensitivity.groups[1].probes[0].kld, WithinRel(0.04 * std::numbers::sqrt2, 1e-9));
    CHECK(sensitivity.separability.pairs == 2);
    CHECK_THAT(sensitivity.separability.worst_factor, WithinRel(2.0, 1e-9));
}

TEST_CASE("a probe outside those of its group has the factor of the nearest, by weighted errors where all are known",
          "[decide]")
{
    const auto weighted = [](Probe probe, double error) {
        probe.weighted_error = error;
        return probe;
    };
    Sensitivity sensitivity{
        .types = {"a", "b", "c"},
        .groups = {group("blk.0.attn", {weighted(measured(0.08, 0.04), 0.02), weighted(missing(0.01), 0.001), Probe{}})}};
    REQUIRE(fill_in(sensitivity));
    CHECK_THAT(sensitivity.groups[0].probes[1].kld, WithinRel(0.08 * 0.001 / 0.02, 1e-9));
    sensitivity.groups[0].probes[1].weighted_error = 0;
    REQUIRE(fill_in(sensitivity));
    CHECK_THAT(sensitivity.groups[0].probes[1].kld, WithinRel(0.08 * 0.01 / 0.04, 1e-9));
}

TEST_CASE("what is held out is compared with what the others make of it", "[decide]")
{
    const Sensitivity sensitivity{.types = {"a", "b"},
                                  .groups = {group("blk.0.attn", {measured(0.08, 0.04), measured(0.03, 0.01)}),
                                             group("blk.1.attn", {measured(0.04, 0.04), measured(0.01, 0.01)})}};
    const std::vector<Cell> known{{0, 0}, {1, 0}};
    const Separability found = held_out(sensitivity, known, std::vector<Cell>{{0, 1}, {1, 1}});
    CHECK(found.pairs == 2);
    CHECK_THAT(found.worst_factor, WithinRel(1.5, 1e-9));
    CHECK(held_out(sensitivity, known, {}).pairs == 0);
}

TEST_CASE("a probe far from those of its kind around it is an outlier", "[decide]")
{
    Sensitivity sensitivity{.types = {"a"}, .groups = {}};
    std::vector<Cell> cells;
    for (std::size_t b = 0; b < 6; ++b) {
        for (const char* kind : {"attn", "ffn"}) {
            const double rate = kind[0] == 'f' ? 100 : 1;
            sensitivity.groups.push_back(group("blk." + std::to_string(b) + "." + kind, {measured(0.01 * rate, 0.01)}));
            cells.push_back({cells.size(), 0});
        }
    }
    CHECK(outliers(sensitivity, cells, 4).empty());
    sensitivity.groups[6].probes[0].kld *= 5;
    sensitivity.groups[1].probes[0].kld /= 20;
    CHECK(outliers(sensitivity, cells, 4) == std::vector<Cell>{{6, 0}});  // the first FFN has two neighbours only
}

TEST_CASE("nothing measured, nothing filled in", "[decide]")
{
    Sensitivity sensitivity{.types = {"a"}, .groups = {group("blk.0.attn", {missing(0.04)})}};
    CHECK(!fill_in(sensitivity));
}

}  // namespace
}  // namespace apreqel
