// The contribution of each layer: how much it changes the hidden state (paper, section "Contribution of a layer").
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace apreqel {

/// One layer's token-level cosine similarities between the hidden state that enters it and the one that leaves it.
struct LayerScore {
    std::string layer;            ///< "blk.3.attn"
    double score = 0;             ///< rewards − penalties
    std::uint64_t rewards = 0;    ///< tokens with similarity below γ
    std::uint64_t penalties = 0;  ///< tokens with similarity of γ or above
    double mean_similarity = 1;   ///< over all tokens; 1 where a file gives none
};

struct Scores {
    std::string model;  ///< fingerprint of the model scored; empty: not stated
    std::string model_name;
    double gamma = 0.9;
    std::size_t prompts = 0;
    std::uint64_t tokens = 0;
    std::string prompts_source;  ///< file name, or how they were sampled
    std::vector<LayerScore> layers;
};

/// Layer indices from the greatest contribution to the least: by score, descending; then by mean similarity, ascending;
/// then by position.
[[nodiscard]] std::vector<std::size_t> order_by_contribution(const std::vector<LayerScore>& layers);

}  // namespace apreqel
