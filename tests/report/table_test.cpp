#include "report/table.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

TEST_CASE("fallbacks are told once, by role and type", "[report]")
{
    std::vector<Fallback> fallbacks;
    for (const std::string role : {"attn_q", "ffn_gate"}) {
        for (int block = 0; block < 30; ++block) {
            const std::string layer = std::format("blk.{}.{}", block, role == "attn_q" ? "attn" : "ffn");
            const std::string tensor = std::format("blk.{}.{}.weight", block, role);
            fallbacks.push_back({layer, tensor, "q3_K", "q4_0", 576});
            fallbacks.push_back({layer, tensor, "q6_K", "q8_0", 576});
        }
    }
    for (int type = 0; type < 5; ++type) fallbacks.push_back({"", "token_embd.weight", "q6_K", "q8_0", 576});
    fallbacks.push_back({"blk.0.ffn", "blk.0.ffn_down.weight", "q3_K", "f16", 1000});
    fallbacks.push_back({"blk.0.ffn", "blk.0.ffn_down.weight", "q5_K", "q5_1"});  // a file that does not say how long rows are
    CHECK(format_fallbacks(fallbacks) ==
          "attn_q × 30, ffn_gate × 30 cannot be q3_K (rows of 576): q4_0\n"
          "attn_q × 30, ffn_gate × 30, token_embd cannot be q6_K (rows of 576): q8_0\n"
          "ffn_down cannot be q3_K (rows of 1000): f16\n"
          "ffn_down cannot be q5_K: q5_1\n");
    CHECK(format_fallbacks({}).empty());
}

TEST_CASE("energy is told of those it was measured of, with what was counted and the idle power", "[report]")
{
    Measurement counted{.name = "q4_0"};
    counted.speed.energy = {
        .joules = {.median = 0.25, .low = 0.2, .high = 0.3, .confidence = 0.975, .samples = {0.2, 0.25, 0.3}},
        .idle_watts = 12.34,
        .source = "RAPL package-0"};
    CHECK(format_energy({counted, {.name = "full precision"}}) ==
          "\nenergy     J/token [interval] coverage\n"
          "q4_0    0.2500 [0.2000, 0.3000] 97.5 %\n"
          "counted: RAPL package-0; 12.3 W of it when idle before, not subtracted\n");
    CHECK(format_energy({{.name = "full precision"}}).empty());
}

TEST_CASE("no cell breaks a table, and no name writes an escape sequence", "[report]")
{
    CHECK(format_table({{"a\n", "b"}, {"\x1b[2J", "c"}}) == "a\uFFFD    b\n\uFFFD[2J  c\n");
    CHECK(format_fallbacks({{"", "blk.0.x\n.weight", "q3_K", "q4_0"}}) == "x\uFFFD cannot be q3_K: q4_0\n");
}

}  // namespace
}  // namespace apreqel
