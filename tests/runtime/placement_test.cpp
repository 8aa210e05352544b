#include "runtime/placement.h"

#include "runtime/runtime.h"
#include "runtime/session.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace apreqel {
namespace {

/// The error of settings that name something there is none of.
Error refusal(const RunSettings& settings)
{
    const auto checked = check_settings(settings);
    REQUIRE(!checked);
    CHECK(checked.error().code == ErrorCode::usage);
    return checked.error();
}

TEST_CASE("what there is none of is refused with what there is", "[runtime]")
{
    CHECK(check_settings({}));
    const Error device = refusal({.devices = {"CUDA77"}});
    CHECK(device.message.contains("CUDA77"));
    CHECK(device.hint.contains("none"));
    const Error buffer = refusal({.overrides = {{"exps", "CUDA77"}}});
    CHECK(buffer.message.contains("CUDA77"));
    CHECK(buffer.hint.contains("CPU"));
    CHECK(refusal({.overrides = {{"exps(", "CPU"}}}).message.contains("exps("));
    CHECK(refusal({.split_mode = "column"}).hint.contains("layer"));
    CHECK(refusal({.cache = {.keys = "q3_K"}}).hint.contains("q8_0"));
    CHECK(refusal({.cache = {.values = "q9"}}).message.contains("q9"));
    CHECK(refusal({.devices = {"CPU"}}).message.contains("CPU"));  // the processor is no accelerator, and always there
    CHECK(refusal({.devices = {"none", "none"}}).message.contains("none"));
}

TEST_CASE("a model runs where it is put", "[runtime]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    const RunSettings settings{.devices = {"none"},
                               .split_mode = "none",
                               .offload_cache = false,
                               .overrides = {{"ffn_.*", "CPU"}, {"blk\\.1\\.", "CPU"}}};
    const auto loaded = LoadedModel::load(model, settings);
    INFO((loaded ? "" : loaded.error().message));
    REQUIRE(loaded);
    const auto refused = LoadedModel::load(model, {.devices = {"CUDA77"}});
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::usage);
}

TEST_CASE("libllama is told what the settings say", "[runtime]")
{
    const auto placement = Placement::of({.devices = {"none"}, .split_mode = "row", .overrides = {{"exps", "CPU"}}});
    REQUIRE(placement);
    llama_model_params params = llama_model_default_params();
    (*placement)->apply(params);
    CHECK(params.split_mode == LLAMA_SPLIT_MODE_ROW);
    REQUIRE(params.devices != nullptr);
    CHECK(params.devices[0] == nullptr);
    REQUIRE(params.tensor_buft_overrides != nullptr);
    CHECK(params.tensor_buft_overrides[0].pattern == std::string_view("exps"));
    CHECK(params.tensor_buft_overrides[1].pattern == nullptr);
    llama_model_params untouched = llama_model_default_params();
    (*Placement::of({}))->apply(untouched);
    CHECK(untouched.devices == nullptr);
    CHECK(untouched.tensor_buft_overrides == nullptr);
    CHECK(untouched.split_mode == llama_model_default_params().split_mode);
}

TEST_CASE("settings that place a model otherwise are told apart", "[runtime]")
{
    const std::set<std::string> placed{offloading({}),
                                       offloading({.gpu_layers = 3}),
                                       offloading({.split_mode = "row"}),
                                       offloading({.offload_cache = false}),
                                       offloading({.overrides = {{"exps", "CPU"}}}),
                                       offloading({.overrides = {{"attn", "CPU"}}})};
    CHECK(placed.size() == 6);
    CHECK(accelerators({.devices = {"none"}}).empty());
    CHECK(offloading({.devices = {"none"}}) == "all");
}

}  // namespace
}  // namespace apreqel
