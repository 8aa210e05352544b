// What a layer and a type may be called, where names come from files and go into others.
#pragma once

#include <apreqel/error.h>

#include <cstddef>
#include <optional>
#include <string_view>

namespace apreqel {

/// `blk.N.attn` or `blk.N.ffn`, N a number without leading zeros.
[[nodiscard]] bool is_layer_name(std::string_view name);

/// Such a layer; or tensors of a block that are typed as one, `blk.N.ROLE` or `blk.N.ROLE+ROLE`; or kEmbedding. A ROLE has letters,
/// digits and _.
[[nodiscard]] bool is_group_name(std::string_view name);

/// N of a group of a block, `blk.N.…`; nothing of others.
[[nodiscard]] std::optional<std::size_t> block_number(std::string_view group);

/// Letters, digits and _ - . +, at least one.
[[nodiscard]] bool is_type_name(std::string_view name);

}  // namespace apreqel
