#include "runtime/products.h"

#include "runtime/context.h"
#include "runtime/placement.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>

namespace apreqel {
namespace {

constexpr std::int64_t kRows = 64;
/// Of vectors: generating, a few sequences at a time, a prompt.
constexpr std::array<std::int64_t, 3> kCounts{1, 8, 128};

/// A matrix of a format, as it is stored and what that stands for.
struct RandomRows {
    std::vector<std::byte> stored;
    std::vector<float> weights;
};

std::vector<float> normal_values(std::size_t count, std::mt19937_64& random)
{
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    std::ranges::generate(values, [&] { return normal(random); });
    return values;
}

RandomRows random_rows(const RowFormat& format, std::mt19937_64& random)
{
    const auto type = static_cast<ggml_type>(format.type.id);
    RandomRows rows;
    rows.weights = normal_values(static_cast<std::size_t>(kRows * format.columns), random);
    rows.stored.resize(static_cast<std::size_t>(kRows) * ggml_row_size(type, format.columns));
    const std::vector<float> alike(static_cast<std::size_t>(format.columns), 1.0F);  // some types need an importance matrix
    ggml_quantize_chunk(type, rows.weights.data(), rows.stored.data(), 0, kRows, format.columns, alike.data());
    if (type == GGML_TYPE_F32) return rows;
    ggml_get_type_traits(type)->to_float(rows.stored.data(), rows.weights.data(), kRows * format.columns);
    return rows;
}

/// What is wrong with the products of this format, if anything is.
Result<std::optional<std::string>> fault_of(ggml_backend_t backend, const RowFormat& format)
{
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    const std::string name = ggml_backend_dev_name(device);
    std::mt19937_64 random(1);
    const RandomRows rows = random_rows(format, random);
    for (const std::int64_t count : kCounts) {
        constexpr std::size_t kTensors = 3;
        const ggml_context_ptr context(
            ggml_init({kTensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(kTensors, false), nullptr, true}));
        ggml_tensor* const matrix =
            ggml_new_tensor_2d(context.get(), static_cast<ggml_type>(format.type.id), format.columns, kRows);
        ggml_tensor* const vectors = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, format.columns, count);
        ggml_tensor* const product = ggml_mul_mat(context.get(), matrix, vectors);
        if (!ggml_backend_dev_supports_op(device, product)) return std::format("{} has no product of it", name);
        ggml_cgraph* const graph = ggml_new_graph_custom(context.get(), kTensors, false);
        ggml_build_forward_expand(graph, product);
        const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend));
        if (!buffer) return fail("run: {} has not the memory for a matrix of {} rows", name, kRows);
        const std::vector<float> inputs = normal_values(static_cast<std::size_t>(format.columns * count), random);
        ggml_backend_tensor_set(matrix, rows.stored.data(), 0, rows.stored.size());
        ggml_backend_tensor_set(vectors, inputs.data(), 0, inputs.size() * sizeof(float));
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS)
            return std::format("{} fails to multiply it", name);
        std::vector<float> computed(static_cast<std::size_t>(kRows * count));
        ggml_backend_tensor_get(product, computed.data(), 0, computed.size() * sizeof(float));
        const double off = product_error(computed, rows.weights, inputs, static_cast<std::size_t>(format.columns));
        if (off > kProductError) return std::format("{} multiplies it {:.0f} % off", name, 100 * off);
    }
    return std::nullopt;
}

}  // namespace

double product_error(std::span<const float> products, std::span<const float> weights, std::span<const float> inputs,
                     std::size_t columns)
{
    const std::size_t rows = weights.size() / columns;
    double off = 0;
    double whole = 0;
    for (std::size_t p = 0; p < products.size(); ++p) {
        const auto row = weights.subspan(p % rows * columns, columns);
        const auto input = inputs.subspan(p / rows * columns, columns);
        const double exact = std::inner_product(row.begin(), row.end(), input.begin(), 0.0);
        off += (products[p] - exact) * (products[p] - exact);
        whole += exact * exact;
    }
    const double share = std::sqrt(off / whole);
    return std::isfinite(share) ? share : HUGE_VAL;
}

Result<std::vector<WrongType>> find_wrong_types(const RunSettings& settings, std::span<const RowFormat> formats)
{
    std::vector<WrongType> wrong;
    if (settings.gpu_layers == 0) return wrong;
    for (ggml_backend_dev_t device : accelerators(settings)) {
        if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_ACCEL) continue;  // helps the processor where it can
        const ggml_backend_ptr backend(ggml_backend_dev_init(device, nullptr));
        if (!backend) return fail("run: {} cannot be used", ggml_backend_dev_name(device));
        for (const RowFormat& format : formats) {
            if (std::ranges::contains(wrong, format.type, &WrongType::type)) continue;
            auto fault = fault_of(backend.get(), format);
            if (!fault) return std::unexpected(fault.error());
            if (*fault) wrong.push_back({format.type, std::move(**fault)});
        }
    }
    return wrong;
}

}  // namespace apreqel
