// A layout and the models it fits, and does not.
#include "study/study.h"
#include "support/inventory.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

std::string text_of(const Plan& plan)
{
    std::string text;
    for (const GroupType& entry : plan.allocation) text += entry.group + "=" + entry.type + " ";
    return text;
}

Layout two_blocks()
{
    return {
        .architecture = "llama",
        .blocks = 2,
        .embedding_type = "q8_0",
        .runs = {{"attn", 0, 1, "q4_K"}, {"ffn", 0, 0, "q5_K"}, {"ffn_gate+ffn_up", 1, 1, "q3_K"}, {"ffn_down", 1, 1, "q6_K"}}};
}

TEST_CASE("types that a file made elsewhere lends are spelled out, by tensor where they differ", "[layout]")
{
    const TempDir folder;
    const Inventory inventory = tiny(folder, {.blocks = 1});
    ModelSpec theirs = uniform(inventory, folder / "theirs.gguf");
    theirs.types[static_cast<std::size_t>(&tensor(inventory, "blk.0.ffn_down.weight") - inventory.tensors.data())] =
        type("q6_K");
    Monitor quiet;
    REQUIRE(write_models(inventory, std::span(&theirs, 1), {}, 1, quiet));
    Variant lent = read_foreign_variant("as-theirs", theirs.path, inventory).value();
    const Plan plan{.allocation = {{"blk.0.attn", "as-theirs"}, {"blk.0.ffn", "as-theirs"}, {"embedding", "q8_0"}}};
    CHECK(text_of(spelled_out(inventory, plan, {{lent}})) == text_of(plan));  // its bytes are taken
    lent.feedback = true;
    CHECK(text_of(spelled_out(inventory, plan, {{lent}})) ==
          "blk.0.attn=q4_K+gptq blk.0.ffn_gate+ffn_up=q4_K+gptq blk.0.ffn_down=q6_K+gptq embedding=q8_0 ");
}

TEST_CASE("a layout gives its types to another model of the family, embedding and output too", "[layout]")
{
    const TempDir folder;
    const Inventory other = tiny(folder, {.seed = 7});
    Layout layout = two_blocks();
    const auto plan = apply_layout(other, layout);
    REQUIRE(plan);
    CHECK(text_of(*plan) == "blk.0.attn=q4_K blk.1.attn=q4_K blk.0.ffn=q5_K blk.1.ffn_gate+ffn_up=q3_K blk.1.ffn_down=q6_K ");
    CHECK(plan->embedding_type == "q8_0");
    CHECK(plan->model.empty());

    // The very bytes of the plan that the layout was made of.
    Plan own{.model = other.fingerprint, .embedding_type = "q8_0", .allocation = plan->allocation};
    CHECK(quantized_bytes(other, *plan).value() == quantized_bytes(other, own).value());
    CHECK(apply_layout(other, layout_of(own, "llama", "v").value())->allocation.size() == own.allocation.size());

    layout.embedding = "q4_K";
    CHECK(apply_layout(other, layout)->allocation.back().group == kEmbedding);
    CHECK(*quantized_bits(other, *apply_layout(other, layout)) < *quantized_bits(other, *plan));
}

TEST_CASE("what a layout does not fit is refused with what differs", "[layout]")
{
    const TempDir folder;
    const auto cause = [&](const TinyModelOptions& options, const Layout& layout) {
        const Inventory inventory = tiny(folder, options);
        const auto plan = apply_layout(inventory, layout);
        if (plan) return std::string("fits");
        const std::string head = std::format("quantize {}: ", inventory.files.front().string());
        CHECK(plan.error().message.starts_with(head));
        CHECK(!plan.error().message.contains('\n'));
        return plan.error().message.substr(head.size());
    };
    CHECK(cause({}, two_blocks()) == "fits");
    CHECK(cause({.architecture = "qwen2"}, two_blocks()) == "the layout is for models of architecture llama, this is qwen2");
    CHECK(cause({.blocks = 3}, two_blocks()) == "the layout is for models of 2 blocks, this has 3");
    Layout strange = two_blocks();
    strange.runs.front().role = "attn_qkv";
    CHECK(cause({}, strange) == "the layout has a layer blk.0.attn_qkv, the model has not");
    Layout endless = two_blocks();  // as no record can be, but a caller's can
    endless.runs.front().last = UINT64_MAX - 1;
    CHECK(cause({}, endless) == "the layout has a layer blk.2.attn, the model has not");
    Layout missing = two_blocks();
    missing.runs.pop_back();
    CHECK(cause({}, missing).contains("no type for layer blk.1.ffn (blk.1.ffn_down.weight)"));
    Layout twice = two_blocks();
    twice.runs.push_back({"attn_q", 0, 0, "q4_K"});
    CHECK(cause({}, twice).contains("blk.0.attn_q.weight twice"));
    Layout weighed = two_blocks();
    weighed.runs.front().type = "q4_K+imatrix";
    CHECK_FALSE(apply_layout(tiny(folder, {}), weighed));
    CHECK(apply_layout(tiny(folder, {}), weighed).error().message.contains("needs an importance matrix"));
}

TEST_CASE("a type that rows cannot hold is refused, unless they could not at the origin either", "[layout]")
{
    const TempDir folder;
    const Inventory narrow = tiny(folder, {.width = 224, .ffn = 512, .file = "narrow.gguf"});
    Layout layout = two_blocks();
    layout.runs = {{"attn", 0, 1, "q4_K"}, {"ffn", 0, 1, "q8_0"}};
    const auto refused = apply_layout(narrow, layout);
    REQUIRE(!refused);
    CHECK(refused.error().message.ends_with(
        "the layout does not fit: blk.0.attn_q.weight cannot be q4_K, as its rows have 224 weights"));

    // Made for such a model, it is as that was.
    Plan plan{.embedding_type = "q8_0"};
    plan.allocation = {{"blk.0.attn", "q4_K"}, {"blk.1.attn", "q4_K"}, {"blk.0.ffn", "q8_0"}, {"blk.1.ffn", "q8_0"}};
    plan.fallbacks = quantized_fallbacks(narrow, plan).value();
    const auto own = layout_of(plan, "llama", "v");
    REQUIRE(own);
    CHECK(apply_layout(tiny(folder, {.width = 224, .ffn = 512, .seed = 9, .file = "sibling.gguf"}), *own));
}

}  // namespace
}  // namespace apreqel
