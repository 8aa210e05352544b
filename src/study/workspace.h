// The folder where a model's artifacts live. A finished artifact whose key matches is used again.
#pragma once

#include <apreqel/error.h>

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

namespace apreqel {

/// 16 hex digits that identify `parts` in their order.
[[nodiscard]] std::string digest(std::initializer_list<std::string_view> parts);

class Workspace {
public:
    /// `directory`, or MODEL.apreqel beside `model` if it is empty. It need not exist.
    Workspace(const std::filesystem::path& model, const std::filesystem::path& directory);

    /// Makes the folder, so that artifacts can be written.
    [[nodiscard]] Result<> create() const;

    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

    /// The path of an artifact that is valid as soon as it exists: `key` says what it was made from, and is in its name.
    /// `name` may have a folder: "quality/q4_K.json" → "quality/q4_K-<digest of key>.json".
    [[nodiscard]] std::filesystem::path keyed(std::string_view name, std::string_view key) const;

    [[nodiscard]] std::filesystem::path path(std::string_view name) const { return directory_ / name; }

private:
    std::filesystem::path directory_;
};

}  // namespace apreqel
