// Other machines that a model runs on, by ggml's RPC backend.
#pragma once

#include <apreqel/error.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// Gives libllama the devices of these servers, each "HOST:PORT" of a ggml-rpc-server, for the rest of the process: from then on
/// they are among those that a model runs on, and are named wherever devices are. A connection to a machine that has vanished ends
/// within 4 s, and with it libggml: see abort_error. Errors: no endpoint of IPv4, one given twice, too many; there is no RPC
/// backend; nobody listens or answers there.
[[nodiscard]] Result<> add_servers(const std::vector<std::string>& endpoints);

/// Why nobody can be reached at `endpoint` within `patience`; nothing where somebody listens.
[[nodiscard]] std::optional<std::string> unreachable(const std::string& endpoint, std::chrono::milliseconds patience);

/// What libggml's last words, "FILE:LINE: WHAT", mean: it aborts where a server is lost.
[[nodiscard]] Error abort_error(std::string_view message);

}  // namespace apreqel
