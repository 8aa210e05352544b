// The memory of this machine.
#pragma once

#include <cstdint>
#include <optional>

namespace apreqel {

/// Bytes that processes can have without swapping; nothing where the system does not say.
[[nodiscard]] std::optional<std::uint64_t> available_memory();

}  // namespace apreqel
