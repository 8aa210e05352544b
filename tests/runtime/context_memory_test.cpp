// What libllama says a context takes, beside the tensors that it then computes with.
#include "runtime/context_memory.h"

#include "model/model_shape.h"
#include "runtime/context.h"
#include "support/architectures.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <ggml.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <fstream>
#include <map>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;

constexpr double kRounding = 0.005 * (1 << 20);

/// Bytes of every tensor of a cache that a graph reads or writes, by name.
using Caches = std::map<std::string, std::uint64_t>;

bool see(ggml_tensor* node, bool /*ask*/, void* caches)
{
    for (ggml_tensor* tensor : {node, node->src[0], node->src[1], node->src[2]}) {
        while (tensor != nullptr && tensor->view_src != nullptr) tensor = tensor->view_src;
        const std::string name = tensor == nullptr ? "" : tensor->name;
        if (name.starts_with("cache_") && !name.contains(' '))  // "cache_k_l0 (copy)" is one in a buffer
            (*static_cast<Caches*>(caches))[name] = ggml_nbytes(tensor);
    }
    return false;
}

struct Real {
    std::uint64_t cache_bytes = 0;
    std::size_t caches = 0;
    std::uint64_t buffer_bytes = 0;
};

/// A context with all its memory, in which a token is computed.
Real real_context(const std::filesystem::path& path, const RunSettings& settings, std::uint32_t tokens)
{
    const auto model = LoadedModel::load(path, settings);
    REQUIRE(model);
    auto params = context_params(*model, settings.cache);
    REQUIRE(params);
    Caches caches;
    params->n_ctx = tokens;
    params->swa_full = false;
    params->n_outputs_max = 1;
    params->cb_eval = see;
    params->cb_eval_user_data = &caches;
    Monitor monitor;
    std::vector<std::string> said;
    const auto context = make_context(*model, *params, monitor, &said);
    REQUIRE(context);
    Batch batch(1);
    batch.add(1, 0, 0, true);
    REQUIRE(batch.decode(*model, context->get()));
    Real real{.caches = caches.size(), .buffer_bytes = reported_memory(said).buffer_bytes};
    for (const auto& [name, bytes] : caches) real.cache_bytes += bytes;
    return real;
}

TEST_CASE("a KV cache takes the bytes that libllama then has tensors of, in every type", "[runtime]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.heads = 4, .kv_heads = 2});
    Monitor monitor;
    const auto& [k, v] = GENERATE(std::pair("f16", "f16"), std::pair("q8_0", "q4_0"), std::pair("f32", "iq4_nl"));
    const RunSettings settings{.threads = 1, .cache = {.keys = k, .values = v}};
    const auto memory = context_memory(model, settings, 8192, monitor);
    INFO((memory ? "" : memory.error().message));
    REQUIRE(memory);
    const Real real = real_context(model, settings, 8192);
    CHECK(memory->cache_bytes == real.cache_bytes);
    CHECK(memory->buffer_bytes == real.buffer_bytes);
    CHECK(real.caches == 4);  // keys and values of two blocks
    CHECK(memory->tokens == 8192);
    CHECK(memory->cache_type_k == k);
    CHECK(memory->cache_type_v == v);
}

TEST_CASE("windows, latents and recurrent states take what libllama then has tensors of", "[runtime]")
{
    const auto kinds = {"llama", "gemma3", "gpt-oss", "mamba", "jamba", "lfm2", "deepseek2", "deci", "qwen35"};
    const std::string kind = GENERATE_COPY(from_range(std::vector<std::string>(kinds.begin(), kinds.end())));
    INFO(kind);
    const TempDir folder;
    const auto model = make_architecture(folder.path(), *std::ranges::find(architectures(), kind, &Architecture::name));
    Monitor monitor;
    const RunSettings settings{.threads = 1};
    const auto memory = context_memory(model, settings, 8192, monitor);
    INFO((memory ? "" : memory.error().message));
    REQUIRE(memory);
    const Real real = real_context(model, settings, 8192);
    CHECK(real.cache_bytes > 0);
    // K and V, or R and S, of two memories at most, each to a hundredth of a MiB.
    CHECK_THAT(static_cast<double>(memory->cache_bytes), WithinAbs(static_cast<double>(real.cache_bytes), 4 * kRounding));
    CHECK(memory->buffer_bytes == real.buffer_bytes);
}

