#include "runtime/contribution.h"

#include "gguf/log.h"
#include "runtime/context.h"

#include <ggml-backend.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace apreqel {
namespace {

/// Tokens per decode call. Every call outputs all its tokens, so that the last block keeps all rows; this bounds the
/// logits to kCallTokens × vocabulary.
constexpr std::size_t kCallTokens = 256;

/// "ffn_inp-12" → {"ffn_inp", 12}; no block: nothing.
struct NodeName {
    std::string_view stem;
    std::size_t block;
};

std::optional<NodeName> parse_node_name(std::string_view name)
{
    const std::size_t dash = name.rfind('-');
    if (dash == std::string_view::npos) return std::nullopt;
    std::size_t block = 0;
    const char* const end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + dash + 1, end, block);
    if (error != std::errc() || rest != end) return std::nullopt;
    return NodeName{name.substr(0, dash), block};
}

/// The input of the norm that `node` ends: norm(x), norm(x)·w or norm(x)·w + b. Null if `node` is none of these.
const ggml_tensor* norm_input(const ggml_tensor* node)
{
    for (int depth = 0; node != nullptr && depth < 3; ++depth, node = node->src[0]) {
        if (node->op == GGML_OP_RMS_NORM || node->op == GGML_OP_NORM) return node->src[0];
        if (node->op != GGML_OP_MUL && node->op != GGML_OP_ADD) return nullptr;
    }
    return nullptr;
}

/// Follows the residual stream through one evaluation of the graph.
///
/// libllama names the state after the attention `ffn_inp`, `sa_out` or `attn_residual` and the block's output `l_out`;
/// where the first has no name (phi3) it is what the FFN's norm reads. The first block's input is what its attention
/// norm reads, or, where blocks have none (olmo2), the embedding. Each of these has two readers, so no backend fuses it
/// away, and it is still intact when the node that reads it is observed.
class ResidualStream {
public:
    ResidualStream(std::size_t blocks, const HiddenStateVisitor& visit) : blocks_(blocks), visit_(visit) {}

    static bool callback(ggml_tensor* node, bool ask, void* self)
    {
        return static_cast<ResidualStream*>(self)->observe(*node, ask);
    }

    /// Empty if the evaluation just done showed every state; else what was missing.
    [[nodiscard]] std::string finish()
    {
        const std::size_t expected = 2 * blocks_ + 1;
        const std::size_t seen = std::exchange(next_, 0);
        embedding_.clear();
        if (!problem_.empty() || seen == expected) return problem_;
        return std::format("only {} of the {} hidden states of {} blocks are in its graph", seen, expected, blocks_);
    }

private:
    /// libggml asks for each node whether it is wanted, and later shows those that are. False on showing would stop it.
    bool observe(const ggml_tensor& node, bool ask)
    {
        const std::string_view name = node.name;
        if (next_ == 0 && (name == "embd" || name == "inp_embd" || name == "inp_scaled")) {
            if (!ask) embedding_ = read(node);
            return true;
        }
        const ggml_tensor* state = next_state(node);
        if (ask || state == nullptr) return state != nullptr || !ask;
        std::vector<float> rows = read(*state);
        if (next_ == 0 && name != "attn_norm-0") show(embedding_, *state);
        show(rows, *state);
        return true;
    }

    /// The tensor that holds the next state of the stream if `node` is it or reads it, else null.
    [[nodiscard]] const ggml_tensor* next_state(const ggml_tensor& node) const
    {
        const std::string_view name = node.name;
        if (next_ == 0 && name == "attn_norm-0") return norm_input(&node);
        const auto parsed = parse_node_name(name);
        const std::size_t block = next_ == 0 ? 0 : (next_ - 1) / 2;
        if (!parsed || parsed->block != block) return nullptr;
        const bool block_output = next_ > 0 && next_ % 2 == 0;
        if (block_output) return parsed->stem == "l_out" ? &node : nullptr;
        if (parsed->stem == "ffn_inp" || parsed->stem == "sa_out" || parsed->stem == "attn_residual") return &node;
        return parsed->stem == "ffn_norm" && next_ > 0 ? norm_input(&node) : nullptr;
    }

    void show(std::span<const float> rows, const ggml_tensor& state)
    {
        visit_(next_++, rows, static_cast<std::size_t>(state.ne[0]));
    }

