#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace apreqel {
namespace {

std::string reason() { return std::strerror(errno); }

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
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return fail("read {}: {}", path.string(), reason());
    InputFile file(path, descriptor, 0);
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) return fail("read {}: {}", path.string(), reason());
    if (!S_ISREG(status.st_mode)) return fail("read {}: not a regular file", path.string());
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
    // mkstemp makes the name unique, so that two runs writing one destination cannot mix their bytes.
    std::string temporary = destination.string() + ".part.XXXXXX";
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (descriptor < 0) return fail("write {}: {}", destination.string(), reason());
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(descriptor, 0666 & ~mask);
    return OutputFile(destination, temporary, descriptor);
}

Result<> OutputFile::reserve(std::uint64_t bytes)
{
    const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
    if (error == 0 || error == EOPNOTSUPP || error == EINVAL) return {};
    return fail("write {}: {} ({} bytes needed)", destination_.string(), std::strerror(error), bytes);
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

Result<> OutputFile::copy_at(std::uint64_t offset, const InputFile& source, std::uint64_t source_offset, std::uint64_t bytes)
{
    while (bytes > 0) {
        auto in = static_cast<off_t>(source_offset);
        auto out = static_cast<off_t>(offset);
        const ssize_t copied = ::copy_file_range(source.descriptor(), &in, descriptor_, &out, bytes, 0);
        if (copied < 0 && errno == EINTR) continue;
        if (copied <= 0) break;  // not between these file systems, or an error that read or write will name
        source_offset += static_cast<std::uint64_t>(copied);
        offset += static_cast<std::uint64_t>(copied);
        bytes -= static_cast<std::uint64_t>(copied);
    }
    std::string buffer;
    while (bytes > 0) {
        buffer.resize(std::min<std::uint64_t>(bytes, 1U << 22));
        const std::span chunk = std::as_writable_bytes(std::span(buffer));
        if (auto read = source.read_at(source_offset, chunk); !read) return read;
        if (auto written = write_at(offset, chunk); !written) return written;
        source_offset += chunk.size();
        offset += chunk.size();
        bytes -= chunk.size();
    }
    return {};
}

Result<> OutputFile::commit()
{
    if (::fsync(descriptor_) != 0) return fail("write {}: {}", destination_.string(), reason());
    if (::rename(temporary_.c_str(), destination_.c_str()) != 0) return fail("write {}: {}", destination_.string(), reason());
    ::close(std::exchange(descriptor_, -1));
    return {};
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
