// What accelerators must do, on the one that any processor can be: Vulkan on lavapipe, Mesa's software driver. `make vulkan` runs this
// where both are installed.
#include "base/file.h"
#include "records/format.h"
#include "runtime/products.h"
#include "runtime/quality.h"
#include "support/places.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <cstdlib>
#include <filesystem>
#include <format>
#include <string>
#include <vector>

namespace apreqel {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::WithinRel;

constexpr const char* kDevice = "Vulkan0";

#define APREQEL_NEEDS_VULKAN() \
    start_backend();           \
    if (ggml_backend_dev_by_name(kDevice) == nullptr) SKIP("there is no Vulkan device")

std::string some_words()
{
    std::string words;
    for (int i = 0; i < 800; ++i) words += std::format("word {} ", i * i);
    return words;
}

TEST_CASE("products on Vulkan are right in every type that is chosen from", "[.][vulkan]")
{
    APREQEL_NEEDS_VULKAN();
    std::vector<RowFormat> formats;
    for (const char* name :
         {"q3_K", "q4_K", "q5_K", "q6_K", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "iq4_xs", "mxfp4"})
        formats.push_back({parse_type(name).value(), 256});
    const auto wrong = find_wrong_types({.devices = {kDevice}}, formats);
    REQUIRE(wrong);
    for (const WrongType& type : *wrong) FAIL_CHECK(type_name(type.type) << ": " << type.fault);
}

TEST_CASE("a model expects on Vulkan what it expects on the processor", "[.][vulkan]")
{
    APREQEL_NEEDS_VULKAN();
    TempDir folder;
    const auto path = make_tiny_model(folder.path(), {.file = "m.gguf"});
    const auto here = LoadedModel::load(path, {.threads = 1, .devices = {std::string(kNoDevice)}});
    const auto there = LoadedModel::load(path, {.threads = 1, .devices = {kDevice}});
    REQUIRE(here);
    REQUIRE(there);
    const auto tokens = here->tokenize(some_words());
    REQUIRE(tokens);
    Monitor monitor;
    const QualitySettings settings{.context = 64, .chunks = 4};
    const auto expected = record_reference(*here, *tokens, settings, folder / "expected", "id", monitor);
    const auto found = evaluate_quality(*there, *tokens, settings, folder / "expected", "id", monitor);
    REQUIRE(expected);
    REQUIRE(found);
    CHECK_THAT(found->perplexity, WithinRel(expected->perplexity, 1e-3));
    CHECK(found->kld < 1e-4);
}

TEST_CASE("layers on Vulkan are those that libllama puts there", "[.][vulkan]")
{
    APREQEL_NEEDS_VULKAN();
    TempDir folder;
    for (const bool tied : {false, true})
        compare_places(make_tiny_model(folder.path(), {.blocks = 4, .tied = tied, .file = "m.gguf"}),
                       {.threads = 1, .devices = {kDevice}});
}

TEST_CASE("with a limit for each place it is chosen what is on Vulkan", "[.][vulkan-run]")
{
    APREQEL_NEEDS_VULKAN();
    TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.blocks = 4, .file = "m.gguf"});
    REQUIRE(write_text(folder / "text.txt", some_words()));
    constexpr std::uint64_t kGpu = 8 << 20;
    constexpr std::uint64_t kMain = 1 << 20;  // too little for any mix
    const std::string command = std::format(
        "{} run {} -o {} --max-memory gpu={},cpu={} --text {} --calibration {} --types q4_0,q8_0 --imatrix none "
        "--rounding nearest --context 64 --kv-context 64 -r 1 --generate 4 --threads 1 >{} 2>&1",
        APREQEL_PROGRAM, model.string(), (folder / "mixed.gguf").string(), kGpu, kMain, (folder / "text.txt").string(),
        (folder / "text.txt").string(), (folder / "out").string());
    const int status = std::system(command.c_str());
    INFO(read_text(folder / "out").value());
    REQUIRE(status == 0);
    const auto result = read_run(model.string() + ".apreqel/run.json");
    REQUIRE(result);
    REQUIRE(result->mix.placed);
    REQUIRE(result->plan.gpu_layers);
    CHECK(*result->plan.gpu_layers > 0);
    const ContextMemory& context = result->plan.request.limits.context;
    CHECK(context.gpu_buffer_bytes > 0);
    CHECK(result->mix.placed->gpu_bytes + context.gpu_bytes() <= kGpu);
    CHECK(result->mix.placed->main_bytes + context.bytes() - context.gpu_bytes() <= kMain);
    CHECK(result->device.contains(ggml_backend_dev_description(ggml_backend_dev_by_name(kDevice))));
}

}  // namespace
}  // namespace apreqel
