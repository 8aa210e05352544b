#include "cli/command.h"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace apreqel {
namespace {

TEST_CASE("llama.cpp is told what was measured, and nothing that it does by itself", "[cli]")
{
    CHECK(llama_command("mixed.gguf", {}, 0) == "llama-cli -m mixed.gguf");
    CHECK(llama_command("mixed.gguf", {}, 8192) == "llama-server -m mixed.gguf -c 8192 -np 1");
    const std::vector<std::string> servers{"10.0.0.7:50052", "10.0.0.8:50052"};
    CHECK(llama_command("mixed.gguf", {.gpu_layers = 20}, 0, servers) ==
          "llama-cli -m mixed.gguf --rpc 10.0.0.7:50052,10.0.0.8:50052 -ngl 20");
    const RunSettings settings{.threads = 4,
                               .gpu_layers = 0,
                               .devices = {"CUDA0", "CUDA1"},
                               .split_mode = "row",
                               .offload_cache = false,
                               .overrides = {{"ffn_(up|down)_exps", "CPU"}, {"attn", "CUDA1"}},
                               .cache = {.keys = "q8_0", .values = "q4_0"}};
    CHECK(llama_command("it's here/mixed.gguf", settings, 0) ==
          "llama-cli -m 'it'\\''s here/mixed.gguf' -ctk q8_0 -ctv q4_0 -t 4 -ngl 0 -dev CUDA0,CUDA1 -sm row "
          "-ot 'ffn_(up|down)_exps=CPU,attn=CUDA1' -nkvo");
}

}  // namespace
}  // namespace apreqel
