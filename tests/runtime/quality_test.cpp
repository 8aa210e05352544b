#include "runtime/quality.h"

#include "base/file.h"
#include "quantize/write_models.h"
#include "runtime/sample.h"
#include "support/temp_dir.h"
#include "support/tool.h"

#include <apreqel/inventory.h>
#include <apreqel/look.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cmath>
#include <numeric>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

/// Words of random letters: text enough for a tokenizer.
std::string random_text(std::size_t words)
{
    std::mt19937_64 random(3);
    std::string text;
    for (std::size_t w = 0; w < words; ++w) {
        for (std::size_t letter = 0; letter < 1 + random() % 7; ++letter) text += static_cast<char>('a' + random() % 26);
        text += random() % 9 == 0 ? '\n' : ' ';
    }
    return text + "end\n";
}

/// What llama-perplexity prints after `marker`. Its log is written by a thread that its exit does not always wait for, so the
/// last lines are sometimes missing: then it is asked again.
std::string tool_says(const std::string& flags, const std::filesystem::path& log, const std::string& marker)
{
    std::string text;
    for (int attempt = 0; attempt < 10; ++attempt) {
        REQUIRE(std::system(std::format("llama-perplexity -t 1 {} >{} 2>&1 </dev/null", flags, log.string()).c_str()) == 0);
        text = read_text(log).value();
        const std::size_t at = text.rfind(marker);
        const std::size_t end = at == std::string::npos ? at : text.find('\n', at);
        if (end != std::string::npos) return text.substr(at + marker.size(), end - at - marker.size());
    }
    FAIL("llama-perplexity did not print \"" << marker << "\" but:\n" << text);
    return "";
}

/// "39.5586 +/- 0.93297": the same digits, of which the last may differ, as the tool's sums are in another order.
void check_digits(const std::string& said, const Quality& quality)
{
    const std::size_t sign = said.find(" +/- ");
    CHECK_THAT(std::stod(said.substr(0, sign)), WithinAbs(quality.perplexity, 0.6e-4 + 1e-7 * quality.perplexity));
    CHECK_THAT(std::stod(said.substr(sign + 5)),
               WithinRel(quality.perplexity_error, 1e-6) || WithinAbs(quality.perplexity_error, 6e-6));
}

struct Files {
    TempDir folder;
    std::filesystem::path text = folder / "text.txt";
    std::filesystem::path log = folder / "log";
    std::filesystem::path variant = folder / "q3_K.gguf";
    std::filesystem::path base = folder / "base.kld";
    std::string content = random_text(1500);

    Files()
    {
        REQUIRE(write_text(text, content));
        content.pop_back();  // the tool drops one newline at the end
        const auto inventory = read_inventory(demo_model());
        const auto types = assign_types(*inventory, *parse_type("q3_K"), *parse_type("q6_K")).types;
        Monitor monitor;
        const ModelSpec spec{.path = variant, .types = types, .notes = {}};
        REQUIRE(write_models(*inventory, std::span(&spec, 1), {}, 2, monitor));
    }
};

TEST_CASE("perplexity and KL divergence agree with the stock tool", "[runtime]")
{
    APREQEL_NEEDS_TOOL("llama-perplexity");
    const Files files;
    const std::size_t context = GENERATE(64, 512);
    INFO("context " << context);
    const QualitySettings settings{.context = context, .chunks = 6};
    Monitor monitor;
    const auto full = LoadedModel::load(demo_model(), {.threads = 1});
    const auto variant = LoadedModel::load(files.variant, {.threads = 1});
    REQUIRE(full);
    REQUIRE(variant);
    const auto tokens = full->tokenize(files.content);
    REQUIRE(tokens);
    const auto logits = files.folder / "reference";
    const auto reference = record_reference(*full, *tokens, settings, logits, "id", monitor);
    const auto quality = evaluate_quality(*variant, *tokens, settings, logits, "id", monitor);
    REQUIRE(reference);
    REQUIRE(quality);

    const auto tool = [&](const std::filesystem::path& model, const std::string& flags, const std::string& marker) {
        return tool_says(std::format("-m {} -f {} -c {} --chunks 6 {}", model.string(), files.text.string(), context, flags),
                         files.log, marker);
    };
    check_digits(tool(demo_model(), "--kl-divergence-base " + files.base.string(), "PPL = "), *reference);
    check_digits(tool(files.variant, "", "PPL = "), *quality);

    // The tool stores the reference in 16 bits, which shifts its KL divergence a little.
    const std::string compared = "--kl-divergence --kl-divergence-base " + files.base.string();
    CHECK_THAT(std::stod(tool(files.variant, compared, "Mean    KLD:")), WithinRel(quality->kld, 0.02));
    CHECK_THAT(std::stod(tool(files.variant, compared, "Same top p:")), WithinAbs(100 * quality->same_top, 0.3));
}

