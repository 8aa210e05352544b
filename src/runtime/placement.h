// Where libllama puts a model, as it wants to be told; for this folder only.
#pragma once

#include "runtime/settings.h"

#include <llama.h>

#include <memory>
#include <string>
#include <vector>

namespace apreqel {

/// Accelerators and buffers that settings name. What `apply` sets points into it.
class Placement {
public:
    /// Error: there is no such accelerator, split mode or buffer, and what there is; or a pattern is no regular expression.
    [[nodiscard]] static Result<std::shared_ptr<Placement>> of(const RunSettings& settings);

    void apply(llama_model_params& params);

private:
    std::vector<ggml_backend_dev_t> devices_;  ///< with a null at the end; empty: libllama chooses
    llama_split_mode split_mode_ = LLAMA_SPLIT_MODE_LAYER;
    std::vector<std::string> patterns_;
    std::vector<llama_model_tensor_buft_override> overrides_;  ///< with nulls at the end; empty: there are none
};

/// The accelerators of this machine that settings allow.
[[nodiscard]] std::vector<ggml_backend_dev_t> accelerators(const RunSettings& settings);

/// The names of the buffers of those that have memory for a model, as libllama reports them.
[[nodiscard]] std::vector<std::string> accelerator_buffers(const RunSettings& settings);

}  // namespace apreqel
