// How stock llama.cpp is told what settings say here.
#pragma once

#include "runtime/settings.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace apreqel {

/// The command that runs `model` as it was measured: llama-server with the context that was counted, or llama-cli where none was.
/// `servers`: of RPC, HOST:PORT. It can be pasted into a POSIX shell.
[[nodiscard]] std::string llama_command(const std::filesystem::path& model, const RunSettings& settings, std::uint64_t context,
                                        std::span<const std::string> servers = {});

}  // namespace apreqel
