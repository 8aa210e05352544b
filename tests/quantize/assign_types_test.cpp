// What a tensor can be stored as is known before anything is read or measured.
#include "quantize/assign_types.h"

#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace apreqel {
namespace {

/// Gives a matrix to the layers' tensors of which `covers` is true; embedding and output have nothing, as usual.
Inventory weighted(const std::filesystem::path& model, bool (*covers)(const Tensor&))
{
    Inventory inventory = read_inventory(model).value();
    inventory.importance = "i.gguf";
    for (Tensor& t : inventory.tensors) {
        if (t.place != TensorPlace::layer || !covers(t)) continue;
        const auto columns = static_cast<std::size_t>(t.columns() * t.shape[2]);
        t.importance = std::make_shared<const std::vector<float>>(columns, 1.0F);
    }
    return inventory;
}

TEST_CASE("types that need an importance matrix can be stored where it has something, and nowhere else", "[quantize]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    const Inventory inventory = weighted(model, [](const Tensor&) { return true; });
    const Group embedding = embedding_group(inventory);
    for (const char* name : {"iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq1_s", "iq1_m"}) {
        CAPTURE(name);
        const Variant variant(type(name), true);
        CHECK(can_store(inventory, inventory.layers.front(), variant));
        CHECK(!can_store(inventory, embedding, variant));
        CHECK(!can_store(inventory, inventory.layers.front(), type(name)));  // the matrix is there and not to be used
        CHECK(check_storage(inventory, std::span(&variant, 1), type("q6_K")));
        CHECK(check_storage(inventory, std::span(&variant, 1), variant).error().code == ErrorCode::usage);
    }
    const auto refused = check_storage(inventory, {}, type("iq2_xs"));
    CHECK(refused.error().message.contains("for token_embd × 1, output × 1: i.gguf"));
    CHECK(can_store(inventory, embedding, Variant(type("q4_K"), true)));  // quantized without
    CHECK(can_store(inventory, embedding, Variant(type("iq4_xs"), true)));
}

TEST_CASE("a matrix that covers a part is refused for types that need all of it, naming matrix, roles and counts", "[quantize]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    const Inventory partial =
        weighted(model, [](const Tensor& t) { return t.role != "attn_q" && t.name != "blk.1.ffn_up.weight"; });
    const Variant needs(type("iq2_xxs"), true);
    const auto refused = check_storage(partial, std::span(&needs, 1), type("q6_K"));
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::usage);
    CHECK(refused.error().message.contains("iq2_xxs+imatrix"));
    CHECK(refused.error().message.contains("i.gguf"));
    CHECK(refused.error().message.contains("attn_q × 2, ffn_up × 1"));
    CHECK(!refused.error().message.contains("attn_k"));
    CHECK(!refused.error().hint.empty());
    const Variant does_not(type("q4_K"), true);
    CHECK(check_storage(partial, std::span(&does_not, 1), type("q6_K")));

    const Inventory none = read_inventory(model).value();
    const Variant plain(type("iq2_xxs"));
    const auto without = check_storage(none, std::span(&plain, 1), type("q6_K"));
    REQUIRE(!without);
    CHECK(without.error().message.contains("needs an importance matrix for attn_q × 2"));
    CHECK(without.error().hint.contains("--imatrix"));
}

TEST_CASE("rows that no block fits need no importance matrix, as what they fall back to needs none", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path(), {.width = 224})).value();
    const Tensor& query = tensor(inventory, "blk.0.attn_q.weight");  // rows of 224
    const Storage fallen = storage_of(query, type("iq2_xxs"));
    CHECK(fallen.fallback);
    CHECK(type_name(fallen.type) == "iq4_nl");
    CHECK(fallen.obstacle.empty());
    CHECK(!obstacle_to(query, type("iq2_xxs"), {}).empty());
    CHECK(obstacle_to(query, type("q4_K"), {}).contains("224"));
    const Storage kept = storage_of(query, type("q8_0"));
    CHECK(!kept.fallback);
    CHECK(kept.obstacle.empty());
}

TEST_CASE("a tensor that is quantized already stays, or is taken from elsewhere", "[quantize]")
{
    const TempDir folder;
    const Inventory source = read_inventory(make_tiny_model(folder.path())).value();
    Tensor quantized = tensor(source, "blk.0.attn_q.weight");
    quantized.type = type("q4_K");
    CHECK(obstacle_to(quantized, type("q4_K"), {}).empty());
    CHECK(obstacle_to(quantized, type("q8_0"), {}).contains("q4_K already"));
    CHECK(obstacle_to(tensor(source, "blk.0.attn_norm.weight"), type("q8_0"), {}).contains("as it is"));
}

TEST_CASE("a file made elsewhere gives layers, never the embedding", "[quantize]")
{
    const TempDir folder;
    const Inventory source = read_inventory(make_tiny_model(folder.path())).value();
    const auto other = make_tiny_model(folder.path(), {.type = 30, .file = "other.gguf"});
    const auto foreign = read_foreign_variant("theirs", other, source);
    REQUIRE(foreign);
    CHECK(can_store(source, source.layers.front(), *foreign));
    CHECK(!can_store(source, embedding_group(source), *foreign));
    CHECK(check_storage(source, std::span(&*foreign, 1), type("q6_K")));
    CHECK(check_storage(source, std::span(&*foreign, 1), *foreign).error().message.contains("layers only"));
}

}  // namespace
}  // namespace apreqel
