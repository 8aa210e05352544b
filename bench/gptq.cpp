// gptq SOURCE QUANTIZED TEXT OUTPUT     what would rounding with error feedback bring, all types unchanged?
//
// QUANTIZED was made from SOURCE, in full precision, by llama-quantize or by apreqel. OUTPUT has the types of QUANTIZED, tensor by tensor, and
// its own scales, but the weights of layers are rounded one column after the other, and what a column's rounding does to the layer's output is
// made good by the columns after it: GPTQ (Frantar et al. 2023), with the blocks of libggml. The inputs of the layers are those of the first
// 20,480 tokens of TEXT. OUTPUT is as large and as fast as QUANTIZED; only how near it is to SOURCE differs.
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <gguf.h>
#include <llama-cpp.h>

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <print>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::int32_t kContext = 512;
constexpr std::size_t kTokens = 20'480;
/// Of the mean of the Gram matrix's diagonal, added to that diagonal: GPTQ's own.
constexpr double kDamping = 0.01;

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

[[noreturn]] void stop(const char* object, const char* what)
{
    std::println(stderr, "gptq: {}: {}", object, what);
    std::exit(1);
}

/// Sums x·xᵀ over the inputs x of every weight of a layer. Weights that are multiplied with one input share its matrix.
class InputObserver {
public:
    static bool callback(ggml_tensor* node, bool ask, void* self)
    {
        const bool wanted = node->op == GGML_OP_MUL_MAT && std::string_view(node->src[0]->name).starts_with("blk.") &&
                            ggml_n_dims(node->src[0]) == 2 && node->src[1]->type == GGML_TYPE_F32 &&
                            ggml_is_contiguous(node->src[1]);
        if (wanted && !ask) static_cast<InputObserver*>(self)->add(node->src[0]->name, *node->src[1]);
        return wanted || !ask;
    }

    /// Before every batch: its inputs are others, though they may lie at the same place.
    void forget_input() { input_ = nullptr; }

    /// The place of the matrix of a weight, or none.
    [[nodiscard]] std::size_t place(const std::string& weight) const
    {
        const auto found = places_.find(weight);
        return found == places_.end() ? sums_.size() : found->second;
    }
    [[nodiscard]] const std::vector<Eigen::MatrixXf>& sums() const { return sums_; }

private:
    void add(const char* weight, const ggml_tensor& input)
    {
        const bool shared = &input == input_;
        const auto [found, first] = places_.emplace(weight, shared ? place_ : sums_.size());
        if (first && !shared) sums_.emplace_back(Eigen::MatrixXf::Zero(input.ne[0], input.ne[0]));
        const bool counted = shared && found->second == place_;
        input_ = &input;
        place_ = found->second;
        if (counted) return;
        values_.resize(static_cast<std::size_t>(ggml_nelements(&input)));
        ggml_backend_tensor_get(&input, values_.data(), 0, ggml_nbytes(&input));
        const Eigen::Map<const Eigen::MatrixXf> columns(values_.data(), input.ne[0], ggml_nelements(&input) / input.ne[0]);
        sums_[place_].selfadjointView<Eigen::Lower>().rankUpdate(columns);
    }

    std::map<std::string, std::size_t> places_;
    std::vector<Eigen::MatrixXf> sums_;
    const ggml_tensor* input_ = nullptr;
    std::size_t place_ = 0;
    std::vector<float> values_;
};

void observe(const char* source, const char* text_path, InputObserver& observer)
{
    const llama_model_ptr model(llama_model_load_from_file(source, llama_model_default_params()));
    if (!model) stop(source, "libllama cannot load it");
    std::ifstream file(text_path);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    const llama_vocab* const vocabulary = llama_model_get_vocab(model.get());
    std::vector<llama_token> tokens(text.size() + 2);
    const auto length = static_cast<std::int32_t>(text.size());
    const std::int32_t count = llama_tokenize(vocabulary, text.data(), length, tokens.data(), length + 2, true, false);
    if (count < kContext) stop(text_path, "it has less than 512 tokens");
    tokens.resize(std::min(static_cast<std::size_t>(count), kTokens));

    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = kContext;
    params.cb_eval = InputObserver::callback;
    params.cb_eval_user_data = &observer;
    const llama_context_ptr context(llama_init_from_model(model.get(), params));
    if (!context) stop(source, "libllama cannot make a context");
    std::vector<std::int8_t> outputs(kContext, 1);  // of all tokens, as the last block only keeps the rows of outputs
    for (std::size_t begin = 0; begin + kContext <= tokens.size(); begin += kContext) {
        if (llama_vocab_get_add_bos(vocabulary)) tokens[begin] = llama_vocab_bos(vocabulary);
        llama_memory_clear(llama_get_memory(context.get()), true);
        observer.forget_input();
        llama_batch batch = llama_batch_get_one(tokens.data() + begin, kContext);
        batch.logits = outputs.data();
        if (llama_decode(context.get(), batch) != 0) stop(source, "libllama fails");
    }
}

