// libllama's context and batch behind RAII, for this folder only.
#pragma once

#include "runtime/session.h"

#include <llama-cpp.h>

namespace apreqel {

/// Loads libllama and its backends, once. Everything below does it by itself.
void start_backend();

/// A context on `model`. Error: libllama cannot make it (memory, size).
[[nodiscard]] Result<llama_context_ptr> make_context(const LoadedModel& model, llama_context_params params);

/// Default parameters with the model's threads.
[[nodiscard]] llama_context_params context_params(const LoadedModel& model);

/// Tokens to decode in one call, for one or more sequences.
class Batch {
public:
    explicit Batch(std::size_t capacity) : batch_(llama_batch_init(static_cast<int32_t>(capacity), 0, 1))
    {
        batch_.n_tokens = 0;
    }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() { llama_batch_free(batch_); }

    void clear() { batch_.n_tokens = 0; }
    void add(Token token, std::size_t position, std::size_t sequence, bool output);

    /// Runs the batch. Error: libllama refuses or fails.
    [[nodiscard]] Result<> decode(const LoadedModel& model, llama_context* context);

private:
    llama_batch batch_;
};

}  // namespace apreqel
