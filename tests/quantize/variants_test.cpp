// The files written, against llama-quantize and against each other.
#include "gguf/container.h"
#include "quantize/write_models.h"

#include "base/file.h"
#include "runtime/importance.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <gguf.h>
#include <llama.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <map>

using namespace apreqel;

namespace {

Inventory inventory_of(const std::filesystem::path& path)
{
    auto inventory = read_inventory(path);
    INFO((inventory ? "" : inventory.error().message));
    REQUIRE(inventory);
    return *inventory;
}

void write(const Inventory& inventory, const std::vector<ModelSpec>& specs, const std::vector<DonorFile>& donors = {},
           unsigned threads = 2)
{
    Monitor monitor;
    const auto written = write_models(inventory, specs, donors, threads, monitor);
    INFO((written ? "" : written.error().message));
    REQUIRE(written);
}

/// What llama-quantize calls a file made of one type.
std::string file_type(const std::string& name)
{
    const std::map<std::string, std::string> names{{"q3_K", "Q3_K_S"}, {"q4_K", "Q4_K_S"}, {"q5_K", "Q5_K_S"}};
    const auto found = names.find(name);
    return found == names.end() ? name : found->second;
}

/// With --pure the embedding and output take the type too.
bool llama_quantize(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& name,
                    const std::string& more = "")
{
    return run_tool("llama-quantize --pure " + more + " " + from.string() + " " + to.string() + " " + file_type(name) + " 2");
}

std::string fixed_embedding(const std::string& name)
{
    return "--token-embedding-type " + name + " --output-tensor-type " + name;
}

/// The keys of `theirs` that `ours` does not have with the same value.
std::vector<std::string> differing_metadata(const std::filesystem::path& ours, const std::filesystem::path& theirs)
{
    const auto our = Container::read(InputFile::open(ours).value()).value();
    const auto their = Container::read(InputFile::open(theirs).value()).value();
    std::vector<std::string> keys;
    for (const MetadataEntry& entry : their.metadata())
        if (our.find(entry.key) == nullptr || our.encoded(*our.find(entry.key)) != their.encoded(entry))
            keys.push_back(entry.key);
    return keys;
}

}  // namespace

TEST_CASE("uniform variants hold the very bytes llama-quantize --pure writes", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const std::string architecture = GENERATE("llama", "phi3", "qwen3", "gemma2", "qwen3moe", "falcon", "mamba", "demo");
    CAPTURE(architecture);
    const TempDir folder;
    const auto model = architecture == "demo" ? demo_model() : make_tiny_model(folder.path(), {.architecture = architecture});
    const Inventory inventory = inventory_of(model);
    const std::vector<std::string> types{"q3_K", "q4_K", "q5_K", "q6_K", "q8_0"};
    std::vector<ModelSpec> specs;
    for (const std::string& name : types) specs.push_back(uniform(inventory, folder / (name + ".gguf"), name));
    write(inventory, specs);
    for (const std::string& name : types) {
        CAPTURE(name);
        REQUIRE(llama_quantize(model, folder / "theirs.gguf", name, fixed_embedding(name)));
        CHECK(different_tensor(folder / (name + ".gguf"), folder / "theirs.gguf").empty());
        CHECK(differing_metadata(folder / (name + ".gguf"), folder / "theirs.gguf").empty());
        const auto ours = Container::read(InputFile::open(folder / (name + ".gguf")).value()).value();
        const auto theirs = Container::read(InputFile::open(folder / "theirs.gguf").value()).value();
        CHECK(ours.metadata().size() == theirs.metadata().size() + 2);  // apreqel.source, apreqel.digests
    }
}

