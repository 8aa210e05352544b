// Small random models of many architectures. libllama makes their tensors from the metadata: names and shapes are its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace apreqel {

/// A number for the model, or one for each block; floating point where the key wants that.
using Hyperparameter = std::variant<std::uint32_t, float, std::vector<std::uint32_t>>;

struct Architecture {
    std::string name;                                ///< general.architecture
    std::string kind;                                ///< what it is an example of
    std::map<std::string, Hyperparameter> metadata;  ///< beside that of a model of 3 blocks, 64 wide, with 2 heads
    std::string attention;                           ///< roles of blk.1 that take types beside the FFN's, in the order of names
    std::string ffn;                                 ///< those of the FFN
    std::vector<std::string> without{};              ///< roles libllama also reads, but real files of today lack
};

/// The most used first.
[[nodiscard]] std::span<const Architecture> architectures();

/// Writes the model, in f32, into `folder` and returns its path. Same architecture, same bytes.
[[nodiscard]] std::filesystem::path make_architecture(const std::filesystem::path& folder, const Architecture& architecture);

}  // namespace apreqel
