// A model's header facts, which make a file that is timed as the model is.
#include "model/model_shape.h"

#include "quantize/palette.h"
#include "quantize/shape.h"
#include "records/format.h"
#include "runtime/runtime.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <gguf.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

namespace apreqel {
namespace {

struct Fixture {
    explicit Fixture(const TinyModelOptions& options = {})
        : inventory(read_inventory(make_tiny_model(folder.path(), options)).value()), shape(shape_of(inventory).value())
    {
    }

    [[nodiscard]] ShapeEntry* find(std::string_view key)
    {
        const auto entry = std::ranges::find(shape.metadata, key, &ShapeEntry::key);
        return entry == shape.metadata.end() ? nullptr : &*entry;
    }

    [[nodiscard]] Result<Inventory> open() const
    {
        return open_shape(parse_shape(to_json(shape)).value(), "shape.json", folder / "opened.gguf");
    }

    TempDir folder;
    Inventory inventory;
    ModelShape shape;
};

TEST_CASE("a shape keeps what a model's graph depends on, and of its vocabulary the size", "[model]")
{
    Fixture model({.vocabulary = 320, .edit = [](gguf_context* file) {
                       gguf_set_val_str(file, "general.description", "long and for people");
                       gguf_set_val_str(file, "vendor.note", "for people too");
                       gguf_set_val_f32(file, "xielu.eps", 0.1F);
                       gguf_set_val_bool(file, "llama.flag", true);
                       gguf_set_val_i32(file, "llama.below", -7);
                       const std::array<float, 2> factors{0.5F, 1e-9F};
                       gguf_set_arr_data(file, "llama.factors", GGUF_TYPE_FLOAT32, factors.data(), factors.size());
                   }});
    CHECK(model.find("general.description") == nullptr);
    CHECK(model.find("vendor.note") == nullptr);
    CHECK(model.find("tokenizer.ggml.tokens") == nullptr);
    CHECK(model.find("tokenizer.ggml.model")->texts == std::vector<std::string>{"no_vocab"});
    CHECK(model.find("llama.vocab_size")->numbers == std::vector<double>{320});
    CHECK(model.find("general.architecture")->texts == std::vector<std::string>{"llama"});
    CHECK(model.find("xielu.eps")->numbers == std::vector<double>{static_cast<double>(0.1F)});
    CHECK(model.find("llama.flag")->type == "bool");
    CHECK(model.find("llama.below")->numbers == std::vector<double>{-7});
    CHECK(model.find("llama.factors")->array);
    const auto opened = model.open();
    REQUIRE(opened);
    const ModelShape again = shape_of(*opened).value();
    CHECK(to_json(again) == to_json(model.shape));  // the fingerprint among it
    CHECK(to_json(model.shape).contains("320"));
    CHECK(!to_json(model.shape).contains("320.0"));
}

TEST_CASE("an opened shape is the model's inventory without its weights", "[model]")
{
    const std::string architecture = GENERATE("llama", "qwen3moe", "gemma2", "phi3", "mamba");
    CAPTURE(architecture);
    const Fixture model({.architecture = architecture});
    const auto opened = model.open();
    REQUIRE(opened);
    CHECK(opened->fingerprint == model.inventory.fingerprint);
    CHECK(opened->name == model.inventory.name);
    CHECK(opened->experts == model.inventory.experts);
    CHECK(opened->kv_bytes_per_token == model.inventory.kv_bytes_per_token);
    CHECK(std::ranges::equal(opened->tensors, model.inventory.tensors, {}, &Tensor::name, &Tensor::name));
    CHECK(std::ranges::equal(opened->tensors, model.inventory.tensors, {}, &Tensor::shape, &Tensor::shape));
    CHECK(std::ranges::equal(opened->tensors, model.inventory.tensors, {}, &Tensor::place, &Tensor::place));
    CHECK(std::ranges::equal(opened->layers, model.inventory.layers, {}, &Group::name, &Group::name));
    CHECK(std::ranges::contains(fitting_types(*opened), *parse_type("iq2_xxs"), &Variant::type));
}

TEST_CASE("libllama runs what is made of a shape, with the logits' matrix in its size", "[model]")
{
    const Fixture model({.architecture = GENERATE("llama", "qwen3moe"), .vocabulary = 1000});
    const auto opened = model.open();
    REQUIRE(opened);
    TypeAssignment assignment = assign_types(*opened, *parse_type("q4_0"), *parse_type("q8_0"));
    const std::filesystem::path path = model.folder / "q4_0.gguf";
    REQUIRE(write_shape(*opened, {.path = path, .types = assignment.types, .notes = {}, .origins = assignment.origins}));
    Monitor monitor;
    const auto speeds = llama_runtime()->measure_speed(std::span(&path, 1), {}, {.threads = 1},
                                                       {.repetitions = 1, .generated = 4, .prompt = 8}, monitor);
    REQUIRE(speeds);
    CHECK(speeds->front().latency_ms.median > 0);
}

TEST_CASE("what is no shape of a model is refused, and named", "[model]")
{
    const auto check = [](const std::function<void(Fixture&)>& change, const std::string& cause) {
        Fixture model;
        change(model);
        const auto opened = model.open();
        REQUIRE(!opened);
        CHECK(opened.error().message.starts_with("read shape.json: no shape of a model: "));
        CAPTURE(opened.error().message);
        CHECK(opened.error().message.contains(cause));
    };
    check([](Fixture& m) { m.shape.tensors.front().shape = {1ULL << 40, 1ULL << 40}; }, "has an impossible shape");
    check([](Fixture& m) { m.shape.tensors.front().shape = {1, 1, 1, 1, 1}; }, "5 dimensions");
    check([](Fixture& m) { m.shape.tensors.front() = {"token_embd.weight", "q8_0", {31, 4}}; }, "not a multiple of 32");
    check([](Fixture& m) { m.shape.tensors.front().type = "q9"; }, "q9: no such type");
    check([](Fixture& m) { m.shape.tensors.push_back(m.shape.tensors.front()); }, "two tensors");
    check([](Fixture& m) { m.shape.tensors.clear(); }, "");
    check([](Fixture& m) { m.find("llama.block_count")->type = "u99"; }, "which is none of numbers");
    check([](Fixture& m) { m.find("llama.block_count")->numbers = {-1}; }, "has a number that is no u32");
    check([](Fixture& m) { m.find("llama.block_count")->numbers = {1.5}; }, "has a number that is no u32");
    check([](Fixture& m) { m.find("llama.block_count")->numbers = {}; }, "is not one number");
    check([](Fixture& m) { m.find("general.architecture")->texts = {}; }, "is not one text");
    check([](Fixture& m) { m.shape.metadata.push_back({.key = "general.alignment", .type = "u32", .numbers = {3}}); },
          "not a power of two");
}

}  // namespace
}  // namespace apreqel
