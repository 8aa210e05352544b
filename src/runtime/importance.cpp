#include "runtime/importance.h"

#include <algorithm>
#include <cmath>

namespace apreqel {
namespace {

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

ImportanceObserver::ImportanceObserver(const Inventory& inventory)
{
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place != TensorPlace::layer || tensor.shape[3] != 1) continue;
        const auto matrices = static_cast<std::size_t>(tensor.shape[2]);
        watch(tensor.name, sums_.size());
        sums_.push_back({.tensor = tensor.name,
                         .squares = std::vector<double>(matrices * static_cast<std::size_t>(tensor.columns())),
                         .inputs = std::vector<std::uint64_t>(matrices)});
    }
}

bool ImportanceObserver::is_whole(std::size_t number, const ggml_tensor& weight) const
{
    const InputSums& sums = sums_[number];
    return weight.ne[2] == static_cast<std::int64_t>(sums.inputs.size()) &&
           static_cast<std::size_t>(weight.ne[0] * weight.ne[2]) == sums.squares.size();
}

void ImportanceObserver::add(std::size_t number, const ggml_tensor& node)
{
    InputSums& sums = sums_[number];
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

void ImportanceObserver::add_row(const ggml_tensor& input, std::int64_t i1, std::int64_t i2, std::int64_t i3,
                                 std::int64_t matrix, InputSums& sums) const
{
    const auto columns = static_cast<std::size_t>(input.ne[0]);
    const std::size_t step = input.nb[0] / sizeof(float);
    const float* const row = input_.data() + element(input, 0, i1, i2, i3);
    double* const squares = sums.squares.data() + static_cast<std::size_t>(matrix) * columns;
    for (std::size_t c = 0; c < columns; ++c) squares[c] += double{row[c * step]} * row[c * step];
    ++sums.inputs[static_cast<std::size_t>(matrix)];
}

Result<ImportanceMatrix> ImportanceObserver::matrix(const LoadedModel& model, std::size_t context, std::size_t chunks,
                                                    Monitor& monitor)
{
    for (const InputSums& entry : sums_) {
        // As stored: a sum beyond f32 would be read as damage.
        if (std::ranges::any_of(entry.squares, [](double sum) { return !std::isfinite(static_cast<float>(sum)); }))
            return fail("imatrix {}: the inputs of {} are not finite numbers", model.path().string(), entry.tensor);
    }
    warn_of_gaps(sums_, monitor);
    std::erase_if(sums_, [](const InputSums& entry) {
        return std::ranges::all_of(entry.inputs, [](std::uint64_t inputs) { return inputs == 0; });
    });
    if (sums_.empty()) return fail("imatrix {}: its weights take no part in the run", model.path().string());
    return ImportanceMatrix{.tensors = std::move(sums_), .text = {}, .context = context, .chunks = chunks};
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
    ImportanceObserver observer(inventory);
    if (auto done = run_observed(model, tokens, context, chunks, {&observer}, "imatrix", monitor); !done)
        return std::unexpected(done.error());

    auto matrix = observer.matrix(model, context, chunks, monitor);
    if (!matrix) return matrix;
    monitor.end(std::format("{} tensors, {} chunks of {} tokens", matrix->tensors.size(), chunks, context));
    return matrix;
}

}  // namespace apreqel
