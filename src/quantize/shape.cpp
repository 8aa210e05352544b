#include "quantize/shape.h"

#include "base/file.h"
#include "quantize/convert.h"
#include "quantize/inputs.h"
#include "quantize/layout.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

namespace apreqel {
namespace {

/// Rows that are made; the others repeat them.
constexpr std::int64_t kDistinctRows = 64;

/// What of a mixture of experts decides where a token goes: what it is, how large that is, and the routers.
bool steers_experts(const Tensor& tensor)
{
    const bool numbers = is_full_precision(tensor.type) || is_quantized(tensor.type);  // and no table of integers
    return numbers && (tensor.place == TensorPlace::fixed || tensor.role == "token_embd");
}

/// The first rows of `tensor` in `type`, random, with a mean of 1 where there is one number for each column: the norms.
Result<std::vector<std::byte>> random_rows(const Tensor& tensor, QuantType type)
{
    Tensor source = tensor;
    source.type = *parse_type("f32");
    source.importance = std::make_shared<const std::vector<float>>(
        static_cast<std::size_t>(tensor.columns() * tensor.shape[2] * tensor.shape[3]), 1.0F);
    const std::int64_t rows = std::min(kDistinctRows, tensor.rows());
    std::vector<float> values(static_cast<std::size_t>(rows * tensor.columns()));
    std::minstd_rand random;
    std::normal_distribution<float> normal(tensor.rows() == 1 ? 1.0F : 0.0F, 0.1F);
    std::ranges::generate(values, [&] { return normal(random); });
    RowConverter converter;
    if (auto loaded = converter.load(source, std::as_bytes(std::span(values)), 0, rows); !loaded)
        return std::unexpected(loaded.error());
    const auto converted = converter.convert(type);
    if (!converted) return std::unexpected(converted.error());
    return std::vector(converted->begin(), converted->end());
}

Result<> fill(OutputFile& file, const Tensor& tensor, QuantType type, std::uint64_t offset)
{
    const auto rows = random_rows(tensor, type);
    if (!rows) return std::unexpected(rows.error());
    const std::uint64_t end = offset + static_cast<std::uint64_t>(tensor.rows()) * row_bytes(type, tensor.columns());
    while (offset < end) {
        const std::span piece = std::span(*rows).first(std::min<std::uint64_t>(rows->size(), end - offset));
        if (auto written = file.write_at(offset, piece); !written) return written;
        offset += piece.size();
    }
    return {};
}

}  // namespace

Result<> write_shape(const Inventory& inventory, const ModelSpec& spec)
{
    if (auto possible = check_spec(inventory, spec); !possible) return possible;
    const auto sources = open_sources(inventory);
    if (!sources) return std::unexpected(sources.error());
    const HeaderLayout layout = lay_out(inventory, sources->first, spec);
    auto file = OutputFile::create(spec.path);
    if (!file) return std::unexpected(file.error());
    if (auto extended = file->extend(layout.file_bytes); !extended) return extended;
    if (auto written = file->write_at(0, std::as_bytes(std::span(layout.bytes))); !written) return written;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        if (inventory.experts == 0 || !steers_experts(tensor)) continue;
        if (auto filled = fill(*file, tensor, spec.types[t], layout.offsets[t]); !filled) return filled;
    }
    return file->commit();
}

}  // namespace apreqel
