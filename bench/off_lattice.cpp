// off_lattice QUANTIZED OUTPUT     makes a full-precision source of a model that is only to be had quantized
//
// Dequantized as they are, all weights lie on the lattice of their type, and that type and finer ones look perfect. Here every
// weight gets uniform noise as wide as one quantization step of its block of 32 (the least difference between two of its values), the
// same every time, and is stored as f16: the layers, outliers and special tokens of the real model, off every lattice.
#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <print>
#include <random>
#include <span>
#include <vector>

namespace {

constexpr std::size_t kBlock = 32;

[[noreturn]] void stop(const char* object, const char* what)
{
    std::println(stderr, "off_lattice: {}: {}", object, what);
    std::exit(1);
}

double step_of(std::span<const float> block)
{
    std::array<float, kBlock> sorted{};
    const auto end = std::ranges::copy(block, sorted.begin()).out;
    std::sort(sorted.begin(), end);
    double step = 0;
    for (auto value = sorted.begin(); value + 1 < end; ++value) {
        const double difference = double{value[1]} - double{value[0]};
        // What is less than a thousandth of the range is rounding of one level, not two of them.
        if (difference > 1e-3 * (double{end[-1]} - double{sorted[0]}) && (step == 0 || difference < step)) step = difference;
    }
    return step;
}

std::vector<ggml_fp16_t> off_lattice(const ggml_tensor& tensor, std::mt19937_64& random)
{
    std::vector<float> weights(static_cast<std::size_t>(ggml_nelements(&tensor)));
    ggml_get_type_traits(tensor.type)->to_float(tensor.data, weights.data(), ggml_nelements(&tensor));
    for (std::size_t begin = 0; begin < weights.size(); begin += kBlock) {
        const std::span block(weights.data() + begin, std::min(kBlock, weights.size() - begin));
        const double step = step_of(block);
        for (float& weight : block) {
            const double noise = static_cast<double>(random() >> 11U) * 0x1p-53 - 0.5;
            weight += static_cast<float>(step * noise);
        }
    }
    std::vector<ggml_fp16_t> stored(weights.size());
    ggml_fp32_to_fp16_row(weights.data(), stored.data(), ggml_nelements(&tensor));
    return stored;
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 3) stop("usage", "off_lattice QUANTIZED OUTPUT");
    ggml_context* raw = nullptr;
    const gguf_context_ptr source(gguf_init_from_file(argv[1], {.no_alloc = false, .ctx = &raw}));
    const ggml_context_ptr tensors(raw);
    if (!source) stop(argv[1], "not a GGUF file");

    const gguf_context_ptr output(gguf_init_empty());
    gguf_set_kv(output.get(), source.get());
    gguf_set_val_u32(output.get(), "general.file_type", 1);  // mostly f16
    std::mt19937_64 random(1);
    std::vector<std::vector<ggml_fp16_t>> made;
    for (std::int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
        const char* const name = gguf_get_tensor_name(source.get(), i);
        const ggml_tensor* const tensor = ggml_get_tensor(tensors.get(), name);
        gguf_add_tensor(output.get(), tensor);
        if (!ggml_is_quantized(tensor->type)) continue;
        made.push_back(off_lattice(*tensor, random));
        gguf_set_tensor_type(output.get(), name, GGML_TYPE_F16);
        gguf_set_tensor_data(output.get(), name, made.back().data());
    }
    if (!gguf_write_to_file(output.get(), argv[2], false)) stop(argv[2], "cannot be written");
}
