#include "runtime/importance.h"

#include "runtime/context.h"

#include <ggml-backend.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace apreqel {
namespace {

/// Tokens per decode call. Every call outputs all its tokens, as the last block only keeps the rows of outputs; this bounds
/// the logits to kSlice × vocabulary. It is llama-imatrix's -ub, so that with -b 512 it runs the very same batches.
constexpr std::size_t kSlice = 512;

/// Sums up the inputs of the inventory's weights while the graph is evaluated.
///
/// libggml shows a multiplication once it is done, when its inputs are still intact: their memory is free for others only
/// after it. The sums are in double, so that rounding does not grow with the text.
class InputObserver {
public:
    explicit InputObserver(const Inventory& inventory)
    {
        for (const Tensor& tensor : inventory.tensors) {
            if (tensor.place != TensorPlace::layer || tensor.shape[3] != 1) continue;
            const auto matrices = static_cast<std::size_t>(tensor.shape[2]);
            positions_.emplace(tensor.name, sums_.size());
            sums_.push_back({.tensor = tensor.name,
                             .squares = std::vector<double>(matrices * static_cast<std::size_t>(tensor.columns())),
                             .inputs = std::vector<std::uint64_t>(matrices)});
        }
    }

    /// libggml asks for each node whether it is wanted, and later shows those that are. False on showing would stop it.
    static bool callback(ggml_tensor* node, bool ask, void* self)
    {
        auto& observer = *static_cast<InputObserver*>(self);
        InputSums* const sums = observer.find(*node);
        if (sums != nullptr && !ask) observer.add(*node, *sums);
        return sums != nullptr || !ask;
    }

    [[nodiscard]] std::vector<InputSums>& sums() { return sums_; }

private:
    /// Where the inputs of `node` go, if it multiplies with a weight of the inventory.
    [[nodiscard]] InputSums* find(const ggml_tensor& node)
    {
        if (node.op != GGML_OP_MUL_MAT && node.op != GGML_OP_MUL_MAT_ID) return nullptr;
        const ggml_tensor& weight = *node.src[0];
        const auto position = positions_.find(name_of_original(weight.name));
        if (position == positions_.end() || node.src[1]->type != GGML_TYPE_F32) return nullptr;
        InputSums& sums = sums_[position->second];
        const bool whole = weight.ne[2] == static_cast<std::int64_t>(sums.inputs.size()) &&
                           static_cast<std::size_t>(weight.ne[0] * weight.ne[2]) == sums.squares.size();
        return whole ? &sums : nullptr;
    }

    void add(const ggml_tensor& node, InputSums& sums)
    {
        const ggml_tensor& weight = *node.src[0];
        const ggml_tensor& input = *node.src[1];
        read(input, input_);
        if (node.op == GGML_OP_MUL_MAT) {
            const std::int64_t shared = input.ne[2] / weight.ne[2];  // matrices of the input that one of the weight serves
            for (std::int64_t i3 = 0; i3 < input.ne[3]; ++i3) {
                for (std::int64_t i2 = 0; i2 < input.ne[2]; ++i2) {
                    for (std::int64_t i1 = 0; i1 < input.ne[1]; ++i1) add_row(input, i1, i2, i3, i2 / shared, sums);
                }
            }
            return;
        }
        // For each token the experts it goes to, and for each of these a row of its own, or one that all share.
        const ggml_tensor& experts = *node.src[2];
        read(experts, experts_);
        for (std::int64_t token = 0; token < experts.ne[1]; ++token) {
            for (std::int64_t i = 0; i < experts.ne[0]; ++i) {
                const std::int32_t expert = experts_[element(experts, i, token)];
                if (expert < 0 || expert >= weight.ne[2]) continue;
                add_row(input, i % input.ne[1], token, 0, expert, sums);
            }
        }
    }

    void add_row(const ggml_tensor& input, std::int64_t i1, std::int64_t i2, std::int64_t i3, std::int64_t matrix,
                 InputSums& sums) const
    {
        const auto columns = static_cast<std::size_t>(input.ne[0]);
        const std::size_t step = input.nb[0] / sizeof(float);
        const float* const row = input_.data() + element(input, 0, i1, i2, i3);
        double* const squares = sums.squares.data() + static_cast<std::size_t>(matrix) * columns;
        for (std::size_t c = 0; c < columns; ++c) squares[c] += double{row[c * step]} * row[c * step];
        ++sums.inputs[static_cast<std::size_t>(matrix)];
    }

    /// Everything between the first and the last byte of `tensor`, wherever it is: its rows may lie apart, or overlap.
    template <typename T>
    static void read(const ggml_tensor& tensor, std::vector<T>& elements)
    {
        elements.resize(ggml_nbytes(&tensor) / sizeof(T));
        ggml_backend_tensor_get(&tensor, elements.data(), 0, ggml_nbytes(&tensor));
    }

