// What can be done with a model, as far as its header tells: known before anything is measured, sampled or written.
#pragma once

#include <apreqel/inventory.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

enum class Task {
    load,      ///< libllama can run it
    text,      ///< it can be given text, and so be measured
    score,     ///< the contribution of its layers can be told from the residual stream
    quantize,  ///< libggml can make every other type from its weights
};

/// Something that cannot be done, and why.
struct Obstacle {
    Task task;
    std::string reason;  ///< "it has no tokenizer"
};

struct Readiness {
    std::vector<Obstacle> obstacles;
    /// Bytes of the KV cache for one token of context, in f16 as libllama keeps it; nothing where the metadata do not tell.
    std::optional<std::uint64_t> kv_bytes_per_token;
};

/// Reads the header of the model's first file again. Error: it cannot be read.
[[nodiscard]] Result<Readiness> readiness_of(const Inventory& inventory);

/// Error: one of `tasks` is impossible; the first reason is the cause. `verb` begins the message.
[[nodiscard]] Result<> check_ready(const Inventory& inventory, std::string_view verb, std::initializer_list<Task> tasks);

}  // namespace apreqel