TEST_CASE("buffers are those that llama-cli takes", "[runtime][slow]")
{
    APREQEL_NEEDS_TOOL("llama-cli");
    const TempDir folder;
    const auto log = folder / "log";
    REQUIRE(std::system(std::format("llama-cli -m {} -c 2048 -t 1 --device none -p hi -n 1 -st -lv 5 >{} 2>&1 </dev/null",
                                    demo_model().string(), log.string())
                            .c_str()) == 0);
    std::vector<std::string> lines;
    std::ifstream file(log);
    for (std::string line; std::getline(file, line);)
        if (const auto at = line.find(": "); at != std::string::npos && line.contains(" buffer size = "))
            lines.push_back(line.substr(at + 2));
    REQUIRE(!lines.empty());
    Monitor monitor;
    const auto memory = context_memory(demo_model(), {.threads = 1, .devices = {std::string(kNoDevice)}}, 2048, monitor);
    REQUIRE(memory);
    CHECK(memory->buffer_bytes == reported_memory(lines).buffer_bytes);
}

TEST_CASE("a shape takes what its model takes, and no tokens take nothing", "[runtime]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    const auto shape = shape_of(read_inventory(model).value());
    REQUIRE(shape);
    REQUIRE(open_shape(*shape, "shape.json", folder / "shape.gguf"));
    Monitor monitor;
    CHECK(*context_memory(folder / "shape.gguf", {}, 4096, monitor) == *context_memory(model, {}, 4096, monitor));
    CHECK(*context_memory(folder / "is not there", {}, 0, monitor) == ContextMemory{});
    CHECK(!context_memory(folder / "is not there", {}, 1, monitor));
}

TEST_CASE("no memory is taken to tell what a context takes", "[runtime]")
{
    const TempDir folder;
    Monitor monitor;
    const auto memory = context_memory(make_tiny_model(folder.path(), {.blocks = 64}), {}, 1 << 20, monitor);
    REQUIRE(memory);
    CHECK(memory->cache_bytes == std::uint64_t{64 * 512} << 20);  // 32 GiB
}

TEST_CASE("a type whose blocks do not fit the heads is refused by libllama's reason", "[runtime]")
{
    const TempDir folder;
    Monitor monitor;
    const auto model = make_tiny_model(folder.path(), {.width = 224, .heads = 4});  // heads of 56
    const auto memory = context_memory(model, {.cache = {.keys = "q8_0"}}, 512, monitor);
    REQUIRE(!memory);
    CHECK(memory.error().message.contains("q8_0"));
}

TEST_CASE("what libllama reports is added up, a buffer that is made again once", "[runtime]")
{
    const std::vector<std::string> lines{
        "       CPU  output buffer size =     0.50 MiB",
        "       CPU KV buffer size =     0.00 MiB",
        "creating non-SWA KV cache, size = 8192 cells",
        "size =   16.01 MiB (  8192 cells,   2 layers,  1/1 seqs), K (f16):    8.00 MiB, V (f16):    8.00 MiB",
        "size =    0.03 MiB (     1 cells,   3 layers,  1 seqs  0 rs_seq), R (f32):    0.01 MiB, S (f32):    0.02 MiB",
        "       CPU compute buffer size =    90.25 MiB",
        "       CPU compute buffer size =    40.25 MiB",
        "     CUDA0 compute buffer size =    10.00 MiB",
        "size = nothing MiB"};
    const ContextMemory memory = reported_memory(lines);
    CHECK(memory.cache_bytes == (std::uint64_t{16} << 20) + 31457);  // 0.03 MiB
    CHECK(memory.buffer_bytes == static_cast<std::uint64_t>(50.75 * (1 << 20)));
    CHECK(memory.gpu_buffer_bytes == 0);
    const std::vector<std::string> accelerators{"CUDA0", "RPC0[127.0.0.1:50052]"};
    CHECK(reported_memory(lines, accelerators).gpu_buffer_bytes == std::uint64_t{10} << 20);
    const std::vector<std::string> remote{"RPC0[127.0.0.1:50052] compute buffer size =     2.00 MiB"};
    CHECK(reported_memory(remote, accelerators).gpu_buffer_bytes == std::uint64_t{2} << 20);
    CHECK(reported_memory({}) == ContextMemory{});
}

}  // namespace
}  // namespace apreqel
