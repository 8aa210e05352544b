#include <apreqel/look.h>
#include <apreqel/statistics.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

/// Chunks of 10 tokens, each harder than the one before it.
Quality of_chunks(std::size_t chunks, double surprise, double apart)
{
    Quality quality{.kld_error = 0.01 * apart, .tokens = 10 * chunks, .kld_tokens = 10 * chunks};
    double nll = 0;
    for (std::size_t c = 1; c <= chunks; ++c) {
        quality.chunk_nll.push_back(10 * (surprise + static_cast<double>(c)));
        quality.chunk_kld.push_back(10 * apart * static_cast<double>(c));
        nll += quality.chunk_nll.back();
        quality.kld += quality.chunk_kld.back() / static_cast<double>(quality.kld_tokens);
    }
    quality.perplexity = std::exp(nll / static_cast<double>(quality.tokens));
    quality.perplexity_error = 0.1 * quality.perplexity;
    return quality;
}

TEST_CASE("a first look takes a quarter of the chunks, and none where they are few", "[decide]")
{
    CHECK(look_of(16) == 4);
    CHECK(look_of(64) == 16);
    CHECK(look_of(8) == 4);
    CHECK(look_of(7) == 0);
    CHECK(look_of(0) == 0);
}

TEST_CASE("a first look tells of the whole text what another model did on it", "[decide]")
{
    const Quality known = of_chunks(16, 1, 0.02);
    const Quality whole = of_chunks(16, 1.5, 0.03);  // what the look is to tell
    const auto told = extrapolated(of_chunks(4, 1.5, 0.03), known);
    REQUIRE(told);
    CHECK_THAT(told->kld, WithinRel(whole.kld, 1e-12));
    CHECK_THAT(told->perplexity, WithinRel(whole.perplexity, 1e-12));
    CHECK_THAT(told->perplexity_error, WithinRel(0.1 * whole.perplexity, 1e-12));
    CHECK(told->kld_error > of_chunks(4, 1.5, 0.03).kld_error);
    CHECK(told->tokens == 40);
    CHECK(told->chunk_kld.size() == 4);
}

TEST_CASE("two parts of a text tell together what the whole does", "[decide]")
{
    const std::vector<double> surprises{1.5, 0.25, 3, 2, 0.5, 1};
    const std::vector<double> divergences{0.25, 0.0625, 0.5, 0.125, 0.75, 0.375};
    const auto measured = [&](std::size_t begin, std::size_t end) {
        Mean nll;
        Mean kld;
        Quality quality;
        for (std::size_t t = begin; t < end; ++t) {
            nll.add(surprises[t]);
            kld.add(divergences[t]);
            quality.chunk_nll.push_back(surprises[t]);
            quality.chunk_kld.push_back(divergences[t]);
        }
        quality.perplexity = std::exp(nll.mean());
        quality.perplexity_error = quality.perplexity * nll.standard_error();
        quality.kld = kld.mean();
        quality.kld_error = kld.standard_error();
        quality.tokens = quality.kld_tokens = end - begin;
        quality.same_top = begin == 0 ? 0.5 : 0.75;
        return quality;
    };
    const Quality whole = measured(0, 6);
    const Quality both = together(measured(0, 2), measured(2, 6));
    CHECK_THAT(both.perplexity, WithinRel(whole.perplexity, 1e-12));
    CHECK_THAT(both.perplexity_error, WithinRel(whole.perplexity_error, 1e-12));
    CHECK_THAT(both.kld, WithinRel(whole.kld, 1e-12));
    CHECK_THAT(both.kld_error, WithinRel(whole.kld_error, 1e-12));
    CHECK_THAT(both.same_top, WithinRel((2 * 0.5 + 4 * 0.75) / 6, 1e-12));
    CHECK(both.tokens == 6);
    CHECK(both.kld_tokens == 6);
    CHECK(both.chunk_nll == whole.chunk_nll);
    CHECK(both.chunk_kld == whole.chunk_kld);
}

TEST_CASE("a first look tells nothing beside a model of other chunks", "[decide]")
{
    const Quality look = of_chunks(4, 1.5, 0.03);
    CHECK(!extrapolated(look, of_chunks(3, 1, 0.02)));
    CHECK(!extrapolated(look, of_chunks(16, 1, 0)));
    Quality longer = of_chunks(16, 1, 0.02);
    longer.tokens *= 2;
    CHECK(!extrapolated(look, longer));
    CHECK(!extrapolated({}, of_chunks(16, 1, 0.02)));
}

}  // namespace
}  // namespace apreqel