    /// Place of an element among what `read` gives; elements are 4 bytes.
    static std::size_t element(const ggml_tensor& tensor, std::int64_t i0, std::int64_t i1, std::int64_t i2 = 0,
                               std::int64_t i3 = 0)
    {
        const std::array<std::int64_t, 4> place{i0, i1, i2, i3};
        std::size_t bytes = 0;
        for (std::size_t d = 0; d < place.size(); ++d) bytes += static_cast<std::size_t>(place[d]) * tensor.nb[d];
        return bytes / sizeof(float);
    }

    std::map<std::string, std::size_t, std::less<>> positions_;  ///< of each weight in `sums_`
    std::vector<InputSums> sums_;
    std::vector<float> input_;
    std::vector<std::int32_t> experts_;
};

/// Says which weights and experts the text did not reach: all their columns will count alike.
void warn_of_gaps(const std::vector<InputSums>& all, Monitor& monitor)
{
    std::size_t unused = 0;
    std::size_t experts = 0;
    std::size_t unused_experts = 0;
    for (const InputSums& sums : all) {
        const auto gaps = static_cast<std::size_t>(std::ranges::count(sums.inputs, std::uint64_t{0}));
        if (gaps == sums.inputs.size()) {
            ++unused;
        } else if (sums.inputs.size() > 1) {
            experts += sums.inputs.size();
            unused_experts += gaps;
        }
    }
    if (unused > 0) monitor.warn(std::format("imatrix: {} of {} tensors took no part in the run", unused, all.size()));
    if (unused_experts > 0) {
        monitor.warn(std::format("imatrix: the text reached only {} of {} matrices of experts; more text reaches more of them",
                                 experts - unused_experts, experts));
    }
}

}  // namespace

std::string_view name_of_original(std::string_view name)
{
    const std::size_t begin = name.find('#');
    if (begin == std::string_view::npos) return name;
    const std::size_t end = name.rfind('#');
    return end > begin ? name.substr(begin + 1, end - begin - 1) : name.substr(begin + 1);
}

Result<ImportanceMatrix> collect_importance(const LoadedModel& model, const Inventory& inventory, std::span<const Token> tokens,
                                            const ImportanceSettings& settings, Monitor& monitor)
{
    const std::size_t context = settings.context;
    if (tokens.size() < context) {
        return usage_error("imatrix {}: the text has {} tokens, at least {} are needed (one context)", model.path().string(),
                           tokens.size(), context);
    }
    const std::size_t available = tokens.size() / context;
    const std::size_t chunks = settings.chunks == 0 ? available : std::min(settings.chunks, available);
    const std::size_t slice = std::min(kSlice, context);
    const std::vector<Token> opening = model.opening();

    InputObserver observer(inventory);
    llama_context_params params = context_params(model);
    params.n_ctx = static_cast<uint32_t>(context);
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(slice);
    params.cb_eval = InputObserver::callback;
    params.cb_eval_user_data = &observer;
    auto llama = make_context(model, params, monitor);
    if (!llama) return std::unexpected(llama.error());

    Batch batch(slice);
    monitor.begin("imatrix", static_cast<double>(chunks));
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        llama_memory_clear(llama_get_memory(llama->get()), true);
        for (std::size_t begin = 0; begin < context; begin += slice) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "imatrix: interrupted"});
            const std::size_t end = std::min(begin + slice, context);
            batch.clear();
            for (std::size_t i = begin; i < end; ++i) {
                const bool opens = i == 0 && !opening.empty();
                batch.add(opens ? opening.front() : tokens[chunk * context + i], i, 0, true);
            }
            if (auto decoded = batch.decode(model, llama->get()); !decoded) return std::unexpected(decoded.error());
            monitor.advance(static_cast<double>(chunk) + static_cast<double>(end) / static_cast<double>(context));
        }
    }

    std::vector<InputSums>& sums = observer.sums();
    for (const InputSums& entry : sums) {
        // As stored: a sum beyond f32 would be read as damage.
        if (std::ranges::any_of(entry.squares, [](double sum) { return !std::isfinite(static_cast<float>(sum)); }))
            return fail("imatrix {}: the inputs of {} are not finite numbers", model.path().string(), entry.tensor);
    }
    warn_of_gaps(sums, monitor);
    std::erase_if(sums, [](const InputSums& entry) {
        return std::ranges::all_of(entry.inputs, [](std::uint64_t inputs) { return inputs == 0; });
    });
    if (sums.empty()) return fail("imatrix {}: its weights take no part in the run", model.path().string());
    monitor.end(std::format("{} tensors, {} chunks of {} tokens", sums.size(), chunks, context));
    return ImportanceMatrix{.tensors = std::move(sums), .text = {}, .context = context, .chunks = chunks};
}

}  // namespace apreqel
