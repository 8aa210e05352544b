// sibling SOURCE OUTPUT SHARE     makes a model of the same family, as if SOURCE had been trained on something else
//
// SOURCE is a full-precision GGUF. Fine-tuning changes matrices by little and by few directions, so every matrix of the blocks gets a
// random change of rank 16 whose Frobenius norm is SHARE of its own, the same every time. All else stays.
#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>
#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <print>
#include <random>
#include <string_view>
#include <vector>

namespace {

constexpr Eigen::Index kRank = 16;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

[[noreturn]] void stop(const char* object, const char* what)
{
    std::println(stderr, "sibling: {}: {}", object, what);
    std::exit(1);
}

/// Writes the changed weights over those of the tensor.
void change(ggml_tensor& tensor, float share, std::mt19937_64& random)
{
    const Eigen::Index columns = tensor.ne[0];
    const Eigen::Index rows = ggml_nelements(&tensor) / columns;
    Matrix weights(rows, columns);
    if (tensor.type == GGML_TYPE_F32)
        std::memcpy(weights.data(), tensor.data, ggml_nbytes(&tensor));
    else
        ggml_get_type_traits(tensor.type)->to_float(tensor.data, weights.data(), weights.size());
    std::normal_distribution<float> normal;
    const auto draw = [&] { return normal(random); };
    const Matrix left = Matrix::NullaryExpr(rows, kRank, draw);
    const Matrix right = Matrix::NullaryExpr(kRank, columns, draw);
    const Matrix direction = left * right;
    weights += direction * (share * weights.norm() / direction.norm());
    ggml_quantize_chunk(tensor.type, weights.data(), tensor.data, 0, rows, columns, nullptr);
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 4) stop("usage", "sibling SOURCE OUTPUT SHARE");
    const float share = std::strtof(argv[3], nullptr);
    if (!(share > 0 && share < 1)) stop(argv[3], "not between 0 and 1");
    ggml_context* raw = nullptr;
    const gguf_context_ptr source(gguf_init_from_file(argv[1], {.no_alloc = false, .ctx = &raw}));
    const ggml_context_ptr tensors(raw);
    if (!source) stop(argv[1], "not a GGUF file");

    std::mt19937_64 random(1);
    const gguf_context_ptr output(gguf_init_empty());
    gguf_set_kv(output.get(), source.get());
    for (std::int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
        const std::string_view name = gguf_get_tensor_name(source.get(), i);
        ggml_tensor* const tensor = ggml_get_tensor(tensors.get(), name.data());
        if (ggml_is_quantized(tensor->type)) stop(argv[1], "quantized: a full-precision model is needed");
        if (name.starts_with("blk.") && ggml_n_dims(tensor) >= 2) change(*tensor, share, random);
        gguf_add_tensor(output.get(), tensor);
    }
    if (!gguf_write_to_file(output.get(), argv[2], false)) stop(argv[2], "cannot be written");
}