void to_float(ggml_type type, const void* from, float* to, std::int64_t count)
{
    if (type == GGML_TYPE_F32) {
        std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
    } else {
        ggml_get_type_traits(type)->to_float(from, to, count);
    }
}

void set_bit(std::uint8_t* block, std::size_t bit, bool on)
{
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    block[bit / 8] = static_cast<std::uint8_t>(on ? block[bit / 8] | mask : block[bit / 8] & ~mask);
}

/// Bits of a block that change one weight only, by weight: its code. Found by trying them, so that no layout of libggml is repeated here.
/// Empty where weights have no codes of their own, as in the codebooks of iq2 and iq3.
std::vector<std::vector<std::size_t>> find_codes(ggml_type type)
{
    constexpr int kBlocks = 8;  // some bits change nothing in some blocks
    const auto width = static_cast<std::size_t>(ggml_blck_size(type));
    const std::size_t bits = ggml_type_size(type) * 8;
    std::vector<std::vector<bool>> changed(bits, std::vector<bool>(width));
    std::vector<std::uint8_t> block(ggml_type_size(type));
    std::vector<float> before(width);
    std::vector<float> after(width);
    std::mt19937 random(1);
    for (int found = 0; found < kBlocks;) {
        std::ranges::generate(block, [&] { return static_cast<std::uint8_t>(random()); });
        to_float(type, block.data(), before.data(), static_cast<std::int64_t>(width));
        if (!std::ranges::all_of(before, [](float value) { return std::abs(value) < 1e4F; })) continue;
        ++found;
        for (std::size_t bit = 0; bit < bits; ++bit) {
            block[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
            to_float(type, block.data(), after.data(), static_cast<std::int64_t>(width));
            block[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
            for (std::size_t i = 0; i < width; ++i)
                if (before[i] != after[i]) changed[bit][i] = true;
        }
    }
    std::vector<std::vector<std::size_t>> codes(width);
    for (std::size_t bit = 0; bit < bits; ++bit) {
        const auto first = std::ranges::find(changed[bit], true);
        if (std::ranges::count(changed[bit], true) == 1)
            codes[static_cast<std::size_t>(first - changed[bit].begin())].push_back(bit);
    }
    const std::size_t size = codes.front().size();
    const bool own = size > 1 && std::ranges::all_of(codes, [&](const auto& code) { return code.size() == size; });
    return own ? codes : std::vector<std::vector<std::size_t>>();
}

/// Rounds weights to a type of libggml, given the inputs they are multiplied with.
class Rounder {
public:
    explicit Rounder(const Eigen::MatrixXf& sum)
    {
        Eigen::MatrixXd gram = sum.selfadjointView<Eigen::Lower>().toDenseMatrix().cast<double>();
        gram.diagonal().array() += kDamping * gram.diagonal().mean();
        const Eigen::MatrixXd inverse = gram.llt().solve(Eigen::MatrixXd::Identity(gram.rows(), gram.cols()));
        feedback_ = Eigen::MatrixXd(inverse.llt().matrixU()).cast<float>();
    }

    /// `weights` as bytes of `type`; they are overwritten.
    [[nodiscard]] std::vector<std::uint8_t> round(Rows& weights, ggml_type type) const
    {
        const Eigen::Index width = ggml_blck_size(type);
        const std::size_t bytes = ggml_type_size(type);
        const auto codes = find_codes(type);
        const auto blocks = static_cast<std::size_t>(weights.cols() / width);
        std::vector<std::uint8_t> stored(static_cast<std::size_t>(weights.rows()) * blocks * bytes);
        std::vector<std::uint8_t> column(static_cast<std::size_t>(weights.rows()) * bytes);
        for (Eigen::Index begin = 0; begin < weights.cols(); begin += width) {
            const Rows own = feedback_.block(begin, begin, width, width);
            const auto triangle = own.triangularView<Eigen::Upper>();
            // What an error costs that later columns make good as far as they can.
            const Rows inverse = triangle.solve(Rows::Identity(width, width));
            const Eigen::VectorXf importance = inverse.rowwise().squaredNorm();
            const Rows exact = weights.middleCols(begin, width);
            ggml_quantize_chunk(type, exact.data(), column.data(), 0, exact.rows(), width, importance.data());
            if (!codes.empty()) round_codes(exact, own, codes, type, column);
            Rows error(exact.rows(), width);
            to_float(type, column.data(), error.data(), error.size());
            error -= exact;
            const Eigen::Index rest = weights.cols() - begin - width;
            const Rows scaled = triangle.solve<Eigen::OnTheRight>(error);
            weights.rightCols(rest).noalias() += scaled * feedback_.block(begin, begin + width, width, rest);
            for (std::size_t row = 0; row < static_cast<std::size_t>(weights.rows()); ++row)
                std::copy_n(&column[row * bytes], bytes,
                            &stored[(row * blocks + static_cast<std::size_t>(begin / width)) * bytes]);
        }
        return stored;
    }

private:
    /// Within blocks that have their scales: every code anew, given the errors of those before it.
    static void round_codes(Rows weights, const Rows& feedback, const std::vector<std::vector<std::size_t>>& codes,
                            ggml_type type, std::span<std::uint8_t> column)
    {
        const std::size_t bytes = ggml_type_size(type);
        const std::size_t width = codes.size();
        const std::size_t levels = std::size_t{1} << codes.front().size();
        const auto set_code = [&](std::uint8_t* block, std::size_t i, std::size_t code) {
            for (std::size_t b = 0; b < codes[i].size(); ++b) set_bit(block, codes[i][b], ((code >> b) & 1U) != 0);
        };
        std::vector<std::uint8_t> trial(bytes);
        std::vector<float> values(levels * width);  // what every code would be, code by code
        for (Eigen::Index row = 0; row < weights.rows(); ++row) {
            std::uint8_t* const block = &column[static_cast<std::size_t>(row) * bytes];
            std::copy_n(block, bytes, trial.data());
            for (std::size_t code = 0; code < levels; ++code) {
                for (std::size_t i = 0; i < width; ++i) set_code(trial.data(), i, code);
                to_float(type, trial.data(), &values[code * width], static_cast<std::int64_t>(width));
            }
            for (std::size_t i = 0; i < width; ++i) {
                const auto at = static_cast<Eigen::Index>(i);
                std::size_t best = 0;
                float least = std::numeric_limits<float>::infinity();
                for (std::size_t code = 0; code < levels; ++code) {
                    const float error = std::abs(values[code * width + i] - weights(row, at));
                    if (error < least) least = error, best = code;
                }
                set_code(block, i, best);
                const float error = (values[best * width + i] - weights(row, at)) / feedback(at, at);
                const Eigen::Index rest = weights.cols() - at;
                weights.row(row).tail(rest) += error * feedback.row(at).tail(rest);
            }
        }
    }

    Rows feedback_;  ///< U of (XᵀX)⁻¹ = UᵀU
};

/// Σ‖(ŵ − w)·x‖² over the inputs.
double output_error(const Rows& difference, const Eigen::MatrixXf& sum)
{
    const Rows product = difference * sum.selfadjointView<Eigen::Lower>();
    return product.cwiseProduct(difference).cast<double>().sum();
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 5) stop("usage", "gptq SOURCE QUANTIZED TEXT OUTPUT");
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    ggml_backend_load_all();
    InputObserver observer;
    observe(argv[1], argv[3], observer);

    ggml_context* raw = nullptr;
    const gguf_context_ptr source(gguf_init_from_file(argv[1], {.no_alloc = false, .ctx = &raw}));
    const ggml_context_ptr weights(raw);
    const gguf_context_ptr quantized(gguf_init_from_file(argv[2], {.no_alloc = false, .ctx = &raw}));
    const ggml_context_ptr rounded(raw);
    if (!source || !quantized) stop(argv[2], "not a GGUF file");

    std::map<std::size_t, Rounder> rounders;
    std::vector<double> ratios;
    for (std::int64_t i = 0; i < gguf_get_n_tensors(quantized.get()); ++i) {
        const std::string name = gguf_get_tensor_name(quantized.get(), i);
        ggml_tensor* const tensor = ggml_get_tensor(rounded.get(), name.c_str());
        const ggml_tensor* const exact = ggml_get_tensor(weights.get(), name.c_str());
        const std::size_t place = observer.place(name);
        if (!ggml_is_quantized(tensor->type) || place == observer.sums().size()) continue;
        if (exact == nullptr || !ggml_are_same_shape(exact, tensor)) stop(argv[2], "made from another model");
        const Eigen::MatrixXf& sum = observer.sums()[place];
        Rows original(tensor->ne[1], tensor->ne[0]);
        to_float(exact->type, exact->data, original.data(), original.size());
        const auto error = [&] {
            Rows difference(original.rows(), original.cols());
            to_float(tensor->type, tensor->data, difference.data(), difference.size());
            difference -= original;
            return output_error(difference, sum);
        };
        const double before = error();
        Rows work = original;
        const auto stored = rounders.try_emplace(place, sum).first->second.round(work, tensor->type);
        std::memcpy(tensor->data, stored.data(), stored.size());
        ratios.push_back(error() / before);
    }
    if (ratios.empty()) stop(argv[2], "none of its weights is quantized and multiplied with inputs");
    const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
    std::ranges::nth_element(ratios, middle);
    std::println("{} tensors rounded anew; error of what they put out ÷ before, on that text: {:.3f} (median)", ratios.size(),
                 *middle);
    const gguf_context_ptr output(gguf_init_empty());
    gguf_set_kv(output.get(), quantized.get());
    for (std::int64_t i = 0; i < gguf_get_n_tensors(quantized.get()); ++i)
        gguf_add_tensor(output.get(), ggml_get_tensor(rounded.get(), gguf_get_tensor_name(quantized.get(), i)));
    if (!gguf_write_to_file(output.get(), argv[4], false)) stop(argv[4], "cannot be written");
}