TEST_CASE("every type that can be a target equals llama-quantize's", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const std::string name = GENERATE("q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "iq4_xs", "iq3_s", "tq1_0", "tq2_0", "q2_K");
    CAPTURE(name);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    const Inventory inventory = inventory_of(model);
    write(inventory, {uniform(inventory, folder / "ours.gguf", name)});
    REQUIRE(llama_quantize(model, folder / "theirs.gguf", name));
    CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf").empty());
}

TEST_CASE("with an importance matrix, every type equals llama-quantize --imatrix", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const std::string architecture = GENERATE("llama", "phi3", "qwen3moe");
    const bool own = GENERATE(true, false);  // the matrix: of a run of our own, or llama-imatrix's
    CAPTURE(architecture, own);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.architecture = architecture});
    std::string words;
    for (int i = 0; i < 600; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", words));
    Inventory inventory = inventory_of(model);
    if (own) {
        const auto loaded = LoadedModel::load(model, {.threads = 1});
        REQUIRE(loaded);
        Monitor quiet;
        auto matrix = collect_importance(*loaded, inventory, *loaded->tokenize(words), {.context = 64, .chunks = 4}, quiet);
        REQUIRE(matrix);
        matrix->text = "words";
        REQUIRE(write_importance(folder / "i.gguf", *matrix));
    } else {
        APREQEL_NEEDS_TOOL("llama-imatrix");
        REQUIRE(run_tool(std::format("llama-imatrix -m {} -f {} -o {} -c 64 --chunks 4", model.string(),
                                     (folder / "text.txt").string(), (folder / "i.gguf").string())));
    }
    const Inventory plain = inventory;
    REQUIRE(read_importance(folder / "i.gguf", inventory));
    const bool all_experts_used = std::ranges::all_of(inventory.tensors, [](const Tensor& tensor) {
        return tensor.place != TensorPlace::layer || tensor.importance != nullptr;
    });
    for (const std::string name : {"q3_K", "q4_K", "iq4_xs", "iq3_xxs", "iq2_xs"}) {
        CAPTURE(name);
        const QuantType type = *parse_type(name);
        if (!check_target_type(type) && !all_experts_used) continue;
        const ModelSpec spec{
            .path = folder / "ours.gguf", .types = assign_types(inventory, type, *parse_type("q6_K")).types, .notes = {}};
        write(inventory, {spec});
        REQUIRE(llama_quantize(model, folder / "theirs.gguf", name,
                               "--imatrix " + (folder / "i.gguf").string() + " " + fixed_embedding("q6_K")));
        CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf").empty());
        CHECK(differing_metadata(folder / "ours.gguf", folder / "theirs.gguf").empty());
        if (!check_target_type(type)) {
            Monitor quiet;
            const auto refused = write_models(plain, {&spec, 1}, {}, 2, quiet);
            REQUIRE(!refused);
            CHECK(refused.error().message.contains("importance matrix"));
        }
    }
}

namespace {

/// A file of the model with `layers` for the types of its layers, in their order; with importance if the model has a matrix.
Container mix_of(const Inventory& inventory, const std::filesystem::path& path, const std::vector<std::string>& layers)
{
    std::vector<Variant> variants;
    for (const std::string& name : layers) variants.push_back(parse_variant(name, !inventory.importance.empty()).value());
    TypeAssignment assignment = assign_types(inventory, variants, parse_variant("q6_K", false).value());
    write(inventory, {{.path = path, .types = assignment.types, .notes = {}, .origins = assignment.origins}});
    return Container::read(InputFile::open(path).value()).value();
}

}  // namespace

TEST_CASE("a mix has the file type of the type that most of its weights have", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = inventory_of(make_tiny_model(folder.path()));
    const auto file_type = [&](const std::vector<std::string>& layers) {
        return mix_of(inventory, folder / "mix.gguf", layers).natural("general.file_type");
    };
    // The FFN has more weights than the attention.
    CHECK(file_type({"q3_K", "q4_K", "q3_K", "q4_K"}) == LLAMA_FTYPE_MOSTLY_Q4_K_M);
    CHECK(file_type({"q4_K", "q3_K", "q4_K", "q3_K"}) == LLAMA_FTYPE_MOSTLY_Q3_K_M);
    CHECK(file_type({"q4_K", "q5_K", "q8_0", "q5_K"}) == LLAMA_FTYPE_MOSTLY_Q5_K_M);
    CHECK(file_type({"q4_K", "q8_0", "q4_K", "q8_0"}) == LLAMA_FTYPE_MOSTLY_Q8_0);
    CHECK(file_type({"q4_K", "iq4_xs", "q4_K", "iq4_xs"}) == LLAMA_FTYPE_MOSTLY_IQ4_XS);
    CHECK(file_type({"q4_K", "q4_K", "q4_K", "q4_K"}) == LLAMA_FTYPE_MOSTLY_Q4_K_S);
}

