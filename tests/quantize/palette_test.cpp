// The types to choose from follow from the model.
#include "quantize/palette.h"

#include "quantize/assign_types.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>

namespace apreqel {
namespace {

using Names = std::vector<std::string>;

const Names kNarrow{"mxfp4", "q4_0", "iq4_nl", "q4_1", "q5_0", "q5_1", "q8_0"};
const Names kWide{"q2_K", "q3_K", "iq3_s", "iq4_xs", "q4_0", "iq4_nl", "q4_K", "q5_K", "q6_K", "q8_0"};

/// Gives a matrix to the layers' tensors of which `covers` is true.
Inventory weighted(Inventory inventory, bool (*covers)(const Tensor&))
{
    inventory.importance = "i.gguf 0123456789abcdef covers some";
    for (Tensor& t : inventory.tensors) {
        if (t.place != TensorPlace::layer || !covers(t)) continue;
        t.importance = std::make_shared<const std::vector<float>>(static_cast<std::size_t>(t.columns() * t.shape[2]), 1.0F);
    }
    return inventory;
}

Names names(const std::vector<Variant>& variants)
{
    Names all;
    for (const Variant& variant : variants) all.push_back(variant.name);
    return all;
}

std::vector<Variant> paper()
{
    std::vector<Variant> types;
    for (const char* name : {"q3_K", "q4_K", "q5_K", "q6_K", "q8_0"}) types.emplace_back(*parse_type(name));
    return types;
}

TEST_CASE("the types to choose from fit every layer, differ in bytes, and are ordered by bits", "[quantize]")
{
    const TempDir folder;
    for (const TinyModelOptions& options :
         {TinyModelOptions{}, TinyModelOptions{.width = 512, .heads = 8}, TinyModelOptions{.width = 224},
          TinyModelOptions{.width = 256, .ffn = 672}, TinyModelOptions{.architecture = "qwen3moe"},
          TinyModelOptions{.architecture = "qwen3moe", .ffn = 352}, TinyModelOptions{.type = 30, .tied = true}}) {
        CAPTURE(options.architecture, options.width, options.ffn);
        for (const bool matrix : {false, true}) {
            const Inventory plain = tiny(folder, options);
            const Inventory model = matrix ? weighted(plain, [](const Tensor&) { return true; }) : plain;
            const std::vector<Variant> types = fitting_types(model);
            CHECK(types.size() >= 7);
            CHECK(types.size() <= 12);
            CHECK(std::ranges::is_sorted(types, {}, [](const Variant& variant) { return bits_per_weight(variant.type); }));
            CHECK(types.back().type == *parse_type("q8_0"));
            CHECK(bits_per_weight(types.front().type) <= 4.6);
            std::set<std::vector<QuantType>> stored;
            for (const Variant& variant : types) {
                CHECK(variant.importance == matrix);
                const TypeAssignment assignment = assign_types(model, variant, *parse_type("q8_0"));
                CHECK(assignment.fallbacks.empty());
                CHECK(stored.insert(assignment.types).second);
                CHECK(check_storage(model, std::span(&variant, 1), *parse_type("q8_0")));
            }
            CHECK(describe_misfits(model, types).empty());
        }
    }
}

TEST_CASE("rows of 256 have K types and what is smaller, faster or more accurate somewhere; other rows blocks of 32",
          "[quantize]")
{
    const TempDir folder;
    CHECK(names(fitting_types(tiny(folder, {}))) == kWide);
    CHECK(names(fitting_types(tiny(folder, {.width = 512, .heads = 8}))) == kWide);
    CHECK(names(fitting_types(tiny(folder, {.architecture = "qwen3moe"}))) == kWide);
    CHECK(names(fitting_types(tiny(folder, {.width = 224}))) == kNarrow);
    // The attention could have K types, an FFN's down could not: a name is to mean the same in all layers.
    CHECK(names(fitting_types(tiny(folder, {.ffn = 672}))) == kNarrow);
}

TEST_CASE("types that need an importance matrix are offered where it covers all layers", "[quantize]")
{
    const TempDir folder;
    const Inventory model = tiny(folder, {});
    const Names all = names(fitting_types(weighted(model, [](const Tensor&) { return true; })));
    CHECK(all.size() == 12);
    CHECK(std::ranges::contains(all, "iq2_xxs+imatrix"));
    CHECK(std::ranges::contains(all, "iq3_xxs+imatrix"));
    const Names some = names(fitting_types(weighted(model, [](const Tensor& t) { return t.role != "ffn_up"; })));
    CHECK(some.size() == kWide.size());
    CHECK(std::ranges::contains(some, "q2_K+imatrix"));
    CHECK(!std::ranges::contains(some, "iq3_xxs+imatrix"));
}

TEST_CASE("types that end as the same bytes are one, and a quantized model has none", "[quantize]")
{
    const TempDir folder;
    // No quantized type has blocks of 16: all are f16.
    const Inventory odd = tiny(folder, {.width = 48, .ffn = 80, .heads = 2, .type = 0});
    REQUIRE(std::ranges::all_of(odd.layers, [&](const Group& layer) {
        return std::ranges::all_of(layer.tensors, [&](std::size_t t) { return odd.tensors[t].columns() % 32 != 0; });
    }));
    CHECK(fitting_types(odd).size() == 1);
    Inventory quantized = tiny(folder, {});
    for (Tensor& tensor : quantized.tensors)
        if (tensor.place == TensorPlace::layer) tensor.type = *parse_type("q3_K");
    CHECK(fitting_types(quantized).empty());
}

TEST_CASE("what becomes of types that do not fit is told in one line, with the types that do", "[quantize]")
{
    const TempDir folder;
    CHECK(describe_misfits(tiny(folder, {}), paper()).empty());
    const Inventory odd = tiny(folder, {.blocks = 3, .width = 224, .ffn = 512});
    CHECK(describe_misfits(odd, paper()) ==
          "q3_K, q4_K, q5_K, q6_K do not fit rows of 224 weights: in 18 of 21 tensors they become q4_0, q5_0, q5_1, q8_0; "
          "--types mxfp4,q4_0,iq4_nl,q4_1,q5_0,q5_1,q8_0 fit");
    const Variant one(*parse_type("q4_K"));
    CHECK(describe_misfits(odd, std::span(&one, 1))
              .starts_with("q4_K does not fit rows of 224 weights: in 18 of 21 tensors it becomes q5_0; --types "));
}

TEST_CASE("embedding and output are named by what they are stored as", "[quantize]")
{
    const TempDir folder;
    const QuantType q6_k = *parse_type("q6_K");
    CHECK(embedding_type_of(tiny(folder, {}), q6_k) == q6_k);
    const Inventory odd = tiny(folder, {.width = 224});
    const QuantType stored = embedding_type_of(odd, q6_k);
    CHECK(stored == *parse_type("q8_0"));
    const auto types = [&](QuantType embedding) { return assign_types(odd, *parse_type("q4_0"), embedding).types; };
    CHECK(types(stored) == types(q6_k));
}

}  // namespace
}  // namespace apreqel
