#include "report/card.h"

#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

Card demo_card()
{
    return {.file = "Demo-APQ-4.5bpw.gguf",
            .model = "Demo",
            .architecture = "llama",
            .repository = "org/demo",
            .base_models = {"org/base"},
            .license = "Apache-2.0",
            .license_name = "",
            .license_link = "",
            .languages = {"en", "no language"},
            .parameters = 7340000,
            .file_bytes = 4415226,
            .bits_per_weight = 4.534,
            .importance = "",
            .embedding_type = "q6_K",
            .allocation = {{"blk.0.attn", "q4_K"}, {"blk.0.ffn", "q8_0"}, {"blk.1.attn", "q4_K"}, {"blk.1.ffn", "q4_K"}},
            .fallbacks = {},
            .measured = {},
            .version = "apreqel 0.1.0",
            .command = {"apreqel", "quantize", "my model.gguf", "-o", "it's"},
            .has_chat_template = true,
            .modelfile = ""};
}

TEST_CASE("a card says what the file is, what each layer is stored as, and how to use it", "[card]")
{
    CHECK(format_card(demo_card()) == R"(---
base_model:
  - "org/demo"
base_model_relation: quantized
license: "apache-2.0"
language:
  - "en"
pipeline_tag: text-generation
quantized_by: apreqel
tags:
  - "gguf"
  - "mixed-precision"
  - "apreqel"
  - "conversational"
---

# Demo, 4.53 bits per weight

`Demo-APQ-4.5bpw.gguf` is Demo (llama, 7.34 M weights) as a GGUF of 4.21 MiB, in which every layer has a quantization type of its own. It runs in stock llama.cpp and in what is built on it. Made by apreqel 0.1.0.

## Types

| tensors | type by block |
|---|---|
| attn | 0–1: q4\_K |
| ffn | 0: q8\_0; 1: q4\_K |
| embedding and output | q6\_K |

## Use

```sh
llama-cli -m Demo-APQ-4.5bpw.gguf
llama-server -m Demo-APQ-4.5bpw.gguf
```

## How it was made

```sh
apreqel quantize 'my model.gguf' -o 'it'\''s'
```
)");
}

TEST_CASE(
    "a card has what was measured, the file first among equals, and what it was made from where its own origin is not known",
    "[card]")
{
    Card card = demo_card();
    card.repository.clear();
    card.importance = "i.gguf covers 3 of 4";
    card.modelfile = "Modelfile";
    card.fallbacks = {{"blk.0.ffn", "blk.0.ffn_down.weight", "q3_K", "q4_0", 576},
                      {"", "token_embd.weight", "q6_K", "q8_0", 576}};
    Measurement mix{.name = "mix.gguf", .memory_bytes = 4 << 20, .bits_per_weight = 4.5, .quality = {}, .speed = {}};
    mix.quality = {.perplexity = 21.5,
                   .perplexity_error = 0.5,
                   .kld = 0.01,
                   .kld_error = 0.001,
                   .same_top = 0.9,
                   .tokens = 99,
                   .kld_tokens = 99};
    mix.speed.latency_ms = {.median = 2, .low = 1, .high = 3, .confidence = 0.979, .samples = {1, 2, 3}};
    Measurement other = mix;
    other.name = "full precision";
    card.measured = CardMeasurements{{mix, other}, "mix.gguf", "a board (2 threads)", "novel.txt", "nothing was better"};
    const std::string text = format_card(card);
    INFO(text);
    CHECK(text.contains("base_model:\n  - \"org/base\"\nlicense"));
    CHECK_FALSE(text.contains("base_model_relation"));
    CHECK(text.contains("  - \"imatrix\"\n"));
    CHECK(text.contains("In one session on a board (2 threads). Text: novel.txt.\n"));
    CHECK(text.contains(
        R"(| **mix.gguf** | 4.00 MiB | 4.50 | 2.000 \[1.000, 3.000\] 97.9 % | 500.0 | — | 21.5000 ± 0.5000 | 0.01000 ± 0.00100 | 90.00 % |)"));
    CHECK(text.contains("| full precision |"));
    CHECK(text.contains("Chosen: nothing was better.\n"));
    CHECK(text.contains("`+imatrix`: with the importance matrix i.gguf covers 3 of 4.\n"));
    CHECK(text.contains(
        "- ffn\\_down cannot be q3\\_K (rows of 576): q4\\_0\n- token\\_embd cannot be q6\\_K (rows of 576): q8\\_0\n"));
    CHECK(text.contains("ollama create Demo-APQ-4.5bpw -f Modelfile\n"));
    card.cache = CacheChoice{.types = {.keys = "q8_0", .values = "f16"}, .bytes = 99};
    card.context = 8192;
    CHECK(format_card(card).contains(" -c 8192 -ctk q8_0 -ctv f16 -np 1\n"));
}

TEST_CASE("no text of somebody else's is markup, YAML or a command in a card", "[card]")
{
    Card card = demo_card();
    const std::string evil = "x\"\n---\n# <script>`a`|[l](http://e.org) www.e.org \\ ${HOME}\n```\x1b[2J";
    card.model = card.architecture = card.version = card.importance = card.license_name = card.file = card.modelfile = evil;
    card.license = evil;
    card.languages = {evil};
    card.repository = evil;
    card.command = {"apreqel", evil};
    card.measured = CardMeasurements{{}, evil, evil, evil, evil};
    const std::string text = format_card(card);
    INFO(text);
    CHECK_FALSE(text.contains('\x1b'));
    CHECK_FALSE(text.contains("\n# <"));
    CHECK_FALSE(text.contains("license:"));
    CHECK_FALSE(text.contains("language:"));
    CHECK(text.contains("  - \"x\\\"\uFFFD---\uFFFD# <script>"));
    CHECK(text.contains("# x\"\uFFFD---\uFFFD\\# \\<script\\>\\`a\\`\\|\\[l\\](http\\://e.org) www\\.e.org"));
    // Two lines of --- and two fences for each of the two blocks: none came from it.
    const auto lines = [&](const std::string& line) {
        std::size_t count = 0;
        for (std::size_t at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) ++count;
        return count;
    };
    CHECK(lines("\n---\n") == 1);  // and the first line
    CHECK(lines("\n```") == 4);
}

TEST_CASE("a Modelfile names the file as seen from it, and completes text where there is no chat template", "[card]")
{
    CHECK(format_modelfile("m.gguf", true) == "FROM ./m.gguf\n");
    CHECK(
        format_modelfile("../my models/m.gguf", false) ==
        "FROM ../my models/m.gguf\n# The model has no chat template: it completes text.\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n");
    CHECK(format_modelfile("a\nFROM b.gguf", true).error().message ==
          "write the Modelfile: a\\nFROM b.gguf: a Modelfile cannot name such a file");
    CHECK(!format_modelfile("a\".gguf", true));
    CHECK(!format_modelfile("a.gguf ", true));
}

}  // namespace
}  // namespace apreqel
