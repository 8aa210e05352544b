// Second moments of what weights are multiplied with, against the importance matrix, which is their diagonal.
#include "runtime/moments.h"

#include "runtime/importance.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <format>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;

TEST_CASE("the diagonal of the second moments is the importance matrix", "[runtime]")
{
    const std::string architecture = GENERATE("llama", "gemma2", "falcon", "qwen3moe");
    CAPTURE(architecture);
    const TempDir folder;
    const auto path = make_tiny_model(folder.path(), {.architecture = architecture});
    const auto inventory = read_inventory(path);
    const auto model = LoadedModel::load(path, {.threads = 1});
    REQUIRE(inventory);
    REQUIRE(model);
    std::string text;
    for (int i = 0; i < 200; ++i) text += std::format("word {} ", i * i);
    const auto tokens = model->tokenize(text);
    REQUIRE(tokens);
    const ImportanceSettings settings{.context = 64, .chunks = 3};
    Monitor quiet;
    const auto importance = collect_importance(*model, *inventory, *tokens, settings, quiet);
    REQUIRE(importance);
    const auto inputs = find_shared_inputs(*model, *inventory, quiet);
    REQUIRE(inputs);
    ImportanceMatrix together;
    const auto moments = collect_moments(*model, *inventory, *inputs, *tokens, settings, "", &together, quiet);
    REQUIRE(moments);
    REQUIRE(together.tensors.size() == importance->tensors.size());
    for (std::size_t i = 0; i < together.tensors.size(); ++i) {
        CHECK(together.tensors[i].tensor == importance->tensors[i].tensor);
        CHECK(together.tensors[i].squares == importance->tensors[i].squares);
        CHECK(together.tensors[i].inputs == importance->tensors[i].inputs);
    }
    REQUIRE(moments->size() == inputs->size());

    std::size_t covered = 0;
    for (std::size_t i = 0; i < inputs->size(); ++i) {
        for (const std::size_t t : (*inputs)[i]) {
            const Tensor& tensor = inventory->tensors[t];
            INFO(tensor.name);
            ++covered;
            const auto sums = std::ranges::find(importance->tensors, tensor.name, &InputSums::tensor);
            REQUIRE(sums != importance->tensors.end());
            const float* next = (*moments)[i].data();
            for (const Span& span : spans_of(tensor.columns())) {
                for (std::int64_t c = 0; c < span.width; ++c)
                    CHECK_THAT(double{next[c * span.width + c]},
                               WithinRel(sums->squares[static_cast<std::size_t>(span.begin + c)], 1e-3));
                next += span.width * span.width;
            }
        }
    }
    const auto matrices = std::ranges::count_if(importance->tensors, [](const InputSums& s) { return s.inputs.size() == 1; });
    CHECK(covered == static_cast<std::size_t>(matrices));
    if (architecture == "llama")
        CHECK(inputs->size() == 4 * inventory->blocks);  // attn_qkv, attn_output, ffn_gate+up, ffn_down
    CHECK_FALSE(collect_moments(*model, *inventory, *inputs, std::span(*tokens).first(63), settings, "", nullptr, quiet));
}

}  // namespace
}  // namespace apreqel
