#include "runtime/sample.h"

#include "runtime/openings.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <gguf.h>
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <set>

namespace apreqel {
namespace {

constexpr SampleSettings kPrompted{.sequences = 2, .tokens = 300, .seed = 5, .writing = Writing::prompted};

/// The texts of a model, and how many tokens they have joined by line breaks.
struct SampledTexts {
    std::vector<std::string> texts;
    std::size_t tokens;
};
SampledTexts sampled(const std::filesystem::path& path, const SampleSettings& settings)
{
    const auto model = LoadedModel::load(path, {});
    REQUIRE(model);
    Monitor monitor;
    const auto texts = sample_texts(*model, settings, monitor);
    REQUIRE(texts);
    std::string all;
    for (const std::string& text : *texts) all += text + "\n";
    return {*texts, model->tokenize(all)->size()};
}

std::filesystem::path with_template(const TempDir& folder, const char* chat_template)
{
    return make_tiny_model(folder.path(), {.edit = [&](gguf_context* metadata) {
                               if (chat_template != nullptr)
                                   gguf_set_val_str(metadata, "tokenizer.chat_template", chat_template);
                           }});
}

/// A model that writes nothing but `token`: what its last norm adds outweighs everything, and only that row of the output sees it.
std::filesystem::path always_writes(const TempDir& folder, Token token)
{
    constexpr std::size_t kWidth = 256;
    const auto path = make_tiny_model(
        folder.path(), {.architecture = "falcon", .width = kWidth, .type = 0, .edit = [&](auto* metadata) {
                            gguf_set_val_u32(metadata, "tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(token));
                        }});
    gguf_context* header = gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr});
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const auto fill = [&](const char* tensor, std::size_t row, float value) {
        const std::vector<float> values(kWidth, value);
        const std::size_t start =
            gguf_get_data_offset(header) + gguf_get_tensor_offset(header, gguf_find_tensor(header, tensor));
        file.seekp(static_cast<std::streamoff>(start + row * kWidth * sizeof(float)));
        file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(kWidth * sizeof(float)));
    };
    fill("output_norm.bias", 0, 20);
    fill("output.weight", static_cast<std::size_t>(token), 1);
    gguf_free(header);
    return path;
}

TEST_CASE("prompted texts have as many tokens as asked for, and hardly more", "[runtime]")
{
    const SampledTexts first = sampled(demo_model(), kPrompted);
    CHECK(first.tokens >= 600);
    CHECK(first.tokens < 700);
    CHECK(first.texts.size() > 4);  // none goes on for more than 128 tokens
    CHECK(first.texts.front().starts_with(text_opening(5, 0).opening));
    CHECK(first.texts == sampled(demo_model(), kPrompted).texts);
    SampleSettings other = kPrompted;
    other.seed = 6;
    CHECK(first.texts != sampled(demo_model(), other).texts);
}

TEST_CASE("a model with a chat template is asked, and its texts hold no markup", "[runtime]")
{
    const TempDir folder;
    const SampledTexts chat =
        sampled(with_template(folder, "{% for m in messages %}<|im_start|>{{ m }}<|im_end|>{% endfor %}"), kPrompted);
    CHECK(chat.tokens >= 600);
    for (std::size_t i = 0; i < chat.texts.size(); ++i) {
        const std::string question = text_opening(5, i).question;
        if (question.size() < 100) CHECK(chat.texts[i].starts_with(question + "\n\n"));  // a token a byte: long ones do not fit
        CHECK(!chat.texts[i].contains("im_start"));
    }
}

TEST_CASE("a chat template that libllama does not know is as good as none", "[runtime]")
{
    const TempDir folder;
    const SampledTexts none = sampled(with_template(folder, nullptr), kPrompted);
    CHECK(none.tokens >= 600);
    CHECK(none.texts == sampled(with_template(folder, "{{ something else }}"), kPrompted).texts);
}

TEST_CASE("a model that ends every text at once still gives the tokens asked for", "[runtime]")
{
    const TempDir folder;
    constexpr Token kEnd = 7;
    const SampledTexts texts = sampled(always_writes(folder, kEnd), kPrompted);
    CHECK(texts.tokens >= 600);
    const std::string freely = sampled(always_writes(folder, kEnd), {.sequences = 1, .tokens = 20}).texts.front();
    CHECK(!freely.empty());  // there it is not drawn
}

TEST_CASE("a context that holds no opening holds a text from nothing", "[runtime]")
{
    const TempDir folder;
    const SampledTexts texts = sampled(make_tiny_model(folder.path(), {.context = 16}), kPrompted);
    CHECK(texts.tokens >= 600);
}

TEST_CASE("texts of two seeds begin otherwise, and each kind has its turn", "[runtime]")
{
    std::set<std::string> questions;
    std::set<std::string> openings;
    const std::size_t rounds = 4 * kTextKinds.size();
    for (std::size_t number = 0; number < rounds; ++number) {
        for (const std::uint64_t seed : {1, 3}) {  // of evaluation text and calibration text
            const TextOpening text = text_opening(seed, number);
            questions.insert(text.question);
            openings.insert(text.opening);
            CHECK(!(text.question + text.opening).contains("{}"));
        }
    }
    CHECK(questions.size() == 2 * rounds);
    CHECK(openings.size() == 2 * rounds);
}

}  // namespace
}  // namespace apreqel
