#include "runtime/contribution.h"

#include "runtime/context.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <ggml-backend.h>
#include <ggml.h>
#include <cmath>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

/// An independent view of the residual stream: every node of the graph is computed alone, so that nothing is fused or
/// reused, and the stream is followed by its additions, whatever their names: x' = ADD(x, …).
struct AdditionChain {
    const ggml_tensor* current = nullptr;
    std::vector<std::vector<float>> states;

    static bool callback(ggml_tensor* node, bool ask, void* data)
    {
        if (!ask) static_cast<AdditionChain*>(data)->follow(node);
        return true;
    }

    void follow(const ggml_tensor* node)
    {
        const auto reads_current = [&](int i) { return current != nullptr && node->src[i] == current; };
        const bool embeds = current == nullptr && node->op == GGML_OP_GET_ROWS;
        const bool scales = states.size() == 1 && node->op == GGML_OP_SCALE && reads_current(0);
        const bool selects = node->op == GGML_OP_GET_ROWS && reads_current(0);
        const bool adds = node->op == GGML_OP_ADD && (reads_current(0) || reads_current(1));
        if (!embeds && !scales && !selects && !adds) return;
        current = node;
        if (selects) return;  // rows of the last block that are output: here all, in order
        std::vector<float> values(static_cast<std::size_t>(ggml_nelements(node)));
        ggml_backend_tensor_get(node, values.data(), 0, ggml_nbytes(node));
        if (scales) states.pop_back();
        states.push_back(std::move(values));
    }
};

std::vector<std::vector<float>> direct_states(const LoadedModel& model, const std::vector<Token>& tokens)
{
    AdditionChain chain;
    Monitor monitor;
    llama_context_params params = context_params(model);
    params.n_ctx = params.n_batch = params.n_ubatch = static_cast<uint32_t>(tokens.size());
    params.cb_eval = AdditionChain::callback;
    params.cb_eval_user_data = &chain;
    auto context = make_context(model, params, monitor);
    REQUIRE(context);
    Batch batch(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) batch.add(tokens[i], i, 0, true);
    REQUIRE(batch.decode(model, context->get()));
    return chain.states;
}

std::vector<std::vector<Token>> some_prompts(std::size_t vocabulary)
{
    std::vector<std::vector<Token>> prompts(3);
    for (std::size_t p = 0; p < prompts.size(); ++p) {
        for (std::size_t i = 0; i < 5 + 7 * p; ++i)
            prompts[p].push_back(static_cast<Token>((i * 37 + p * 11 + 1) % vocabulary));
    }
    return prompts;
}

TEST_CASE("scores equal a direct computation on the hidden states", "[runtime]")
{
    const std::string architecture = GENERATE("llama", "phi3", "qwen3", "gemma2", "qwen3moe");
    INFO(architecture);
    const TempDir folder;
    const auto path = make_tiny_model(folder.path(), {.architecture = architecture, .blocks = 3});
    const auto inventory = read_inventory(path);
    REQUIRE(inventory);
    const auto model = LoadedModel::load(path, {.threads = 1});
    REQUIRE(model);
    const auto prompts = some_prompts(model->vocabulary_size());
    const double gamma = 0.97;
    Monitor monitor;
    const auto scores = score_layers(*model, *inventory, prompts, gamma, monitor);
    REQUIRE(scores);
    REQUIRE(scores->size() == 6);

    std::vector<LayerScore> expected(6);
    for (const auto& prompt : prompts) {
        const auto states = direct_states(*model, prompt);
        REQUIRE(states.size() == 7);
        const std::size_t width = states[0].size() / prompt.size();
        for (std::size_t l = 0; l < 6; ++l) {
            for (std::size_t token = 0; token < prompt.size(); ++token) {
                double dot = 0;
                double in = 0;
                double out = 0;
                for (std::size_t i = token * width; i < (token + 1) * width; ++i) {
                    dot += double{states[l][i]} * states[l + 1][i];
                    in += double{states[l][i]} * states[l][i];
                    out += double{states[l + 1][i]} * states[l + 1][i];
                }
                const double similarity = dot / std::sqrt(in) / std::sqrt(out);
                ++(similarity < gamma ? expected[l].rewards : expected[l].penalties);
                expected[l].mean_similarity += similarity;
            }
        }
    }
    for (std::size_t l = 0; l < 6; ++l) {
        const LayerScore& found = (*scores)[l];
        INFO(found.layer);
        const std::uint64_t tokens = expected[l].rewards + expected[l].penalties;
        CHECK(found.rewards == expected[l].rewards);
        CHECK(found.penalties == expected[l].penalties);
        CHECK(found.score == static_cast<double>(found.rewards) - static_cast<double>(found.penalties));
        // Without fusion libggml may round the last bits of a state differently.
        CHECK_THAT(found.mean_similarity, WithinAbs((expected[l].mean_similarity - 1) / static_cast<double>(tokens), 1e-6));
    }
}

TEST_CASE("a long prompt is scored in slices as if it were one", "[runtime]")
{
    const auto path = demo_model();
    const auto inventory = read_inventory(path);
    const auto model = LoadedModel::load(path, {});
    REQUIRE(model);
    std::vector<Token> prompt;
    for (std::size_t i = 0; i < 400; ++i) prompt.push_back(static_cast<Token>((i * 131) % model->vocabulary_size()));
    const auto states = direct_states(*model, prompt);
    std::vector<std::size_t> rows(inventory->blocks * 2 + 1);
    double largest = 0;
    Monitor monitor;
    const auto seen = visit_hidden_states(
        *model, inventory->blocks, std::span(&prompt, 1),
        [&](std::size_t state, std::span<const float> values, std::size_t width) {
            for (std::size_t i = 0; i < values.size(); ++i) {
                const double expected = states[state][rows[state] * width + i];
                largest = std::max(largest, std::abs(values[i] - expected) / (1 + std::abs(expected)));
            }
            rows[state] += values.size() / width;
        },
        monitor);
    REQUIRE(seen);
    for (const std::size_t count : rows) CHECK(count == 400);
    CHECK(largest < 0.02);  // other batch sizes take other kernels
}

TEST_CASE("a graph without a sequential residual stream is an error, not a wrong score", "[runtime]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path(), {.architecture = "command-r"});
    auto inventory = read_inventory(path);
    REQUIRE(inventory);
    CHECK(inventory->residual == Residual::parallel);
    const auto model = LoadedModel::load(path, {});
    REQUIRE(model);
    Monitor monitor;
    const auto scores = score_layers(*model, *inventory, some_prompts(model->vocabulary_size()), 0.9, monitor);
    REQUIRE(!scores);
    CHECK(scores.error().message.contains("cannot be observed"));
}

}  // namespace
}  // namespace apreqel
