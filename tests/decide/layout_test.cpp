#include <apreqel/layout.h>

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

std::string text_of(const std::vector<LayoutRun>& runs)
{
    std::string text;
    for (const LayoutRun& run : runs) text += std::format("{} {}-{} {}\n", run.role, run.first, run.last, run.type);
    return text;
}

TEST_CASE("blocks one after another with one type are one run of their role", "[layout]")
{
    // In any order; block 10 comes after 9; a block without the role parts two runs.
    const std::vector<GroupType> allocation{
        {"blk.10.attn", "q8_0"},        {"blk.0.attn", "q4_K"},         {"blk.1.ffn_gate+ffn_up", "a"},
        {"blk.1.attn", "q4_K"},         {"blk.0.ffn_gate+ffn_up", "a"}, {"blk.9.attn", "q8_0"},
        {"blk.3.ffn_gate+ffn_up", "a"}, {"embedding", "q6_K"},          {"blk.2.attn", "q4_K+imatrix"}};
    CHECK(text_of(runs_of(allocation)) ==
          "attn 0-1 q4_K\nattn 2-2 q4_K+imatrix\nattn 9-10 q8_0\nffn_gate+ffn_up 0-1 a\nffn_gate+ffn_up 3-3 a\n");
    CHECK(runs_of({}).empty());
}

TEST_CASE("a layout has the plan's types and origin, and not its model", "[layout]")
{
    Plan plan{.model = "fingerprint", .model_name = "demo", .text = "novel", .device = "board", .embedding_type = "q6_K"};
    plan.allocation = {{"blk.0.attn", "q4_K"}, {"blk.0.ffn", "q8_0+imatrix"}, {"blk.1.attn", "q4_K"}, {"embedding", "q5_K"}};
    plan.fallbacks = {{"blk.0.ffn", "blk.0.ffn_down.weight", "q4_K", "q5_0", 224}};
    const auto layout = layout_of(plan, "llama", "apreqel 1");
    REQUIRE(layout);
    CHECK(layout->architecture == "llama");
    CHECK(layout->blocks == 2);
    CHECK(layout->model_name == "demo");
    CHECK(layout->device == "board");
    CHECK(layout->text == "novel");
    CHECK(layout->version == "apreqel 1");
    CHECK(layout->embedding_type == "q6_K");
    CHECK(layout->embedding == "q5_K");
    CHECK(text_of(layout->runs) == "attn 0-1 q4_K\nffn 0-0 q8_0+imatrix\n");
    REQUIRE(layout->fallbacks.size() == 1);
    CHECK(layout->fallbacks.front().used == "q5_0");
}

TEST_CASE("what another model could not have makes no layout", "[layout]")
{
    Plan plan;
    plan.allocation = {{"blk.0.attn", "q4_K"}};
    CHECK(layout_of(plan, "", "v").error().message == "write the layout: the architecture of its model is not known");
    plan.allocation = {{"blk.0.attn", "mine"}};
    CHECK(layout_of(plan, "llama", "v").error().message ==
          "write the layout: blk.0.attn is mine, which is no type that another model could have");
    plan.allocation = {{"blk.x.attn", "q4_K"}};
    CHECK(layout_of(plan, "llama", "v").error().message == "write the layout: \"blk.x.attn\" is no name of a layer");
    plan.allocation = {{"blk.99999999999999999999.attn", "q4_K"}};
    CHECK(!layout_of(plan, "llama", "v"));
}

}  // namespace
}  // namespace apreqel
