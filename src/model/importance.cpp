#include "model/importance.h"

#include "gguf/container.h"

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

/// Sums of squares to means, one matrix after another; a matrix that saw no token counts its columns alike.
void divide(std::vector<float>& sums, const std::vector<float>& counts)
{
    const std::size_t columns = sums.size() / counts.size();
    for (std::size_t m = 0; m < counts.size(); ++m) {
        for (std::size_t c = m * columns; c < (m + 1) * columns; ++c) sums[c] = counts[m] > 0 ? sums[c] / counts[m] : 1;
    }
}

}  // namespace

Result<> read_importance(const std::filesystem::path& path, Inventory& inventory)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    const auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    if (container->text("general.type") != "imatrix") {
        return std::unexpected(Error{ErrorCode::failed, std::format("read {}: not an importance matrix", path.string()),
                                     "llama-imatrix writes one, in GGUF format"});
    }
    std::map<std::string, const StoredTensor*, std::less<>> stored;
    for (const StoredTensor& tensor : container->tensors()) stored.emplace(tensor.name, &tensor);
    std::size_t found = 0;
    XXH64_hash_t digest = 0;
    for (Tensor& tensor : inventory.tensors) {
        const auto sums = stored.find(tensor.name + ".in_sum2");
        const auto counts = stored.find(tensor.name + ".counts");
        if (sums == stored.end() || counts == stored.end()) continue;
        auto values = read_floats(*file, *sums->second);
        if (!values) return std::unexpected(values.error());
        const auto tokens = read_floats(*file, *counts->second);
        if (!tokens) return std::unexpected(tokens.error());
        const auto matrices = static_cast<std::size_t>(tensor.shape[2]);
        if (tokens->size() != matrices || values->size() != matrices * static_cast<std::size_t>(tensor.columns()))
            return fail("read {}: {} has {} values, the model's tensor needs {} × {}: it is of another model", path.string(),
                        tensor.name, values->size(), matrices, tensor.columns());
        divide(*values, *tokens);
        digest = XXH3_64bits_withSeed(values->data(), values->size() * sizeof(float), digest);
        tensor.importance = std::make_shared<const std::vector<float>>(std::move(*values));
        ++found;
    }
    if (found == 0) return fail("read {}: it has nothing for the tensors of this model", path.string());
    inventory.importance = std::format("{} {:016x}", path.filename().string(), digest);
    return {};
}

}  // namespace apreqel
