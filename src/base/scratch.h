// A folder for what is needed for a while.
#pragma once

#include <apreqel/error.h>

#include <filesystem>

namespace apreqel {

/// A new folder within another, removed with all that is in it when the object ends.
class ScratchFolder {
public:
    /// Error: it cannot be made there.
    [[nodiscard]] static Result<ScratchFolder> create(const std::filesystem::path& parent);

    ScratchFolder(ScratchFolder&& other) noexcept;
    ScratchFolder& operator=(ScratchFolder&&) = delete;
    ~ScratchFolder();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}

    std::filesystem::path path_;
};

/// Removes all there are. For a program that ends where no object does.
void remove_scratch_folders();

}  // namespace apreqel
