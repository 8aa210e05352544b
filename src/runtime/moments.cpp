#include "runtime/moments.h"

#include "runtime/importance.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <format>
#include <optional>

namespace apreqel {
namespace {

/// One matrix, whose rows take part in all tokens.
class MatrixObserver : public InputObserver {
protected:
    explicit MatrixObserver(const Inventory& inventory) : inventory_(inventory) {}

    [[nodiscard]] bool is_whole(std::size_t tensor, const ggml_tensor& weight) const override
    {
        const auto& shape = inventory_.tensors[tensor].shape;
        return std::ranges::equal(shape, weight.ne);
    }

    const Inventory& inventory_;
};

class SharingObserver : public MatrixObserver {
public:
    explicit SharingObserver(const Inventory& inventory) : MatrixObserver(inventory)
    {
        for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
            const Tensor& tensor = inventory.tensors[t];
            const bool matrix = tensor.shape[2] == 1 && tensor.shape[3] == 1;
            if (tensor.place == TensorPlace::layer && matrix && !spans_of(tensor.columns()).empty()) watch(tensor.name, t);
        }
    }

    [[nodiscard]] std::vector<SharedInput> inputs() const
    {
        std::vector<SharedInput> inputs;
        for (const auto& [node, tensors] : by_node_) inputs.push_back(tensors);
        for (SharedInput& input : inputs) std::ranges::sort(input);
        std::ranges::sort(inputs);
        return inputs;
    }

private:
    void add(std::size_t tensor, const ggml_tensor& node) override
    {
        const bool known =
            std::ranges::any_of(by_node_, [&](const auto& i) { return std::ranges::contains(i.second, tensor); });
        if (!known) by_node_[node.src[1]].push_back(tensor);
    }

    std::map<const ggml_tensor*, SharedInput> by_node_;
};

class MomentsObserver : public MatrixObserver {
public:
    MomentsObserver(const Inventory& inventory, std::span<const SharedInput> inputs) : MatrixObserver(inventory)
    {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const std::size_t first = inputs[i].front();
            numbers_.emplace(first, i);
            watch(inventory.tensors[first].name, first);
            moments_.emplace_back(span_elements(inventory.tensors[first].columns()));
        }
    }

    [[nodiscard]] std::vector<InputMoments>& moments() { return moments_; }

private:
    using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

    void add(std::size_t tensor, const ggml_tensor& node) override
    {
        const ggml_tensor& input = *node.src[1];
        read(input, elements_);
        const auto columns = static_cast<std::size_t>(input.ne[0]);
        const std::size_t step = input.nb[0] / sizeof(float);
        rows_.resize(input.ne[1] * input.ne[2] * input.ne[3], input.ne[0]);
        Eigen::Index row = 0;
        for (std::int64_t i3 = 0; i3 < input.ne[3]; ++i3)
            for (std::int64_t i2 = 0; i2 < input.ne[2]; ++i2)
                for (std::int64_t i1 = 0; i1 < input.ne[1]; ++i1, ++row) {
                    const float* const from = elements_.data() + element(input, 0, i1, i2, i3);
                    for (std::size_t c = 0; c < columns; ++c) rows_(row, static_cast<Eigen::Index>(c)) = from[c * step];
                }
        float* sums = moments_[numbers_.at(tensor)].data();
        for (const Span& span : spans_of(input.ne[0])) {
            Eigen::Map<Rows> matrix(sums, span.width, span.width);
            matrix.selfadjointView<Eigen::Lower>().rankUpdate(rows_.middleCols(span.begin, span.width).transpose());
            sums += span.width * span.width;
        }
    }

    std::map<std::size_t, std::size_t> numbers_;  ///< of the moments, by tensor
    std::vector<InputMoments> moments_;
    std::vector<float> elements_;
    Rows rows_;
};

}  // namespace

Result<std::vector<SharedInput>> find_shared_inputs(const LoadedModel& model, const Inventory& inventory, Monitor& monitor)
{
    SharingObserver observer(inventory);
    Monitor silent;  // one token
    const Token any = 0;
    if (auto done = run_observed(model, {&any, 1}, 1, 1, {&observer}, "error feedback", silent); !done)
        return std::unexpected(done.error());
    auto inputs = observer.inputs();
    if (inputs.empty()) monitor.warn("error feedback: no weight takes part in the run that could be rounded with it");
    return inputs;
}

Result<std::vector<InputMoments>> collect_moments(const LoadedModel& model, const Inventory& inventory,
                                                  std::span<const SharedInput> inputs, std::span<const Token> tokens,
                                                  const ImportanceSettings& settings, std::string_view part,
                                                  ImportanceMatrix* importance, Monitor& monitor)
{
    const std::size_t context = settings.context;
    if (tokens.size() < context)
        return usage_error("error feedback {}: the text has {} tokens, at least {} are needed (one context)",
                           model.path().string(), tokens.size(), context);
    const std::size_t available = tokens.size() / context;
    const std::size_t chunks = settings.chunks == 0 ? available : std::min(settings.chunks, available);
    MomentsObserver observer(inventory, inputs);
    const std::string step = part.empty() ? "inputs of layers" : std::format("inputs of layers, {}", part);
    std::optional<ImportanceObserver> squares;
    std::vector<InputObserver*> observers{&observer};
    if (importance != nullptr) observers.push_back(&squares.emplace(inventory));
    if (auto done = run_observed(model, tokens, context, chunks, std::move(observers), step, monitor); !done)
        return std::unexpected(done.error());
    if (importance != nullptr) {
        auto matrix = squares->matrix(model, context, chunks, monitor);
        if (!matrix) return std::unexpected(matrix.error());
        *importance = std::move(*matrix);
    }
    monitor.end(std::format("{} inputs, {} chunks of {} tokens", inputs.size(), chunks, context));
    return std::move(observer.moments());
}

}  // namespace apreqel
