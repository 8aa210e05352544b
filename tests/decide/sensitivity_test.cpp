#include <apreqel/sensitivity.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <numbers>

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

TEST_CASE("a probe that is missing grows with the squared error from the group's nearest", "[decide]")
{
    Sensitivity sensitivity{.types = {"a", "b", "c"},
                            .groups = {group("blk.0.attn", {measured(0.08, 0.04), missing(0.01), measured(0.001, 0.001)}),
                                       group("blk.0.ffn", {missing(0.04), missing(0.01), Probe{}})}};
    REQUIRE(fill_in(sensitivity));
    CHECK_THAT(sensitivity.groups[0].probes[1].kld, WithinRel(0.02, 1e-9));
    CHECK(!sensitivity.groups[0].probes[1].measured);
    CHECK(sensitivity.groups[1].probes[2].kld == 0);  // it cannot have that type
    // The other group has the median factor of what was measured: of 1 and 2, as logarithms, their middle.
    CHECK_THAT(sensitivity.groups[1].probes[0].kld, WithinRel(0.04 * std::numbers::sqrt2, 1e-9));
    CHECK(sensitivity.separability.pairs == 2);
    CHECK_THAT(sensitivity.separability.worst_factor, WithinRel(2.0, 1e-9));
}

TEST_CASE("nothing measured, nothing filled in", "[decide]")
{
    Sensitivity sensitivity{.types = {"a"}, .groups = {group("blk.0.attn", {missing(0.04)})}};
    CHECK(!fill_in(sensitivity));
}

}  // namespace
}  // namespace apreqel
