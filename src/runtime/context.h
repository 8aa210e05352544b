// libllama's context and batch behind RAII, for this folder only.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <llama-cpp.h>

namespace apreqel {

/// Loads libllama and its backends, once. Everything below does it by itself.
void start_backend();

/// A context on `model` that stops computing when `monitor` asks to, which must outlive it: on the processor within the step of
/// a graph, on an accelerator before the next batch. `said`: what libllama reported of it, line by line.
/// Error: libllama cannot make it (memory, size, types of the KV cache).
[[nodiscard]] Result<llama_context_ptr> make_context(const LoadedModel& model, llama_context_params params,
                                                     const Monitor& monitor, std::vector<std::string>* said = nullptr);

/// What a `status` of llama_decode that is not 0 means, with libllama's own last words: ErrorCode::interrupted if the monitor
/// of the context stopped it.
[[nodiscard]] Error decode_error(const LoadedModel& model, std::int32_t status, std::string_view said = {});

/// Default parameters with the threads of the model's settings, and the place of the KV cache.
[[nodiscard]] llama_context_params context_params(const LoadedModel& model);

/// The same, with the types of the KV cache too. Error: no such type.
[[nodiscard]] Result<llama_context_params> context_params(const LoadedModel& model, const CacheTypes& cache);

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

    /// Runs the batch. Error: libllama refuses or fails, or was stopped.
    [[nodiscard]] Result<> decode(const LoadedModel& model, llama_context* context);

private:
    llama_batch batch_;
};

}  // namespace apreqel