TEST_CASE("a file says which importance matrix it was made with, where one was, and keeps its model's name", "[quantize]")
{
    const TempDir folder;
    // The source itself was made with another one, which is not that of the file.
    const auto model = make_tiny_model(folder.path(), {.edit = [](gguf_context* metadata) {
                                           gguf_set_val_str(metadata, "quantize.imatrix.file", "old.gguf");
                                       }});
    Inventory inventory = inventory_of(model);
    const std::string name = *Container::read(InputFile::open(model).value()).value().text("general.name");
    const Container without = mix_of(inventory, folder / "plain.gguf", {"q4_K", "q4_K", "q4_K", "q8_0"});
    CHECK(without.find("quantize.imatrix.file") == nullptr);
    CHECK(without.text("general.name") == name);

    ImportanceMatrix matrix{.tensors = {}, .text = "a text of my own", .context = 64, .chunks = 3};
    for (const Tensor& tensor : inventory.tensors)
        if (tensor.role == "attn_q")
            matrix.tensors.push_back({tensor.name, std::vector<double>(static_cast<std::size_t>(tensor.columns()), 2.0), {4}});
    matrix.tensors.push_back({"blk.9.other.weight", {1.0}, {1}});  // of another model: llama-quantize counts it too
    // Of 127 bytes, the last would be the first half of a character.
    const std::string folder_name = folder.path().string();
    const auto path = folder / (std::string(125 - folder_name.size(), 'i') + "é" + std::string(60, 'i') + ".gguf");
    REQUIRE(write_importance(path, matrix));
    REQUIRE(read_importance(path, inventory));
    const Container with = mix_of(inventory, folder / "mix.gguf", {"q4_K+imatrix", "q4_K", "q4_K", "q8_0"});
    CHECK(with.text("quantize.imatrix.file") == path.string().substr(0, 126));
    CHECK(with.text("quantize.imatrix.dataset") == "a text of my own");
    CHECK(with.natural("quantize.imatrix.entries_count") == 3);
    CHECK(with.natural("quantize.imatrix.chunks_count") == 3);
    CHECK(with.text("general.name") == name);
    // The matrix is there, and no tensor was made with it.
    const Container unused = mix_of(inventory, folder / "unused.gguf", {"q4_K", "q4_K+imatrix", "q4_K", "q8_0"});
    CHECK(unused.find("quantize.imatrix.file") == nullptr);
}

TEST_CASE("an importance matrix that does not belong to the model is refused", "[quantize]")
{
    const TempDir folder;
    Inventory inventory = inventory_of(make_tiny_model(folder.path()));
    const auto no_matrix = read_importance(inventory.files.front(), inventory);
    REQUIRE(!no_matrix);
    CHECK(no_matrix.error().message.contains("not an importance matrix"));
    APREQEL_NEEDS_TOOL("llama-imatrix");
    const auto other = make_tiny_model(folder.path(), {.width = 512, .file = "other.gguf"});
    std::string words;
    for (int i = 0; i < 600; ++i) words += std::format("word {} ", i * i);
    REQUIRE(write_text(folder / "text.txt", words));
    REQUIRE(run_tool(std::format("llama-imatrix -m {} -f {} -o {} -c 64 --chunks 2", other.string(),
                                 (folder / "text.txt").string(), (folder / "i.gguf").string())));
    CHECK(read_importance(folder / "i.gguf", inventory).error().message.contains("of another model"));
    CHECK(inventory.importance.empty());
}

TEST_CASE("sources in F32 and BF16 are quantized like llama-quantize does", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-quantize");
    const int source = GENERATE(0, 30);
    const std::string name = GENERATE("q4_K", "q8_0");
    CAPTURE(source, name);
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.type = source});
    const Inventory inventory = inventory_of(model);
    write(inventory, {uniform(inventory, folder / "ours.gguf", name)});
    REQUIRE(llama_quantize(model, folder / "theirs.gguf", name));
    CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf").empty());
}

TEST_CASE("rows that do not fit a type fall back as in llama-quantize, and are listed", "[quantize]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.width = 224});
    const Inventory inventory = inventory_of(model);
    const std::map<std::string, std::string> expected{{"q3_K", "q4_0"}, {"q4_K", "q5_0"}, {"q5_K", "q5_1"},
                                                      {"q6_K", "q8_0"}, {"q8_0", "q8_0"}, {"iq4_xs", "iq4_nl"},
                                                      {"q2_K", "q4_0"}};
    for (const auto& [wanted, used] : expected) {
        CAPTURE(wanted);
        const TypeAssignment assignment = assign_types(inventory, type(wanted), type(wanted));
        CHECK(assignment.fallbacks.empty() == (wanted == used));
        for (const Fallback& fallback : assignment.fallbacks) {
            CHECK(fallback.wanted == wanted);
            CHECK(fallback.used == used);
        }
        for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
            const Tensor& tensor = inventory.tensors[i];
            CHECK(assignment.types[i] == (tensor.place == TensorPlace::fixed ? tensor.type : type(used)));
        }
        write(inventory, {{folder / "ours.gguf", assignment.types, {}}});
        if (!have_tool("llama-quantize")) continue;
        REQUIRE(llama_quantize(model, folder / "theirs.gguf", wanted));
        CHECK(different_tensor(folder / "ours.gguf", folder / "theirs.gguf").empty());
    }
}