    std::vector<float> read(const ggml_tensor& tensor)
    {
        if (tensor.type != GGML_TYPE_F32 || !ggml_is_contiguous(&tensor)) {
            problem_ = std::format("its hidden state {} is not a plain float matrix", tensor.name);
            return {};
        }
        std::vector<float> rows(static_cast<std::size_t>(ggml_nelements(&tensor)));
        ggml_backend_tensor_get(&tensor, rows.data(), 0, ggml_nbytes(&tensor));
        return rows;
    }

    std::size_t blocks_;
    const HiddenStateVisitor& visit_;
    std::size_t next_ = 0;  ///< index of the state expected next
    std::vector<float> embedding_;
    std::string problem_;
};

/// 1 for two zero vectors: nothing changed.
double cosine_similarity(std::span<const float> a, std::span<const float> b)
{
    double dot = 0;
    double norm_a = 0;
    double norm_b = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        dot += double{a[i]} * b[i];
        norm_a += double{a[i]} * a[i];
        norm_b += double{b[i]} * b[i];
    }
    if (norm_a == 0 && norm_b == 0) return 1;
    if (norm_a == 0 || norm_b == 0) return 0;
    return dot / std::sqrt(norm_a * norm_b);
}

}  // namespace

Result<> visit_hidden_states(const LoadedModel& model, std::size_t blocks, std::span<const std::vector<Token>> prompts,
                             const HiddenStateVisitor& visit, Monitor& monitor)
{
    std::size_t longest = 0;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    if (longest > model.trained_context()) {
        longest = model.trained_context();
        monitor.warn(std::format("prompts longer than the model's context of {} tokens are cut", longest));
    }
    const std::size_t slice = std::min(kCallTokens, longest);
    ResidualStream stream(blocks, visit);
    llama_context_params params = context_params(model);
    params.n_ctx = static_cast<uint32_t>(longest);
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(slice);
    params.cb_eval = ResidualStream::callback;
    params.cb_eval_user_data = &stream;
    auto context = make_context(model, params, monitor);
    if (!context) return std::unexpected(context.error());

    Batch batch(slice);
    monitor.begin("score", static_cast<double>(prompts.size()));
    for (std::size_t p = 0; p < prompts.size(); ++p) {
        const auto tokens = std::span(prompts[p]).first(std::min(prompts[p].size(), longest));
        llama_memory_clear(llama_get_memory(context->get()), true);
        for (std::size_t begin = 0; begin < tokens.size(); begin += slice) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "score: interrupted"});
            batch.clear();
            for (std::size_t i = begin; i < std::min(begin + slice, tokens.size()); ++i) batch.add(tokens[i], i, 0, true);
            if (auto decoded = batch.decode(model, context->get()); !decoded) return decoded;
            if (const std::string problem = stream.finish(); !problem.empty()) {
                return fail("score {}: its layers cannot be observed: {}", model.path().string(), problem);
            }
        }
        monitor.advance(static_cast<double>(p + 1));
    }
    monitor.end(std::format("{} prompts", prompts.size()));
    return {};
}

Result<std::vector<LayerScore>> score_layers(const LoadedModel& model, const Inventory& inventory,
                                             std::span<const std::vector<Token>> prompts, double gamma, Monitor& monitor)
{
    std::vector<LayerScore> scores(inventory.layers.size());
    std::vector<double> sums(scores.size());
    bool comparable = true;
    std::vector<float> entering;
    const auto compare = [&](std::size_t state, std::span<const float> leaving, std::size_t width) {
        if (state > 0 && leaving.size() == entering.size()) {
            LayerScore& layer = scores[state - 1];
            for (std::size_t at = 0; at < leaving.size(); at += width) {
                const double similarity = cosine_similarity(std::span(entering).subspan(at, width), leaving.subspan(at, width));
                comparable = comparable && std::isfinite(similarity);
                ++(similarity < gamma ? layer.rewards : layer.penalties);
                sums[state - 1] += similarity;
            }
        } else if (state > 0) {
            comparable = false;
        }
        entering.assign(leaving.begin(), leaving.end());
    };
    const auto visited = visit_hidden_states(model, inventory.blocks, prompts, compare, monitor);
    if (!visited) return std::unexpected(visited.error());
    if (!comparable) return fail("score {}: its hidden states are not finite, or change their shape", model.path().string());

    for (std::size_t l = 0; l < scores.size(); ++l) {
        LayerScore& layer = scores[l];
        layer.layer = inventory.layers[l].name;
        layer.score = static_cast<double>(layer.rewards) - static_cast<double>(layer.penalties);
        const std::uint64_t tokens = layer.rewards + layer.penalties;
        if (tokens > 0) layer.mean_similarity = sums[l] / static_cast<double>(tokens);
    }
    return scores;
}

}  // namespace apreqel
