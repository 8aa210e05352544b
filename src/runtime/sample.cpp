#include "runtime/sample.h"

#include "runtime/context.h"
#include "runtime/openings.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace apreqel {
namespace {

/// Sequences generated together: a decode of 16 tokens costs hardly more than one where memory bandwidth is the limit.
constexpr std::size_t kTogether = 16;

/// A small model drifts off the longer it writes: a prompted text ends after that many tokens.
constexpr std::size_t kPromptedTokens = 128;

/// What a text may begin with at most, in tokens.
constexpr std::size_t kOpeningTokens = 192;

/// Tokens less likely than that times the likeliest are not drawn (Nguyen et al. 2024): the tail of a vocabulary, of which a
/// small model's text falls apart.
constexpr float kMinP = 0.05F;

/// A prompted model may run over that many times the tokens that are wanted.
constexpr std::size_t kPatience = 4;

/// A text while it is written.
struct Text {
    std::vector<Token> tokens;    ///< what it begins with, then what is written
    std::size_t opening;          ///< how many of them it begins with
    std::size_t shown;            ///< the first of them that is part of the text
    std::string before{};         ///< words of the text in front of those
    std::size_t before_tokens{};  ///< as many
    std::size_t read = 0;         ///< tokens that the model has read
    bool ended = false;
    llama_sampler_ptr sampler{};

    [[nodiscard]] bool begun() const { return tokens.size() > opening; }
    [[nodiscard]] std::string words(const LoadedModel& model) const
    {
        return before + model.detokenize(std::span(tokens).subspan(shown));
    }
};

/// The question as the model's chat template puts it. Nothing if it has none, or one that libllama does not know.
std::optional<std::string> in_template(const LoadedModel& model, const std::string& question)
{
    const char* form = llama_model_chat_template(model.get(), nullptr);
    if (form == nullptr) return std::nullopt;
    const llama_chat_message message{.role = "user", .content = question.c_str()};
    std::string chat(4096, '\0');
    const int32_t length = llama_chat_apply_template(form, &message, 1, true, chat.data(), static_cast<int32_t>(chat.size()));
    if (length <= 0 || static_cast<std::size_t>(length) > chat.size()) return std::nullopt;
    chat.resize(static_cast<std::size_t>(length));
    return chat;
}

class Writer {
public:
    Writer(const LoadedModel& model, const SampleSettings& settings)
        : model_(model),
          settings_(settings),
          prompted_(settings.writing == Writing::prompted),
          length_(prompted_ ? kPromptedTokens : settings.tokens),
          room_(std::min(model.trained_context(), kOpeningTokens + length_))
    {
        for (Token token = 0; token < static_cast<Token>(model.vocabulary_size()); ++token) {
            if (llama_vocab_is_eog(model.vocabulary(), token)) {
                ends_.push_back(token);
            } else if (llama_vocab_is_control(model.vocabulary(), token)) {
                markup_.push_back(token);
            }
        }
    }

    Result<std::vector<std::string>> write(Monitor& monitor)
    {
        std::vector<std::optional<std::size_t>> writing(prompted_ ? kTogether : std::min(kTogether, settings_.sequences));
        llama_context_params params = context_params(model_);
        params.n_seq_max = static_cast<uint32_t>(writing.size());
        params.n_ctx = static_cast<uint32_t>(writing.size() * room_);
        const auto context = make_context(model_, params, monitor);
        if (!context) return std::unexpected(context.error());
        const std::size_t wanted = settings_.sequences * settings_.tokens;
        monitor.begin("sample text from the model", static_cast<double>(wanted));
        for (;;) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "sample text: interrupted"});
            if (auto begun = begin_texts(context->get(), writing); !begun) return std::unexpected(begun.error());
            if (std::ranges::none_of(writing, [](const auto& text) { return text.has_value(); })) break;
            if (auto stepped = step(context->get(), writing); !stepped) return std::unexpected(stepped.error());
            monitor.advance(static_cast<double>(std::min(written_, wanted)));
            if (!prompted_ || written_ < wanted) continue;
            const auto tokens = model_.tokenize(joined());  // whose tokens may be others than those that were written
            if (!tokens) return std::unexpected(tokens.error());
            if (tokens->size() >= wanted || read_ >= kPatience * wanted) break;
        }
        std::vector<std::string> all = words();
        monitor.end(std::format("{} texts, {} tokens through the model", all.size(), read_));
        return all;
    }