TEST_CASE("rows that fit no block at all become f16", "[quantize]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.width = 200, .ffn = 264, .type = 0});
    const Inventory inventory = inventory_of(model);
    for (const std::string name : {"q3_K", "q8_0", "iq4_nl"}) {
        const TypeAssignment assignment = assign_types(inventory, type(name), type(name));
        CHECK(assignment.fallbacks.size() == 2 + 7 * 2);
        CHECK(std::ranges::all_of(assignment.fallbacks, [](const Fallback& fallback) { return fallback.used == "f16"; }));
        write(inventory, {{folder / "f16.gguf", assignment.types, {}}});
    }
}

TEST_CASE("a spliced mix equals the mix quantized directly and by llama-quantize", "[quantize]")
{
    const TempDir folder;
    const auto model = make_tiny_model(folder.path(), {.architecture = "qwen3", .blocks = 3});
    const Inventory inventory = inventory_of(model);
    std::vector<DonorFile> donors;
    std::vector<ModelSpec> specs;
    for (const std::string name : {"q3_K", "q4_K", "q8_0"}) {
        donors.emplace_back(folder / (name + ".gguf"));
        specs.push_back(uniform(inventory, donors.back().path, name));
    }
    write(inventory, specs);

    const std::vector<Variant> layers{type("q8_0"), type("q3_K"), type("q4_K"), type("q4_K"), type("q3_K"), type("q6_K")};
    const auto types = assign_types(inventory, layers, type("q4_K")).types;
    write(inventory, {{folder / "direct.gguf", types, {}}});
    write(inventory, {{folder / "spliced.gguf", types, {}}}, donors);  // q6_K is in no donor
    CHECK(same_bytes(folder / "direct.gguf", folder / "spliced.gguf"));

    APREQEL_NEEDS_TOOL("llama-quantize");
    std::string overrides;
    for (std::size_t i = 0; i < inventory.layers.size(); ++i) {
        const Group& layer = inventory.layers[i];
        overrides += " --tensor-type '^blk\\." + std::to_string(layer.block) + (layer.part == kFfn ? "\\.ffn_" : "\\.attn_") +
                     ".*='" + layers[i].name;
    }
    REQUIRE(llama_quantize(model, folder / "theirs.gguf", "q4_K", fixed_embedding("q4_K") + overrides));
    CHECK(different_tensor(folder / "spliced.gguf", folder / "theirs.gguf").empty());
}

TEST_CASE("a variant is the same bytes with any number of threads, alone or with others", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = inventory_of(make_tiny_model(folder.path()));
    write(inventory, {uniform(inventory, folder / "one.gguf", "q4_K")}, {}, 1);
    write(inventory,
          {uniform(inventory, folder / "q8.gguf", "q8_0"), uniform(inventory, folder / "seven.gguf", "q4_K"),
           uniform(inventory, folder / "twin.gguf", "q4_K")},
          {}, 7);
    CHECK(same_bytes(folder / "one.gguf", folder / "seven.gguf"));
    CHECK(same_bytes(folder / "one.gguf", folder / "twin.gguf"));
}

TEST_CASE("a split model gives the variants of the same model in one file", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-gguf-split");
    const TempDir folder;
    const auto model = make_tiny_model(folder.path());
    REQUIRE(run_tool("llama-gguf-split --split --split-max-tensors 6 " + model.string() + " " + (folder / "part").string()));
    const Inventory whole = inventory_of(model);
    const Inventory parts = inventory_of(folder / "part-00001-of-00004.gguf");
    CHECK(parts.files.size() == 4);
    CHECK(parts.fingerprint == whole.fingerprint);
    write(whole, {uniform(whole, folder / "whole.gguf", "q5_K")});
    write(parts, {uniform(parts, folder / "parts.gguf", "q5_K")}, {folder / "whole.gguf"});
    CHECK(same_bytes(folder / "whole.gguf", folder / "parts.gguf"));
    std::filesystem::remove(folder / "parts.gguf");
    write(parts, {uniform(parts, folder / "parts.gguf", "q5_K")});
    CHECK(same_bytes(folder / "whole.gguf", folder / "parts.gguf"));
}

