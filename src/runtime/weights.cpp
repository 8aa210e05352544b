#include "runtime/weights.h"

#include "runtime/context.h"

#include <ggml-backend.h>

#include <algorithm>

namespace apreqel {
namespace {

using Tensors = std::map<std::string, std::vector<ggml_tensor*>, std::less<>>;

/// libggml asks of every node whether it is wanted: none is, but each shows what it reads.
bool note_inputs(ggml_tensor* node, bool /*ask*/, void* wanted)
{
    for (ggml_tensor* source : node->src) {
        if (source == nullptr) continue;
        ggml_tensor* const whole = source->view_src != nullptr ? source->view_src : source;
        auto& tensors = *static_cast<Tensors*>(wanted);
        const auto entry = tensors.find(std::string_view(whole->name));
        if (entry != tensors.end() && !std::ranges::contains(entry->second, whole)) entry->second.push_back(whole);
    }
    return false;
}

}  // namespace

Result<ModelWeights> ModelWeights::find(const LoadedModel& model, std::span<const Tensor> tensors, const Monitor& monitor)
{
    ModelWeights weights;
    for (const Tensor& tensor : tensors) weights.tensors_.emplace(tensor.name, std::vector<ggml_tensor*>());

    llama_context_params params = context_params(model);
    params.n_ctx = 64;
    params.cb_eval = note_inputs;
    params.cb_eval_user_data = &weights.tensors_;
    auto llama = make_context(model, params, monitor);
    if (!llama) return std::unexpected(llama.error());
    Batch batch(2);
    const std::vector<Token> opening = model.opening();
    for (std::size_t position = 0; position < 2; ++position)
        batch.add(opening.empty() ? Token{0} : opening.front(), position, 0, true);
    if (auto decoded = batch.decode(model, llama->get()); !decoded) return std::unexpected(decoded.error());

    for (const Tensor& tensor : tensors) {
        const auto& places = weights.tensors_.at(tensor.name);
        if (places.empty() && tensor.place != TensorPlace::fixed)
            return fail("sense {}: {} is not in its graph", model.path().string(), tensor.name);
        for (const ggml_tensor* const found : places) {
            if (found->type != tensor.type.id || ggml_nbytes(found) != tensor.size_bytes || !ggml_is_contiguous(found))
                return fail("sense {}: libllama does not keep {} as in the file", model.path().string(), tensor.name);
        }
    }
    return weights;
}

void ModelWeights::write(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes)
{
    for (ggml_tensor* const place : tensors_.at(tensor)) ggml_backend_tensor_set(place, bytes.data(), offset, bytes.size());
}

}  // namespace apreqel
