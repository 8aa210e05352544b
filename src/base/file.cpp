#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

std::string reason() { return std::strerror(errno); }

/// What is no regular file, for people.
std::string_view kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
        case S_IFDIR: return "a folder";
        case S_IFIFO: return "a FIFO";
        case S_IFSOCK: return "a socket";
        case S_IFCHR:
        case S_IFBLK: return "a device";
        default: return "something else";
    }
}

constexpr std::string_view kPart = ".part.";
constexpr std::size_t kUnique = 6;  // the characters that mkstemp chooses

/// `name` is that of a temporary file: of `destination`, or of any if that is empty.
bool is_part(std::string_view name, std::string_view destination)
{
    if (name.size() <= kPart.size() + kUnique) return false;
    const std::string_view unique = name.substr(name.size() - kUnique);
    name.remove_suffix(kUnique);
    if (!name.ends_with(kPart) || !std::ranges::all_of(unique, [](unsigned char c) { return std::isalnum(c) != 0; }))
        return false;
    name.remove_suffix(kPart.size());
    return destination.empty() || name == destination;
}

/// Removes a temporary file whose writer is gone: a living one holds its lock. Where locks do not work, nothing is removed.
void remove_if_abandoned(const fs::path& part)
{
    const int descriptor = ::open(part.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat status{};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    if (regular && ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(part.c_str());
    ::close(descriptor);
}

/// Makes a temporary file of a unique name and locks it. Nothing if another process took it for abandoned in between.
std::optional<int> create_part(std::string& temporary)
{
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (descriptor < 0) return descriptor;
    const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat status{};
    if (!held && ::fstat(descriptor, &status) == 0 && status.st_nlink > 0) return descriptor;
    ::close(descriptor);
    return std::nullopt;
}

}  // namespace

InputFile::InputFile(std::filesystem::path path, int descriptor, std::uint64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size)
{
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_)
{
}

InputFile::~InputFile()
{
    if (descriptor_ >= 0) ::close(descriptor_);
}

Result<InputFile> InputFile::open(const std::filesystem::path& path)
{
    struct stat status{};
    const auto refused = [&] { return fail("read {}: it is {}, not a regular file", path.string(), kind_of(status.st_mode)); };
    // Asked first, as opening some devices does something; and again of what was opened, as it may be another by then.
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return refused();
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return fail("read {}: {}", path.string(), reason());
    InputFile file(path, descriptor, 0);
    if (::fstat(descriptor, &status) != 0) return fail("read {}: {}", path.string(), reason());
    if (!S_ISREG(status.st_mode)) return refused();
    file.size_ = static_cast<std::uint64_t>(status.st_size);
    return file;
}

Result<> InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const
{
    while (!out.empty()) {
        const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail("read {}: {}", path_.string(), reason());
        if (got == 0) return fail("read {}: the file ends at byte {}, more was expected", path_.string(), offset);
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return {};
}

void InputFile::drop_cache() const { ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED); }

OutputFile::OutputFile(std::filesystem::path destination, std::filesystem::path temporary, int descriptor)
    : destination_(std::move(destination)), temporary_(std::move(temporary)), descriptor_(descriptor)
{
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : destination_(std::move(other.destination_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1))
{
}

OutputFile::~OutputFile()
{
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& destination)
{
    const auto target = output_target(destination);
    if (!target) return std::unexpected(target.error());
    remove_abandoned_parts_of(*target);
    // mkstemp makes the name unique, so that two runs writing one destination cannot mix their bytes.
    std::string temporary;
    std::optional<int> made;
    while (!made) {
        temporary = target->string() + std::string(kPart) + std::string(kUnique, 'X');
        made = create_part(temporary);
    }
    const int descriptor = *made;
    if (descriptor < 0) return fail("write {}: {}", destination.string(), reason());
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(descriptor, 0666 & ~mask);
    return OutputFile(*target, temporary, descriptor);
}

Result<> OutputFile::reserve(std::uint64_t bytes)
{
    const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
    if (error == 0 || error == EOPNOTSUPP || error == EINVAL) return {};
    return fail("write {}: {} ({} bytes needed)", destination_.string(), std::strerror(error), bytes);
}

Result<> OutputFile::extend(std::uint64_t bytes)
{
    if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0) return {};
    return fail("write {}: {} ({} bytes needed)", destination_.string(), reason(), bytes);
}

Result<> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail("write {}: {}", destination_.string(), reason());
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<> OutputFile::sync()
{
    if (::fsync(descriptor_) != 0) return fail("write {}: {}", destination_.string(), reason());
    return {};
}

Result<> OutputFile::commit()
{
    if (auto synced = sync(); !synced) return synced;
    if (::rename(temporary_.c_str(), destination_.c_str()) != 0) return fail("write {}: {}", destination_.string(), reason());
    ::close(std::exchange(descriptor_, -1));
    return {};
}

Result<std::filesystem::path> output_target(const std::filesystem::path& destination)
{
    struct stat status{};
    if (::lstat(destination.c_str(), &status) != 0)
        return destination;  // nothing there, or creating the file says what is wrong
    const bool link = S_ISLNK(status.st_mode);
    if (link && ::stat(destination.c_str(), &status) != 0)
        return usage_error("write {}: it is a link that leads nowhere", destination.string());
    if (!S_ISREG(status.st_mode))
        return usage_error("write {}: it is {}, not a regular file", destination.string(), kind_of(status.st_mode));
    return link ? fs::canonical(destination) : destination;
}

Result<> move_file(const std::filesystem::path& from, const std::filesystem::path& destination)
{
    const auto target = output_target(destination);
    if (!target) return std::unexpected(target.error());
    if (::rename(from.c_str(), target->c_str()) == 0) return {};
    if (errno != EXDEV) return fail("write {}: {}", destination.string(), reason());
    const auto input = InputFile::open(from);
    if (!input) return std::unexpected(input.error());
    auto output = OutputFile::create(destination);
    if (!output) return std::unexpected(output.error());
    constexpr std::uint64_t kPiece = 1 << 22;
    std::vector<std::byte> bytes;
    for (std::uint64_t offset = 0; offset < input->size(); offset += bytes.size()) {
        bytes.resize(std::min(kPiece, input->size() - offset));
        if (auto read = input->read_at(offset, bytes); !read) return read;
        if (auto written = output->write_at(offset, bytes); !written) return written;
    }
    if (auto committed = output->commit(); !committed) return committed;
    std::error_code ignored;
    fs::remove(from, ignored);
    return {};
}

Result<> check_space(const std::filesystem::path& folder, std::uint64_t bytes)
{
    std::error_code error;
    const fs::space_info space = fs::space(folder.empty() ? fs::path(".") : folder, error);
    if (error || space.available >= bytes) return {};
    return std::unexpected(Error{ErrorCode::failed,
                                 std::format("write to {}: {} bytes are needed, the disk has {} free",
                                             folder.empty() ? "." : folder.string(), bytes, space.available),
                                 "make room, or name a folder on another disk with -C DIR"});
}

void remove_abandoned_parts(const std::filesystem::path& directory)
{
    std::error_code ignored;
    for (fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied, ignored), end;
         !ignored && entry != end; entry.increment(ignored)) {
        if (is_part(entry->path().filename().string(), {})) remove_if_abandoned(entry->path());
    }
}

void remove_abandoned_parts_of(const std::filesystem::path& destination)
{
    const fs::path folder = destination.has_parent_path() ? destination.parent_path() : fs::path(".");
    std::error_code ignored;
    for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end; entry.increment(ignored))
        if (is_part(entry->path().filename().string(), destination.filename().string())) remove_if_abandoned(entry->path());
}

Result<std::string> read_text(const std::filesystem::path& path, std::uint64_t max_bytes)
{
    auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    if (file->size() > max_bytes)
        return fail("read {}: {} bytes, more than the {} allowed", path.string(), file->size(), max_bytes);
    std::string text(file->size(), '\0');
    if (auto read = file->read_at(0, std::as_writable_bytes(std::span(text))); !read) return std::unexpected(read.error());
    return text;
}

Result<> write_text(const std::filesystem::path& path, std::string_view text)
{
    auto file = OutputFile::create(path);
    if (!file) return std::unexpected(file.error());
    if (auto written = file->write_at(0, std::as_bytes(std::span(text))); !written) return written;
    return file->commit();
}

}  // namespace apreqel
