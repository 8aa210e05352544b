#include "model/model_shape.h"

#include "gguf/header_writer.h"

#include <algorithm>

namespace apreqel {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kAlignment = "general.alignment";

/// What libllama reads to build a model's graph: the keys of its architecture, and the few numbers beside them (`xielu.alpha_n`).
bool shapes(const MetadataEntry& entry, const std::string& architecture)
{
    if (entry.key == "general.architecture" || entry.key == kAlignment) return true;
    if (entry.key.starts_with(architecture + ".")) return true;
    constexpr std::array kOthers{"general.", "tokenizer.", "split.", "apreqel.", "quantize."};
    return !entry.is_of_texts() &&
           std::ranges::none_of(kOthers, [&](const char* prefix) { return entry.key.starts_with(prefix); });
}

Result<ShapeEntry> encode(const Container& container, const MetadataEntry& entry)
{
    ShapeEntry encoded{.key = entry.key, .type = std::string(entry.type_name()), .array = entry.is_array};
    for (const std::string_view text : container.texts(entry)) encoded.texts.emplace_back(text);
    if (entry.is_of_texts()) return encoded;
    auto numbers = container.numbers(entry);
    if (!numbers) return fail("shape: {} is a number that JSON cannot hold", entry.key);
    encoded.numbers = std::move(*numbers);
    return encoded;
}

/// A vocabulary of as many tokens without a text: libllama makes them up where there is no tokenizer (src/llama-vocab.cpp).
void add_vocabulary(ModelShape& shape, const Container& container, const std::string& architecture)
{
    if (const MetadataEntry* tokens = container.find(kTokens)) {
        const std::string size = architecture + ".vocab_size";
        std::erase_if(shape.metadata, [&](const ShapeEntry& entry) { return entry.key == size; });
        shape.metadata.push_back({.key = size, .type = "u32", .numbers = {static_cast<double>(tokens->count)}});
    }
    shape.metadata.push_back({.key = "tokenizer.ggml.model", .type = "str", .texts = {"no_vocab"}});
}

Result<> add_entry(HeaderWriter& writer, const ShapeEntry& entry)
{
    if (entry.type != "str") return writer.add_numbers(entry.key, entry.type, entry.array, entry.numbers);
    if (!entry.array && entry.texts.size() != 1) return fail("{} is not one text", entry.key);
    if (entry.array)
        writer.add_texts(entry.key, entry.texts);
    else
        writer.add_text(entry.key, entry.texts.front());
    return {};
}

Result<> add_tensor(HeaderWriter& writer, const ShapeTensor& tensor)
{
    const auto type = parse_type(tensor.type);
    if (!type) return std::unexpected(type.error());
    std::array<std::int64_t, 4> shape{1, 1, 1, 1};
    if (tensor.shape.size() > shape.size()) return fail("{} has {} dimensions", tensor.name, tensor.shape.size());
    std::ranges::copy(tensor.shape, shape.begin());
    const auto bytes = stored_bytes(shape, *type);
    if (!bytes) return fail("{} has {}", tensor.name, bytes.error().message);
    writer.add_tensor(tensor.name, shape, *type, *bytes);
    return {};
}

Result<HeaderLayout> lay_out(const ModelShape& shape)
{
    std::uint64_t alignment = 32;
    const auto stated = std::ranges::find(shape.metadata, kAlignment, &ShapeEntry::key);
    if (stated != shape.metadata.end() && stated->numbers.size() == 1 && stated->numbers.front() >= 1 &&
        stated->numbers.front() <= 1 << 20)  // the reader's limit; what else there is it refuses
        alignment = static_cast<std::uint64_t>(stated->numbers.front());
    HeaderWriter writer(alignment);
    for (const ShapeEntry& entry : shape.metadata)
        if (auto added = add_entry(writer, entry); !added) return std::unexpected(added.error());
    for (const ShapeTensor& tensor : shape.tensors)
        if (auto added = add_tensor(writer, tensor); !added) return std::unexpected(added.error());
    return writer.finish();
}

}  // namespace

Result<ModelShape> shape_of(const Inventory& inventory)
{
    const auto file = InputFile::open(inventory.files.front());
    if (!file) return std::unexpected(file.error());
    const auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    ModelShape shape{.model = inventory.fingerprint, .model_name = inventory.name, .metadata = {}, .tensors = {}};
    for (const MetadataEntry& entry : container->metadata()) {
        if (!shapes(entry, inventory.architecture)) continue;
        auto encoded = encode(*container, entry);
        if (!encoded) return std::unexpected(encoded.error());
        shape.metadata.push_back(std::move(*encoded));
    }
    add_vocabulary(shape, *container, inventory.architecture);
    for (const Tensor& tensor : inventory.tensors) {
        ShapeTensor& stored = shape.tensors.emplace_back(tensor.name, type_name(tensor.type));
        stored.shape.assign(tensor.shape.begin(), tensor.shape.begin() + dimensions(tensor.shape));
    }
    return shape;
}

Result<Inventory> open_shape(const ModelShape& shape, const std::filesystem::path& source, const std::filesystem::path& file)
{
    const auto layout = lay_out(shape);
    if (!layout) return fail("read {}: no shape of a model: {}", source.string(), layout.error().message);
    auto output = OutputFile::create(file);
    if (!output) return std::unexpected(output.error());
    if (auto extended = output->extend(layout->file_bytes); !extended) return std::unexpected(extended.error());
    if (auto written = output->write_at(0, std::as_bytes(std::span(layout->bytes))); !written)
        return std::unexpected(written.error());
    if (auto committed = output->commit(); !committed) return std::unexpected(committed.error());
    auto inventory = read_inventory(file);
    if (!inventory) return fail("read {}: no shape of a model: {}", source.string(), inventory.error().message);
    inventory->fingerprint = shape.model;
    inventory->name = shape.model_name;
    inventory->importance = "none is needed";
    const auto importance = std::make_shared<const std::vector<float>>();
    for (Tensor& tensor : inventory->tensors) tensor.importance = importance;
    return inventory;
}

}  // namespace apreqel
