// Files as the program uses them: read at an offset, written whole or not at all.
#pragma once

#include <apreqel/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace apreqel {

/// A file open for reading. Safe to use from several threads at once.
class InputFile {
public:
    [[nodiscard]] static Result<InputFile> open(const std::filesystem::path& path);

    InputFile(InputFile&& other) noexcept;
    InputFile& operator=(InputFile&&) = delete;
    ~InputFile();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] int descriptor() const { return descriptor_; }

    /// Fills `out` from `offset`. Error: the file ends before, or cannot be read.
    [[nodiscard]] Result<> read_at(std::uint64_t offset, std::span<std::byte> out) const;

private:
    InputFile(std::filesystem::path path, int descriptor, std::uint64_t size);

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
};

/// A file written under a temporary name beside its destination: `commit` syncs and renames it into place; destroyed
/// without commit, it is removed and the destination stays as it was. `write_at` is safe from several threads at once.
class OutputFile {
public:
    [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& destination);

    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    [[nodiscard]] const std::filesystem::path& temporary_path() const { return temporary_; }
    [[nodiscard]] int descriptor() const { return descriptor_; }

    /// Reserves `bytes` on disk, so that a full disk is an error now and not hours later.
    [[nodiscard]] Result<> reserve(std::uint64_t bytes);
    [[nodiscard]] Result<> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    /// Copies `bytes` from `source`, inside the kernel where it can.
    [[nodiscard]] Result<> copy_at(std::uint64_t offset, const InputFile& source, std::uint64_t source_offset,
                                   std::uint64_t bytes);
    [[nodiscard]] Result<> commit();

private:
    OutputFile(std::filesystem::path destination, std::filesystem::path temporary, int descriptor);

    std::filesystem::path destination_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
};

/// The whole content of a small file. Error: unreadable, or larger than `max_bytes`.
[[nodiscard]] Result<std::string> read_text(const std::filesystem::path& path, std::uint64_t max_bytes = 1ULL << 30);

/// Writes a whole small file atomically.
[[nodiscard]] Result<> write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace apreqel