TEST_CASE("the size of a file is known before it is written", "[quantize]")
{
    const std::string architecture = GENERATE("llama", "phi3", "qwen3moe", "mamba");
    const TempDir folder;
    const Inventory inventory = inventory_of(make_tiny_model(folder.path(), {.architecture = architecture, .width = 224 + 32}));
    for (const std::string name : {"q3_K", "q8_0", "iq4_nl"}) {
        ModelSpec spec = uniform(inventory, folder / "out.gguf", name);
        spec.notes = {{"apreqel.plan", "{\"some\":\"text\"}"}};
        write(inventory, {spec});
        CHECK(file_bytes(inventory, spec) == std::filesystem::file_size(spec.path));
        const Inventory written = inventory_of(spec.path);
        CHECK(written.size_bytes() == tensor_bytes(inventory, spec.types));
        CHECK(Container::read(InputFile::open(spec.path).value()).value().text("apreqel.plan") == "{\"some\":\"text\"}");
    }
}

TEST_CASE("stock llama.cpp runs what was written", "[quantize]")
{
    APREQEL_NEEDS_TOOL("llama-perplexity");
    const std::string architecture = GENERATE("llama", "phi3", "qwen3moe", "command-r");
    CAPTURE(architecture);
    const TempDir folder;
    const Inventory inventory = inventory_of(make_tiny_model(folder.path(), {.architecture = architecture}));
    const std::vector<Variant> layers{type("q8_0"), type("q3_K"), type("q4_K"), type("iq4_xs")};
    write(inventory, {{folder / "mix.gguf", assign_types(inventory, layers, type("q6_K")).types, {}}});
    spill(folder / "text.txt", std::string(600, 'a'));
    CHECK(run_tool("llama-perplexity -t 1 -c 64 --chunks 2 -f " + (folder / "text.txt").string() + " -m " +
                   (folder / "mix.gguf").string()));
}

TEST_CASE("layers with and without the importance matrix are spliced from the right variants", "[quantize]")
{
    const TempDir folder;
    Inventory inventory = inventory_of(make_tiny_model(folder.path()));
    inventory.importance = "made up";
    for (Tensor& tensor : inventory.tensors) {
        std::vector<float> importance(static_cast<std::size_t>(tensor.columns() * tensor.shape[2]));
        for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = 1 + static_cast<float>(i * i % 97);
        tensor.importance = std::make_shared<const std::vector<float>>(std::move(importance));
    }
    const auto spec = [&](const char* name, const TypeAssignment& assignment) {
        return ModelSpec{folder / name, assignment.types, {}, assignment.origins};
    };
    const Variant plain(type("q4_K"));
    const Variant weighted(type("q4_K"), true);
    const Variant embedding(type("q6_K"));
    const std::vector<std::filesystem::path> donors{folder / "plain.gguf", folder / "weighted.gguf"};
    write(inventory, {spec("plain.gguf", assign_types(inventory, plain, embedding)),
                      spec("weighted.gguf", assign_types(inventory, weighted, embedding))});
    CHECK(!same_bytes(donors[0], donors[1]));

    const std::vector<Variant> layers{plain, weighted, weighted, plain};
    write(inventory, {spec("direct.gguf", assign_types(inventory, layers, embedding))});
    write(inventory, {spec("spliced.gguf", assign_types(inventory, layers, embedding))}, {donors[0], donors[1]});
    CHECK(same_bytes(folder / "direct.gguf", folder / "spliced.gguf"));
    // Each layer has the bytes of its own variant.
    const auto bytes_of = [&](const std::filesystem::path& path, const std::string& name) {
        const Inventory written = inventory_of(path);
        const Tensor& tensor = *std::ranges::find(written.tensors, name, &Tensor::name);
        std::vector<std::byte> bytes(tensor.size_bytes);
        REQUIRE(InputFile::open(path)->read_at(tensor.offset, bytes));
        return bytes;
    };
    for (const char* name : {"blk.0.attn_q.weight", "blk.1.ffn_up.weight"})
        CHECK(bytes_of(folder / "spliced.gguf", name) == bytes_of(donors[0], name));
    for (const char* name : {"blk.0.ffn_up.weight", "blk.1.attn_q.weight"})
        CHECK(bytes_of(folder / "spliced.gguf", name) == bytes_of(donors[1], name));
}
