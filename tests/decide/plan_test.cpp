#include <apreqel/plan.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

namespace apreqel {
namespace {

LayerScore scored(std::string layer, double score, double mean = 1)
{
    return {.layer = std::move(layer), .score = score, .mean_similarity = mean};
}

void add_type(Profile& profile, std::string type, double bits, std::uint64_t memory, double latency, double perplexity)
{
    profile.device.models.push_back({.name = type, .speed = {.latency_ms = {.median = latency}}});
    profile.model.types.push_back(
        {.type = std::move(type), .bits_per_weight = bits, .memory_bytes = memory, .quality = {.perplexity = perplexity}});
}

Profile small_profile()
{
    Profile profile{.model = {.model = "m1", .layers = 4, .embedding_type = "q6_K"}};
    add_type(profile, "q4_K", 4.5, 400, 1, 12);
    add_type(profile, "q8_0", 8.5, 800, 2, 10);
    return profile;
}

PlanRequest weighing(const char* weights, std::size_t runners_up = 4)
{
    return {.weights = *parse_weights(weights), .runners_up = runners_up};
}

Scores small_scores()
{
    return {.model = "m1",
            .layers = {scored("blk.0.attn", -4), scored("blk.0.ffn", 4), scored("blk.1.attn", -2), scored("blk.1.ffn", 0)}};
}

TEST_CASE("layers are ordered by score, then mean similarity, then position", "[decide]")
{
    const std::vector<LayerScore> layers{scored("a", 1, .9), scored("b", 3), scored("c", 1, .8), scored("d", 1, .8),
                                         scored("e", -5)};
    CHECK(order_by_contribution(layers) == std::vector<std::size_t>{1, 2, 3, 0, 4});
}

TEST_CASE("allocation gives precise types to the first layers and each type its count", "[decide]")
{
    const std::vector<std::size_t> counts{2, 0, 1, 2};
    const std::vector<double> bits{3.4, 4.5, 8.5, 6.6};
    const std::vector<std::size_t> order{4, 2, 0, 1, 3};
    CHECK(allocate(counts, bits, order) == std::vector<std::size_t>{3, 0, 3, 0, 2});
}

TEST_CASE("a plan is complete and the same every time", "[decide]")
{
    const auto plan = make_plan(small_profile(), small_scores(), weighing("1,0,1", 2));
    REQUIRE(plan);
    CHECK(plan->ranking.candidates == 5);
    CHECK(plan->ranking.best.size() == 3);
    CHECK(plan->types == std::vector<std::string>{"q4_K", "q8_0"});
    REQUIRE(plan->allocation.size() == 4);
    const std::size_t precise = plan->chosen().counts[1];
    std::size_t found = 0;
    for (const GroupType& entry : plan->allocation) found += entry.type == "q8_0" ? 1 : 0;
    CHECK(found == precise);
    if (precise > 0) CHECK(plan->allocation[1].type == "q8_0");
    CHECK(make_plan(small_profile(), small_scores(), weighing("1,0,1", 2))->chosen().counts == plan->chosen().counts);
}

TEST_CASE("a plan keeps the fallbacks of the types it chose", "[decide]")
{
    Profile profile = small_profile();
    profile.model.types[0].fallbacks = {{"", "token_embd.weight", "q6_K", "q8_0"},
                                        {"blk.0.attn", "blk.0.attn_q.weight", "q4_K", "q5_0"},
                                        {"blk.1.ffn", "blk.1.ffn_up.weight", "q4_K", "q5_0"}};
    profile.model.types[1].fallbacks = {profile.model.types[0].fallbacks[0]};
    const auto all_small = make_plan(profile, small_scores(), weighing("1,0,0"));
    REQUIRE(all_small);
    CHECK(all_small->fallbacks.size() == 3);
    const auto all_precise = make_plan(profile, small_scores(), weighing("0,0,1"));
    REQUIRE(all_precise);
    CHECK(all_precise->fallbacks.size() == 1);
}

TEST_CASE("a profile or scores that do not fit are refused with the cause", "[decide]")
{
    const auto message = [](const Profile& profile, const Scores& scores) {
        const auto plan = make_plan(profile, scores, weighing("1,1,1"));
        return plan ? std::string() : plan.error().message;
    };
    Profile profile = small_profile();
    Scores scores = small_scores();
    scores.model = "m2";
    CHECK(message(profile, scores).contains("scores are of"));
    scores = small_scores();
    scores.layers.pop_back();
    CHECK(message(profile, scores).contains("4 layers"));
    scores = small_scores();
    scores.layers[1].layer = "blk.0.attn";
    CHECK(message(profile, scores).contains("twice"));
    scores.layers[1].layer = "head";
    CHECK(message(profile, scores).contains("head"));
    for (const char* name :
         {"blk..attn", "blk.x.ffn", "blk.0\n.*=q2_K\nblk.attn", "blk.0.attn ", "blk.-1.ffn", "blk.0.1.ffn"}) {
        scores.layers[1].layer = name;
        CHECK(message(profile, scores).contains("layers are named"));
    }
    scores = small_scores();
    profile.device.models[1].speed.latency_ms.median = std::nan("");
    CHECK(message(profile, scores).contains("q8_0 has no latency_ms"));
    profile = small_profile();
    profile.model.types[0].memory_bytes = 0;
    CHECK(message(profile, scores).contains("q4_K has no memory_bytes"));
    profile = small_profile();
    profile.model.types[1].type = "q4_K";
    CHECK(message(profile, scores).contains("twice"));
    profile.model.types.clear();
    CHECK(message(profile, scores).contains("no types"));
}

TEST_CASE("the tensor type file has one pattern a layer that cannot match another block", "[decide]")
{
    Plan plan;
    plan.allocation = {{"blk.1.attn", "q6_K"}, {"blk.1.ffn", "q3_K"}};
    CHECK(tensor_type_file(plan).value() == "^blk\\.1\\.(?!(ffn|channel_mix)_)=q6_K\n^blk\\.1\\.(ffn|channel_mix)_=q3_K\n");
}

TEST_CASE("names that would write lines of their own into a tensor type file are refused", "[decide]")
{
    for (const GroupType& entry : {GroupType{"blk.0\n.*=q2_K\nblk.attn", "q6_K"}, GroupType{"blk.0.attn", "q4_K\n.*=q2_K"},
                                   GroupType{"", "q4_K"}, GroupType{"blk.0.(attn", "q4_K"}, GroupType{"head", "q4_K"}}) {
        Plan plan;
        plan.allocation = {entry};
        CHECK(!tensor_type_file(plan));
    }
}

}  // namespace
}  // namespace apreqel
