// Scores layers by watching the hidden state pass through the real graph of libllama.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <apreqel/contribution.h>
#include <apreqel/inventory.h>

#include <functional>

namespace apreqel {

/// Sees one state of the residual stream: `state` is 0 for the input of the first layer, l + 1 for the output of layer l;
/// `rows` holds one hidden state a token, (tokens, width) row by row.
using HiddenStateVisitor = std::function<void(std::size_t state, std::span<const float> rows, std::size_t width)>;

/// Runs each prompt as a sequence of its own and shows every state of the residual stream, in order, in slices of
/// tokens. Works for any architecture whose blocks are x → x + attention → … + FFN, whatever it calls its nodes.
/// Prompts longer than the model's context are cut, with a warning.
/// Error: the graph has no such stream.
[[nodiscard]] Result<> visit_hidden_states(const LoadedModel& model, std::size_t blocks,
                                           std::span<const std::vector<Token>> prompts, const HiddenStateVisitor& visit,
                                           Monitor& monitor);

/// Token-level cosine similarity between the state entering and leaving each layer, over all prompts; below `gamma` a
/// token is a reward, else a penalty; score = rewards − penalties (paper, equation of the contribution score).
/// `inventory` must be sequential.
[[nodiscard]] Result<std::vector<LayerScore>> score_layers(const LoadedModel& model, const Inventory& inventory,
                                                           std::span<const std::vector<Token>> prompts, double gamma,
                                                           Monitor& monitor);

}  // namespace apreqel
