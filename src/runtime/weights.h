// The weights of a loaded model, to be overwritten in place through libggml's public backend API.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <apreqel/inventory.h>

#include <map>
#include <span>
#include <string>
#include <vector>

struct ggml_tensor;

namespace apreqel {

/// Write access to tensors of a model that was loaded with WeightAccess::writable. Lives no longer than the model.
class ModelWeights {
public:
    /// Finds `tensors` among the inputs of the model's graph, as libllama has no other public way to them.
    /// Error: one is not there, unless it is a norm or the like, or not stored as in the file.
    [[nodiscard]] static Result<ModelWeights> find(const LoadedModel& model, std::span<const Tensor> tensors,
                                                   const Monitor& monitor);

    /// Replaces bytes of a tensor, from `offset` on; of each of its copies, where several devices have one.
    void write(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes);

private:
    std::map<std::string, std::vector<ggml_tensor*>, std::less<>> tensors_;
};

}  // namespace apreqel
