// The identity of a model: equal for equal metadata and weights, whatever the file is called and however it is split.
#pragma once

#include "gguf/container.h"

#include <span>
#include <string>

namespace apreqel {

/// A shard: its file and what its header says.
struct Shard {
    InputFile file;
    Container container;
};

/// XXH3 (128 bits, 32 hex digits) over the metadata without split.*, the tensor table, and samples of each tensor's
/// bytes from its start, middle and end: reading all of a large model would take minutes.
[[nodiscard]] Result<std::string> fingerprint_of(std::span<const Shard> shards);

}  // namespace apreqel
