// A plan by role and depth: of a family of models, and of no single one.
#pragma once

#include <apreqel/plan.h>

#include <cstdint>
#include <string>
#include <vector>

namespace apreqel {

/// Blocks one after another that give one type to the same role.
struct LayoutRun {
    std::string role;         ///< "attn", "ffn", or tensors of these: "ffn_gate+ffn_up"
    std::uint64_t first = 0;  ///< block
    std::uint64_t last = 0;   ///< block, not before `first`
    std::string type;         ///< "q4_K", "q4_K+imatrix"
};

/// What another model of the same family can be quantized by without measuring.
struct Layout {
    std::string architecture;           ///< general.architecture
    std::uint64_t blocks = 0;           ///< up to the last that has a type
    std::string model_name{};           ///< the origin, for people: the model it was planned for,
    std::string device{};               ///< the device whose speeds,
    std::string text{};                 ///< the text whose qualities it was planned with,
    std::string version{};              ///< and what planned it
    std::string embedding_type{};       ///< fixed type of embedding and output; empty: the default
    std::string embedding{};            ///< their type where it was chosen; empty: it was not
    std::vector<LayoutRun> runs;        ///< by role, in the order of the blocks; none of a role overlap
    std::vector<Fallback> fallbacks{};  ///< tensors that could not take their type at the origin either
};

/// The runs of an allocation, without the embedding; roles in the order in which they first appear. Entries that are no groups of
/// a block are left out.
[[nodiscard]] std::vector<LayoutRun> runs_of(const std::vector<GroupType>& allocation);

/// The layout of `plan`, a plan for a model of `architecture`. `version`: what states it.
/// Error: the architecture is not stated; the name of a group or type is none that another model could have.
[[nodiscard]] Result<Layout> layout_of(const Plan& plan, std::string architecture, std::string version);

}  // namespace apreqel
