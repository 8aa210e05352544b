// The weights of a loaded model, to be overwritten in place through libggml's public backend API.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <apreqel/inventory.h>

#include <map>
#include <span>
#include <string>

struct ggml_tensor;

namespace apreqel {

/// Write access to tensors of a model that was loaded with WeightAccess::writable. Lives no longer than the model.
class ModelWeights {
public:
    /// Finds `tensors` among the inputs of the model's graph, as libllama has no other public way to them.
    /// Error: one is not there, or not stored as in the file.
    [[nodiscard]] static Result<ModelWeights> find(const LoadedModel& model, std::span<const Tensor> tensors,
                                                   const Monitor& monitor);

    /// Replaces bytes of a tensor, from `offset` on.
    void write(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes);
    void read(const std::string& tensor, std::uint64_t offset, std::span<std::byte> bytes) const;

private:
    std::map<std::string, ggml_tensor*, std::less<>> tensors_;
};

}  // namespace apreqel