TEST_CASE("quality with other types of KV cache is the stock tool's with the same", "[runtime]")
{
    APREQEL_NEEDS_TOOL("llama-perplexity");
    const Files files;
    const QualitySettings settings{.context = 512, .chunks = 6};
    Monitor monitor;
    RunSettings run{.threads = 1, .cache = {.keys = "q8_0", .values = "q4_0"}};
    const auto usual = LoadedModel::load(demo_model(), run);
    run.cache_in_quality = true;
    const auto typed = LoadedModel::load(demo_model(), run);
    REQUIRE(usual);
    REQUIRE(typed);
    const auto tokens = usual->tokenize(files.content);
    REQUIRE(tokens);
    const auto logits = files.folder / "reference";
    REQUIRE(record_reference(*usual, *tokens, settings, logits, "id", monitor));
    const auto same = evaluate_quality(*usual, *tokens, settings, logits, "id", monitor);
    const auto quality = evaluate_quality(*typed, *tokens, settings, logits, "id", monitor);
    REQUIRE(same);
    REQUIRE(quality);
    CHECK(same->kld < 1e-9);
    CHECK(quality->kld > 1e-6);
    check_digits(
        tool_says(std::format("-m {} -f {} -c 512 --chunks 6 -ctk q8_0 -ctv q4_0", demo_model().string(), files.text.string()),
                  files.log, "PPL = "),
        *quality);
}

TEST_CASE("a model compared with itself has no KL divergence", "[runtime]")
{
    const TempDir folder;
    const auto model = LoadedModel::load(demo_model(), {});
    REQUIRE(model);
    const auto tokens = model->tokenize(random_text(200));
    const QualitySettings settings{.context = 64};
    Monitor monitor;
    const auto logits = folder / "reference";
    const auto reference = record_reference(*model, *tokens, settings, logits, "id", monitor);
    REQUIRE(reference);
    const auto again = evaluate_quality(*model, *tokens, settings, logits, "id", monitor);
    REQUIRE(again);
    CHECK(again->perplexity == reference->perplexity);
    CHECK(again->kld < 1e-9);
    CHECK(again->same_top == 1);
    REQUIRE(again->chunk_nll.size() == tokens->size() / 64);
    CHECK(again->chunk_kld.size() == std::min<std::size_t>(16, again->chunk_nll.size()));
    CHECK(reference->chunk_nll == again->chunk_nll);
    const double nll = std::accumulate(again->chunk_nll.begin(), again->chunk_nll.end(), 0.0);
    CHECK_THAT(std::exp(nll / static_cast<double>(again->tokens)), WithinRel(again->perplexity, 1e-12));
    const auto look = evaluate_quality(*model, *tokens, {.context = 64, .look = 2}, logits, "id", monitor);
    REQUIRE(look);
    CHECK(look->chunk_nll == std::vector(again->chunk_nll.begin(), again->chunk_nll.begin() + 2));
    CHECK(look->chunk_kld.size() == 2);
    CHECK(look->tokens == look->kld_tokens);
    const auto rest = evaluate_quality(*model, *tokens, {.context = 64, .skip = 2}, logits, "id", monitor);
    REQUIRE(rest);
    const Quality both = together(*look, *rest);
    CHECK(both.chunk_nll.size() == again->chunk_nll.size());
    CHECK_THAT(both.perplexity, WithinRel(again->perplexity, 1e-5));  // other chunks are run together
    CHECK_THAT(both.perplexity_error, WithinRel(again->perplexity_error, 1e-4));
    CHECK_THAT(both.kld, WithinAbs(again->kld, 1e-6));
    CHECK(!evaluate_quality(*model, *tokens, settings, logits, "other", monitor));
    std::filesystem::resize_file(logits, 5000);
    CHECK(!evaluate_quality(*model, *tokens, settings, logits, "id", monitor));
}

TEST_CASE("too little text is said before the model runs", "[runtime]")
{
    CHECK(!count_chunks(1023, {.context = 512}));
    CHECK(count_chunks(1024, {.context = 512}) == 2);
    CHECK(count_chunks(5200, {.context = 512}) == 10);
    CHECK(count_chunks(5200, {.context = 512, .chunks = 3}) == 3);
}

TEST_CASE("sampled texts are the same for the same seed, and others for another", "[runtime]")
{
    const auto model = LoadedModel::load(demo_model(), {});
    REQUIRE(model);
    Monitor monitor;
    const auto first = sample_texts(*model, {.sequences = 18, .tokens = 12, .seed = 5}, monitor);
    REQUIRE(first);
    CHECK(first->size() == 18);
    CHECK(*first == *sample_texts(*model, {.sequences = 18, .tokens = 12, .seed = 5}, monitor));
    CHECK(*first != *sample_texts(*model, {.sequences = 18, .tokens = 12, .seed = 6}, monitor));
    std::size_t letters = 0;
    for (const std::string& text : *first) {
        for (const char c : text) letters += std::isalpha(static_cast<unsigned char>(c)) != 0 ? 1 : 0;
    }
    CHECK(letters > 18 * 12);  // words, not noise
}

}  // namespace
}  // namespace apreqel
