// Files that have a model's shape and none of its weights.
#include "quantize/shape.h"

#include "base/file.h"
#include "runtime/runtime.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <sys/stat.h>

#include <algorithm>

namespace apreqel {
namespace {

struct Shape {
    TempDir folder;
    Inventory inventory;
    ModelSpec spec{folder / "shape.gguf", {}, {}};

    explicit Shape(const TinyModelOptions& options) : inventory(read_inventory(make_tiny_model(folder.path(), options)).value())
    {
        spec.types = assign_types(inventory, type("q4_0"), type("q8_0")).types;
        REQUIRE(write_shape(inventory, spec));
    }

    [[nodiscard]] std::uint64_t bytes_on_disk() const
    {
        struct stat status{};
        REQUIRE(stat(spec.path.c_str(), &status) == 0);
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
};

TEST_CASE("a shape has the header and the size of the file it stands for, takes no room, and runs", "[quantize]")
{
    const Shape shape({.width = 512, .ffn = 4096, .vocabulary = 320});
    Monitor monitor;
    const ModelSpec real{shape.folder / "real.gguf", shape.spec.types, {}};
    REQUIRE(write_models(shape.inventory, std::span(&real, 1), {}, 1, monitor));
    const auto made = read_inventory(shape.spec.path).value();
    const auto meant = read_inventory(real.path).value();
    CHECK(std::filesystem::file_size(shape.spec.path) == std::filesystem::file_size(real.path));
    CHECK(std::ranges::equal(made.tensors, meant.tensors, {}, &Tensor::type, &Tensor::type));
    CHECK(std::ranges::equal(made.tensors, meant.tensors, {}, &Tensor::offset, &Tensor::offset));
    CHECK(shape.bytes_on_disk() < std::filesystem::file_size(real.path) / 20);
    const std::filesystem::path path = shape.spec.path;
    const auto speeds = llama_runtime()->measure_speed(std::span(&path, 1), {}, {.threads = 1},
                                                       {.repetitions = 1, .generated = 4, .prompt = 8}, monitor);
    REQUIRE(speeds);
    CHECK(speeds->front().latency_ms.median > 0);
}

TEST_CASE("the experts of a shape are chosen as in a model: by random routers, from embeddings that differ", "[quantize]")
{
    const Shape shape({.architecture = "qwen3moe"});
    const std::string bytes = slurp(shape.spec.path);
    for (const Tensor& tensor : read_inventory(shape.spec.path)->tensors) {
        const std::string_view stored = std::string_view(bytes).substr(tensor.offset, tensor.size_bytes);
        const bool zero = std::ranges::all_of(stored, [](char byte) { return byte == 0; });
        CAPTURE(tensor.name);
        CHECK(zero == (tensor.place != TensorPlace::fixed && tensor.role != "token_embd"));
        if (tensor.role != "ffn_gate_inp") continue;
        const std::string_view row = stored.substr(0, stored.size() / 4);
        CHECK(row != stored.substr(row.size(), row.size()));
    }
}

TEST_CASE("a shape that cannot be is refused before anything is written", "[quantize]")
{
    Shape shape({.width = 224});
    shape.spec.path = shape.folder / "other.gguf";
    std::ranges::fill(shape.spec.types, type("q4_K"));
    CHECK(!write_shape(shape.inventory, shape.spec));
    CHECK(!std::filesystem::exists(shape.spec.path));
}

}  // namespace
}  // namespace apreqel
