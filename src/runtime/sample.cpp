#include "runtime/sample.h"

#include "runtime/context.h"

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

/// Sequences generated together: a decode of 16 tokens costs hardly more than one where memory bandwidth is the limit.
constexpr std::size_t kTogether = 16;

/// Temperature 1 over the whole vocabulary, without the tokens that end a text.
llama_sampler_ptr make_sampler(const LoadedModel& model, std::uint64_t seed)
{
    std::vector<llama_logit_bias> banned;
    for (Token token = 0; token < static_cast<Token>(model.vocabulary_size()); ++token) {
        if (llama_vocab_is_eog(model.vocabulary(), token) || llama_vocab_is_control(model.vocabulary(), token)) {
            banned.push_back({.token = token, .bias = -INFINITY});
        }
    }
    llama_sampler_ptr chain(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto count = static_cast<int32_t>(banned.size());
    llama_sampler_chain_add(chain.get(),
                            llama_sampler_init_logit_bias(static_cast<int32_t>(model.vocabulary_size()), count, banned.data()));
    llama_sampler_chain_add(chain.get(), llama_sampler_init_dist(static_cast<uint32_t>(seed)));
    return chain;
}

}  // namespace

Result<std::vector<std::string>> sample_texts(const LoadedModel& model, const SampleSettings& settings, Monitor& monitor)
{
    const auto opening = model.tokenize("\n");
    if (!opening) return std::unexpected(opening.error());
    if (opening->empty() || opening->size() >= model.trained_context()) {
        return fail("sample text from {}: its tokenizer cannot begin a text; give texts and prompts to it",
                    model.path().string());
    }
    const std::size_t length = std::min(settings.tokens, model.trained_context() - opening->size());
    llama_context_params params = context_params(model);
    params.n_seq_max = static_cast<uint32_t>(std::min(kTogether, settings.sequences));
    params.n_ctx = params.n_seq_max * static_cast<uint32_t>(opening->size() + length);
    auto context = make_context(model, params, monitor);
    if (!context) return std::unexpected(context.error());

    std::vector<std::string> texts;
    Batch batch(kTogether);
    monitor.begin("sample text from the model", static_cast<double>(settings.sequences));
    for (std::size_t group = 0; group < settings.sequences; group += kTogether) {
        const std::size_t members = std::min(kTogether, settings.sequences - group);
        std::vector<llama_sampler_ptr> samplers;
        std::vector<std::vector<Token>> sequences(members);
        for (std::size_t m = 0; m < members; ++m)
            samplers.push_back(make_sampler(model, settings.seed * 1'000'003 + group + m));
        llama_memory_clear(llama_get_memory(context->get()), true);
        for (std::size_t position = 0; position + 1 < opening->size() + length; ++position) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "sample text: interrupted"});
            batch.clear();
            for (std::size_t m = 0; m < members; ++m) {
                const bool opens = position < opening->size();
                batch.add(opens ? (*opening)[position] : sequences[m].back(), position, m, true);
            }
            if (auto decoded = batch.decode(model, context->get()); !decoded) return std::unexpected(decoded.error());
            if (position + 1 < opening->size()) continue;
            for (std::size_t m = 0; m < members; ++m) {
                sequences[m].push_back(llama_sampler_sample(samplers[m].get(), context->get(), static_cast<int32_t>(m)));
            }
            const double part = static_cast<double>(sequences.front().size()) / static_cast<double>(length);
            monitor.advance(static_cast<double>(group) + part * static_cast<double>(members));
        }
        for (const auto& sequence : sequences) texts.push_back(model.detokenize(sequence));
    }
    monitor.end(std::format("{} texts of {} tokens", texts.size(), length));
    return texts;
}

}  // namespace apreqel
