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
    /// Errors: not there, not readable, or no regular file: a FIFO, socket, device or folder is refused and never waited for.
    [[nodiscard]] static Result<InputFile> open(const std::filesystem::path& path);

    InputFile(InputFile&& other) noexcept;
    InputFile& operator=(InputFile&&) = delete;
    ~InputFile();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] int descriptor() const { return descriptor_; }

    /// Fills `out` from `offset`. Error: the file ends before, or cannot be read.
    [[nodiscard]] Result<> read_at(std::uint64_t offset, std::span<std::byte> out) const;

    /// Asks the kernel to forget what it keeps of the file in memory, so that the next read comes from the disk. A hint: pages
    /// that are not written back yet stay.
    void drop_cache() const;

private:
    InputFile(std::filesystem::path path, int descriptor, std::uint64_t size);

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
};

/// A file written under a temporary name beside its destination: `commit` syncs and renames it into place; destroyed
/// without commit, it is removed and the destination stays as it was. `write_at` is safe from several threads at once.
/// The temporary file is locked as long as it is written; those of killed processes are not, and are removed by the next
/// writer of the same destination.
class OutputFile {
public:
    /// Errors: the folder cannot be written; see output_target.
    [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& destination);

    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    [[nodiscard]] const std::filesystem::path& temporary_path() const { return temporary_; }
    [[nodiscard]] int descriptor() const { return descriptor_; }

    /// Reserves `bytes` on disk, so that a full disk is an error now and not hours later.
    [[nodiscard]] Result<> reserve(std::uint64_t bytes);
    /// Makes the file that long; what is not written is a hole, which reads as zeros and takes no room.
    [[nodiscard]] Result<> extend(std::uint64_t bytes);
    [[nodiscard]] Result<> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    /// What was written so far is on the disk.
    [[nodiscard]] Result<> sync();
    [[nodiscard]] Result<> commit();

private:
    OutputFile(std::filesystem::path destination, std::filesystem::path temporary, int descriptor);

    std::filesystem::path destination_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
};

/// The file that writing to `destination` makes or replaces: a symbolic link is followed, so that the link stays and the file
/// it names is replaced. Usage error: something is there that is no regular file, or a link leads nowhere.
[[nodiscard]] Result<std::filesystem::path> output_target(const std::filesystem::path& destination);

/// Gives a whole file another name, replacing what is there: see output_target. To another file system it is copied, and appears
/// there whole or not at all.
[[nodiscard]] Result<> move_file(const std::filesystem::path& from, const std::filesystem::path& destination);

/// Error, with needed and free bytes: the file system of `folder` has less than `bytes` left for this user. A folder that
/// cannot be asked is no error: writing will tell.
[[nodiscard]] Result<> check_space(const std::filesystem::path& folder, std::uint64_t bytes);

/// Removes the temporary files of OutputFile that no process holds, anywhere below `directory`; links are not followed.
void remove_abandoned_parts(const std::filesystem::path& directory);

/// Removes those of one destination, as OutputFile::create does.
void remove_abandoned_parts_of(const std::filesystem::path& destination);

/// The whole content of a small file. Error: unreadable, or larger than `max_bytes`.
[[nodiscard]] Result<std::string> read_text(const std::filesystem::path& path, std::uint64_t max_bytes = 1ULL << 30);

/// Writes a whole small file atomically.
[[nodiscard]] Result<> write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace apreqel
