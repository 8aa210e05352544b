// Checks of the metadata that libllama trusts: values that would stop it with an assertion instead of an error.
#pragma once

#include "gguf/container.h"

#include <string>

namespace apreqel {

/// Error: the file is not a language model of blocks, or a value would crash libllama. `path` is for the message,
/// `blocks` the blocks found among the tensors.
[[nodiscard]] Result<> check_metadata(const Container& container, const std::string& path, std::size_t blocks);

}  // namespace apreqel
