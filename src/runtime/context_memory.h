// What a running model keeps in memory beside its weights: asked of libllama, which knows windows, latents and recurrent states.
#pragma once

#include "base/monitor.h"
#include "runtime/settings.h"

#include <apreqel/criterion.h>
#include <apreqel/error.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace apreqel {

/// The memory of a context of `tokens` tokens for one sequence, with libllama's usual batches, as llama-server and llama-cli have
/// them. libllama makes the context without memory for it, on a model of which it reads the header alone. 0 tokens: no bytes.
/// Errors: the model cannot be loaded, the types of the KV cache do not fit it, or libllama reports nothing.
[[nodiscard]] Result<ContextMemory> context_memory(const std::filesystem::path& path, const RunSettings& settings,
                                                   std::uint64_t tokens, const Monitor& monitor);

/// The bytes that libllama reports in `lines` while it makes a context. It reports hundredths of a MiB; a KV cache of many cells
/// is exact nevertheless, as every cell has whole blocks of the cache's type. `accelerators`: names of their buffers. Its types, its
/// tokens and what of the cache is on accelerators are not filled in.
[[nodiscard]] ContextMemory reported_memory(std::span<const std::string> lines, std::span<const std::string> accelerators = {});

}  // namespace apreqel
