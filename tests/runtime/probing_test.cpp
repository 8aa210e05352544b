#include "runtime/probing.h"

#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

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