private:
    /// A text that begins with `opening`, which is not part of it. Error: it has no tokens, or too many.
    [[nodiscard]] Result<Text> open(const std::string& opening, bool markup) const
    {
        auto tokens = model_.tokenize(opening, markup);
        if (!tokens) return std::unexpected(tokens.error());
        if (tokens->empty() || tokens->size() > kOpeningTokens || tokens->size() >= room_) {
            return fail("sample text from {}: its tokenizer cannot begin a text; give texts and prompts to it",
                        model_.path().string());
        }
        const std::size_t count = tokens->size();
        return Text{.tokens = std::move(*tokens), .opening = count, .shown = count};
    }

    /// Text `number`, of the forms it can have the one that the model was trained for. Error: it can have none.
    [[nodiscard]] Result<Text> begin(std::size_t number) const
    {
        if (prompted_) {
            const TextOpening prompt = text_opening(settings_.seed, number);
            const auto chat = in_template(model_, prompt.question);
            const auto question = model_.tokenize(prompt.question);
            if (chat && question) {
                if (auto text = open(*chat, true)) {
                    text->before = prompt.question + "\n\n";
                    text->before_tokens = question->size();
                    return text;
                }
            }
            if (auto text = open(prompt.opening, false)) {
                text->shown = 0;
                return text;
            }
        }
        return open("\n", false);
    }

    /// Gives every sequence whose text has ended a new one, as long as there are more.
    [[nodiscard]] Result<> begin_texts(llama_context* context, std::vector<std::optional<std::size_t>>& writing)
    {
        for (std::size_t m = 0; m < writing.size(); ++m) {
            if (writing[m] && !texts_[*writing[m]].ended) continue;
            if (writing[m]) texts_[*writing[m]].sampler.reset();  // it holds the whole vocabulary
            llama_memory_seq_rm(llama_get_memory(context), static_cast<llama_seq_id>(m), -1, -1);
            writing[m].reset();
            if (!prompted_ && texts_.size() == settings_.sequences) continue;
            auto text = begin(texts_.size());
            if (!text) return std::unexpected(text.error());
            text->sampler.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
            if (prompted_) llama_sampler_chain_add(text->sampler.get(), llama_sampler_init_min_p(kMinP, 1));
            const auto seed = static_cast<uint32_t>(settings_.seed * 1'000'003 + texts_.size());
            llama_sampler_chain_add(text->sampler.get(), llama_sampler_init_dist(seed));
            writing[m] = texts_.size();
            texts_.push_back(std::move(*text));
        }
        return {};
    }

    /// One token more of every text: read, if it begins with it, or else written.
    [[nodiscard]] Result<> step(llama_context* context, const std::vector<std::optional<std::size_t>>& writing)
    {
        batch_.clear();
        std::vector<std::size_t> order;
        for (std::size_t m = 0; m < writing.size(); ++m) {
            if (!writing[m]) continue;
            Text& text = texts_[*writing[m]];
            batch_.add(text.tokens[text.read], text.read, m, text.read + 1 == text.tokens.size());
            ++text.read;
            order.push_back(*writing[m]);
        }
        read_ += order.size();
        if (auto decoded = batch_.decode(model_, context); !decoded) return decoded;
        for (std::size_t i = 0; i < order.size(); ++i) {
            Text& text = texts_[order[i]];
            if (text.read == text.tokens.size()) write_token(text, context, static_cast<int32_t>(i));
        }
        return {};
    }

    /// Draws the next token of a text from output `i`.
    void write_token(Text& text, llama_context* context, int32_t i)
    {
        float* logits = llama_get_logits_ith(context, i);
        for (const Token token : markup_) logits[token] = -INFINITY;
        if (!prompted_ || !text.begun())  // no text is empty
            for (const Token token : ends_) logits[token] = -INFINITY;
        const Token token = llama_sampler_sample(text.sampler.get(), context, i);
        if (llama_vocab_is_eog(model_.vocabulary(), token)) {
            text.ended = true;
            return;
        }
        if (!text.begun()) written_ += text.before_tokens + text.opening - text.shown;
        text.tokens.push_back(token);
        ++written_;
        text.ended = text.tokens.size() == std::min(text.opening + length_, room_);
    }

    [[nodiscard]] std::vector<std::string> words() const
    {
        std::vector<std::string> all;
        for (const Text& text : texts_)
            if (text.begun()) all.push_back(text.words(model_));
        return all;
    }

    [[nodiscard]] std::string joined() const
    {
        std::string all;
        for (const std::string& text : words()) all += text + "\n";
        return all;
    }

    const LoadedModel& model_;
    SampleSettings settings_;
    bool prompted_;
    std::size_t length_;         ///< tokens that one text gets at most
    std::size_t room_;           ///< tokens of context for one
    std::vector<Token> ends_;    ///< end-of-generation tokens
    std::vector<Token> markup_;  ///< control tokens besides
    std::vector<Text> texts_;    ///< all, in the order they began
    std::size_t written_ = 0;    ///< tokens of all of them
    std::size_t read_ = 0;       ///< tokens through the model
    Batch batch_{kTogether};
};

}  // namespace

Result<std::vector<std::string>> sample_texts(const LoadedModel& model, const SampleSettings& settings, Monitor& monitor)
{
    return Writer(model, settings).write(monitor);
}

}  // namespace apreqel
