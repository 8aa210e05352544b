#include "model/provenance.h"

#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <gguf.h>
#include <catch2/catch_test_macros.hpp>

namespace apreqel {
namespace {

using Texts = std::vector<std::pair<const char*, const char*>>;

Provenance provenance_of(const TempDir& folder, const Texts& texts)
{
    const auto path = make_tiny_model(folder.path(), {.edit = [&](gguf_context* metadata) {
                                          gguf_set_val_u32(metadata, "general.base_model.count", 3);
                                          for (const auto& [key, value] : texts) gguf_set_val_str(metadata, key, value);
                                      }});
    return read_provenance(path).value();
}

TEST_CASE("where a model is from is read from its metadata, and only addresses of repositories are taken for some", "[model]")
{
    const TempDir folder;
    const Provenance found = provenance_of(folder, {{"general.license", "apache-2.0"},
                                                    {"general.repo_url", "https://huggingface.co/Some-Org/Tiny.1"},
                                                    {"general.base_model.0.repo_url", "https://huggingface.co/a/b/"},
                                                    {"general.base_model.1.repo_url", "https://huggingface.co/a/b\n---\nc"},
                                                    {"general.base_model.2.repo_url", "https://elsewhere.org/a/b"},
                                                    {"tokenizer.chat_template", "{{ messages }}"}});
    CHECK(found.name == "tiny model");
    CHECK(found.license == "apache-2.0");
    CHECK(found.repository == "Some-Org/Tiny.1");
    CHECK(found.base_repositories == std::vector<std::string>{"a/b"});
    CHECK(found.has_chat_template);
    CHECK_FALSE(provenance_of(folder, {}).has_chat_template);
    CHECK(provenance_of(folder, {{"general.repo_url", "https://huggingface.co/a/b/c"}}).repository.empty());
    CHECK(provenance_of(folder, {{"general.repo_url", "https://huggingface.co/a/"}}).repository.empty());
}

TEST_CASE("a file is called as the convention wants it, whatever the metadata say", "[model]")
{
    const auto stem = [](Provenance provenance, const char* path = "x.gguf") { return file_stem_of(provenance, path); };
    CHECK(stem({.name = "n", .basename = "SmolLM2", .finetune = "Instruct", .size_label = "135M"}) == "SmolLM2-135M-Instruct");
    CHECK(stem({.basename = "Smol", .version = "v1.1", .size_label = "1.7B"}) == "Smol-1.7B-v1.1");
    CHECK(stem({.name = "My model (new)"}) == "My-model-new");
    CHECK(stem({.name = "../../etc/passwd"}) == "etc-passwd");
    CHECK(stem({.name = "a\n\x1b[2Jb"}) == "a-2Jb");
    CHECK(stem({.name = std::string(300, 'a')}).size() == 100);
    CHECK(stem({}, "some/model-BF16.gguf") == "model");
    CHECK(stem({.name = "模型"}, "m.f16.gguf") == "m");
    CHECK(stem({}, "模型.gguf") == "model");
    CHECK(stem({}, "f16.gguf") == "f16");
}

}  // namespace
}  // namespace apreqel
