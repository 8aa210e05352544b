#include "runtime/inputs.h"

#include "runtime/context.h"

#include <ggml-backend.h>

#include <algorithm>
#include <array>
#include <format>

namespace apreqel {
namespace {

/// Tokens per decode call; bounds the logits to kSlice × vocabulary. It is llama-imatrix's -ub, so that with -b 512 it runs the
/// very same batches.
constexpr std::size_t kSlice = 512;

/// For llama_context_params::cb_eval. libggml asks for each node whether it is wanted, and later shows those that are. False on
/// showing would stop it.
bool show(ggml_tensor* node, bool ask, void* observers)
{
    bool wanted = false;
    for (InputObserver* observer : *static_cast<std::vector<InputObserver*>*>(observers))
        wanted = observer->visit(*node, !ask) || wanted;
    return wanted || !ask;
}

}  // namespace

std::string_view name_of_original(std::string_view name)
{
    const std::size_t begin = name.find('#');
    if (begin == std::string_view::npos) return name;
    const std::size_t end = name.rfind('#');
    return end > begin ? name.substr(begin + 1, end - begin - 1) : name.substr(begin + 1);
}

bool InputObserver::visit(const ggml_tensor& node, bool shown)
{
    std::size_t number = 0;
    const bool wanted = find(node, number);
    if (wanted && shown) add(number, node);
    return wanted;
}

bool InputObserver::find(const ggml_tensor& node, std::size_t& number) const
{
    if (node.op != GGML_OP_MUL_MAT && node.op != GGML_OP_MUL_MAT_ID) return false;
    const ggml_tensor& weight = *node.src[0];
    const auto found = numbers_.find(name_of_original(weight.name));
    if (found == numbers_.end() || node.src[1]->type != GGML_TYPE_F32) return false;
    number = found->second;
    return is_whole(number, weight);
}

void InputObserver::read_bytes(const ggml_tensor& tensor, void* to)
{
    ggml_backend_tensor_get(&tensor, to, 0, ggml_nbytes(&tensor));
}

std::size_t InputObserver::element(const ggml_tensor& tensor, std::int64_t i0, std::int64_t i1, std::int64_t i2,
                                   std::int64_t i3)
{
    const std::array<std::int64_t, 4> place{i0, i1, i2, i3};
    std::size_t bytes = 0;
    for (std::size_t d = 0; d < place.size(); ++d) bytes += static_cast<std::size_t>(place[d]) * tensor.nb[d];
    return bytes / sizeof(float);
}

Result<> run_observed(const LoadedModel& model, std::span<const Token> tokens, std::size_t context, std::size_t chunks,
                      std::vector<InputObserver*> observers, std::string_view step, Monitor& monitor)
{
    const std::size_t slice = std::min(kSlice, context);
    const std::vector<Token> opening = model.opening();
    llama_context_params params = context_params(model);
    params.n_ctx = static_cast<uint32_t>(context);
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(slice);
    params.cb_eval = show;
    params.cb_eval_user_data = &observers;
    auto llama = make_context(model, params, monitor);
    if (!llama) return std::unexpected(llama.error());

    Batch batch(slice);
    monitor.begin(step, static_cast<double>(chunks));
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        llama_memory_clear(llama_get_memory(llama->get()), true);
        for (std::size_t begin = 0; begin < context; begin += slice) {
            if (monitor.stop_requested())
                return std::unexpected(Error{ErrorCode::interrupted, std::format("{}: interrupted", step)});
            const std::size_t end = std::min(begin + slice, context);
            batch.clear();
            for (std::size_t i = begin; i < end; ++i) {
                const bool opens = i == 0 && !opening.empty();
                batch.add(opens ? opening.front() : tokens[chunk * context + i], i, 0, true);
            }
            if (auto decoded = batch.decode(model, llama->get()); !decoded) return decoded;
            monitor.advance(static_cast<double>(chunk) + static_cast<double>(end) / static_cast<double>(context));
        }
    }
    return {};
}

}  // namespace apreqel
