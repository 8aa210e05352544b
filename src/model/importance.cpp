#include "model/importance.h"

#include "gguf/header_writer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace apreqel {
namespace {

Result<std::vector<float>> read_floats(const InputFile& file, const StoredTensor& tensor)
{
    if (type_name(tensor.type) != "f32") return fail("read {}: {} is not in f32", file.path().string(), tensor.name);
    std::vector<float> values(tensor.size_bytes / sizeof(float));
    if (auto read = file.read_at(tensor.offset, std::as_writable_bytes(std::span(values))); !read)
        return std::unexpected(read.error());
    const auto bad = [](float value) { return !std::isfinite(value) || value < 0; };
    if (std::ranges::any_of(values, bad))
        return fail("read {}: {} has a value that is negative or not finite", file.path().string(), tensor.name);
    return values;
}

/// Sums of squares to means, one matrix after another; a matrix that saw no token counts its columns alike, as llama-quantize
/// does it. False: a mean is not finite.
bool divide(std::vector<float>& sums, const std::vector<float>& counts)
{
    const std::size_t columns = sums.size() / counts.size();
    for (std::size_t m = 0; m < counts.size(); ++m) {
        for (std::size_t c = m * columns; c < (m + 1) * columns; ++c) sums[c] = counts[m] > 0 ? sums[c] / counts[m] : 1;
    }
    return std::ranges::all_of(sums, [](float value) { return std::isfinite(value); });
}

/// What is `stored` in the matrix's file, counted as llama-quantize counts it: for this model or not.
ImportanceSource source_of(const Container& container, std::string file,
                           const std::map<std::string, const StoredTensor*, std::less<>>& stored)
{
    ImportanceSource source{.file = std::move(file)};
    for (const auto& [name, tensor] : stored) {
        const std::string_view suffix = ".in_sum2";
        if (name.ends_with(suffix) && stored.contains(name.substr(0, name.size() - suffix.size()) + ".counts"))
            ++source.entries;
    }
    const MetadataEntry* datasets = container.find("imatrix.datasets");
    if (datasets != nullptr && datasets->is_list_of("str") && datasets->count > 0)
        source.dataset = container.texts(*datasets).front();
    source.chunks = container.natural("imatrix.chunk_count").value_or(0);
    return source;
}

std::vector<float> to_floats(const auto& values)
{
    std::vector<float> floats;
    floats.reserve(values.size());
    for (const auto value : values) floats.push_back(static_cast<float>(value));
    return floats;
}

}  // namespace

Result<> write_importance(const std::filesystem::path& path, const ImportanceMatrix& matrix)
{
    const auto f32 = parse_type("f32");
    if (!f32) return std::unexpected(f32.error());
    HeaderWriter writer(32);  // GGUF's default alignment
    writer.add_text("general.type", "imatrix");
    writer.add_texts("imatrix.datasets", std::span(&matrix.text, 1));
    writer.add_u32("imatrix.chunk_count", static_cast<std::uint32_t>(matrix.chunks));
    writer.add_u32("imatrix.chunk_size", static_cast<std::uint32_t>(matrix.context));
    std::vector<std::vector<float>> data;
    for (const InputSums& sums : matrix.tensors) {
        const auto matrices = static_cast<std::int64_t>(sums.inputs.size());
        const std::int64_t columns = static_cast<std::int64_t>(sums.squares.size()) / matrices;
        data.push_back(to_floats(sums.squares));
        writer.add_tensor(sums.tensor + ".in_sum2", {columns, matrices, 1, 1}, *f32, data.back().size() * sizeof(float));
        data.push_back(to_floats(sums.inputs));
        writer.add_tensor(sums.tensor + ".counts", {1, matrices, 1, 1}, *f32, data.back().size() * sizeof(float));
    }
    const HeaderLayout layout = writer.finish();
    auto file = OutputFile::create(path);
    if (!file) return std::unexpected(file.error());
    if (auto reserved = file->reserve(layout.file_bytes); !reserved) return reserved;
    if (auto written = file->write_at(0, std::as_bytes(std::span(layout.bytes))); !written) return written;
    // The padding after the last tensor, where reserving did not make it.
    constexpr std::byte kZero{};
    if (auto written = file->write_at(layout.file_bytes - 1, std::span(&kZero, 1)); !written) return written;
    for (std::size_t t = 0; t < data.size(); ++t) {
        if (auto written = file->write_at(layout.offsets[t], std::as_bytes(std::span(data[t]))); !written) return written;
    }
    return file->commit();
}

Result<> read_importance(const std::filesystem::path& path, Inventory& inventory, std::string_view name)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    const auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    if (container->text("general.type") != "imatrix") {
        return std::unexpected(Error{ErrorCode::failed, std::format("read {}: not an importance matrix", path.string()),
                                     "apreqel imatrix writes one, and so does llama-imatrix, in GGUF format"});
    }
    std::map<std::string, const StoredTensor*, std::less<>> stored;
    for (const StoredTensor& tensor : container->tensors()) stored.emplace(tensor.name, &tensor);
    std::vector<std::shared_ptr<const std::vector<float>>> found(inventory.tensors.size());
    XXH64_hash_t digest = 0;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        const auto sums = stored.find(tensor.name + ".in_sum2");
        const auto counts = stored.find(tensor.name + ".counts");
        if (sums == stored.end() || counts == stored.end()) continue;
        auto values = read_floats(*file, *sums->second);
        if (!values) return std::unexpected(values.error());
        const auto tokens = read_floats(*file, *counts->second);
        if (!tokens) return std::unexpected(tokens.error());
        const auto matrices = static_cast<std::size_t>(tensor.shape[2] * tensor.shape[3]);
        // llama-imatrix keeps one count for all matrices of a tensor that is not of experts.
        const bool counted = tokens->size() == matrices || tokens->size() == 1;
        if (!counted || values->size() != matrices * static_cast<std::size_t>(tensor.columns()))
            return fail("read {}: {} has {} values, the model's tensor needs {} × {}: it is of another model", path.string(),
                        tensor.name, values->size(), matrices, tensor.columns());
        if (!divide(*values, *tokens))
            return fail("read {}: {} has a value that is too large for its count", path.string(), tensor.name);
        digest = XXH3_64bits_withSeed(values->data(), values->size() * sizeof(float), digest);
        found[t] = std::make_shared<const std::vector<float>>(std::move(*values));
    }
    if (std::ranges::none_of(found, [](const auto& importance) { return importance != nullptr; }))
        return fail("read {}: it has nothing for the tensors of this model: it is of another model", path.string());
    for (std::size_t t = 0; t < found.size(); ++t) inventory.tensors[t].importance = std::move(found[t]);
    const auto [covered, weights] = importance_coverage(inventory);
    inventory.importance = std::format("{} {:016x} covers {} of {} weights",
                                       name.empty() ? path.filename().string() : std::string(name), digest, covered, weights);
    inventory.importance_source = source_of(*container, name.empty() ? path.string() : std::string(name), stored);
    return {};
}

ImportanceCoverage importance_coverage(const Inventory& inventory)
{
    ImportanceCoverage coverage;
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        ++coverage.weights;
        if (tensor.importance) ++coverage.covered;
    }
    return coverage;
}

void report_coverage(const Inventory& inventory, Monitor& monitor)
{
    if (inventory.importance.empty()) return;
    const auto [covered, weights] = importance_coverage(inventory);
    if (covered < weights)
        return monitor.warn(std::format("imatrix {}; the others are quantized without", inventory.importance));
    monitor.begin("imatrix", 0);
    monitor.end(inventory.importance);
}

}  // namespace apreqel
