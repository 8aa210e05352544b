// Comparison of model files by what they hold.
#pragma once

#include <filesystem>
#include <string>

namespace apreqel {

/// The first tensor, by name, that two GGUF files do not hold with the same type, shape and bytes; empty if there is none.
std::string different_tensor(const std::filesystem::path& left, const std::filesystem::path& right);

/// Whether two files hold the same bytes.
bool same_bytes(const std::filesystem::path& left, const std::filesystem::path& right);

/// A whole file.
std::string slurp(const std::filesystem::path& path);
void spill(const std::filesystem::path& path, const std::string& bytes);

}  // namespace apreqel
