#include "decide/names.h"

#include <apreqel/plan.h>
#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

constexpr const char* kForged[]{
    "blk.0\n.*=q2_K\nblk.attn", "blk.attn",    "blk..attn",  "blk.x.attn",  "blk.00.attn", "blk.0.attn\n",
    "blk.0.attn=q2_K",          "blk.0.attn ", "xblk.0.ffn", "blk.-1.attn", "blk.0.",      ""};

TEST_CASE("a layer is named blk.N.attn or blk.N.ffn and nothing else", "[decide]")
{
    CHECK(is_layer_name("blk.0.attn"));
    CHECK(is_layer_name("blk.120.ffn"));
    CHECK(!is_layer_name("blk.0.attn_q"));
    CHECK(!is_layer_name("embedding"));
    for (const char* forged : kForged) CHECK(!is_layer_name(forged));
}

TEST_CASE("a group is a layer, tensors of a block, or the embedding", "[decide]")
{
    for (const char* name : {"blk.0.attn", "blk.7.attn_q", "blk.10.ffn_gate+ffn_up", "blk.0.shortconv.in_proj", "embedding"})
        CHECK(is_group_name(name));
    for (const char* name : {"blk.0.+", "blk.0.ffn_up+", "blk.0.a b", "blk.0.a|b", "blk.0.(a)"}) CHECK(!is_group_name(name));
    for (const char* forged : kForged) CHECK(!is_group_name(forged));
}

TEST_CASE("a type has letters, digits and a few signs in its name", "[decide]")
{
    for (const char* name : {"q4_K", "iq2_xs+imatrix", "mine-1.2"}) CHECK(is_type_name(name));
    for (const char* name : {"", "q4_K\n", "q4 K", "q3_K+\x1b]0;owned\a", "ä"}) CHECK(!is_type_name(name));
}

TEST_CASE("names that would forge lines of a tensor type file are refused", "[decide]")
{
    CHECK(!tensor_type_file({.allocation = {{"blk.0\n.*=q2_K\nblk.attn", "q4_K"}}}));
    CHECK(!tensor_type_file({.allocation = {{"blk.0.attn", "q4_K\n.*=q2_K"}}}));
    CHECK(!tensor_type_file({.allocation = {{"blk.0.attn", "mine"}}}));  // llama-quantize has no such type
    CHECK(tensor_type_file({.allocation = {{"blk.0.attn", "Q4_K+imatrix"}}}).value() ==
          "^blk\\.0\\.(?!(ffn|channel_mix)_)=Q4_K\n");
    CHECK(tensor_type_file({.allocation = {{"blk.1.shortconv.in_proj", "q8_0"}}}).value() ==
          "^blk\\.1\\.(shortconv\\.in_proj)\\.weight=q8_0\n");
}

}  // namespace
}  // namespace apreqel
