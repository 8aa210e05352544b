#include "study/workspace.h"

#include "base/file.h"
#include "base/printable.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <format>
#include <fstream>
#include <vector>

namespace apreqel {
namespace {

/// Read between two looks at whether to stop.
constexpr std::size_t kStride = 4 << 20;

std::filesystem::path seal_of(const std::filesystem::path& artifact)
{
    return artifact.parent_path() / std::format(".{}.xxh3", artifact.filename().string());
}

Result<std::string> checksum(const std::filesystem::path& path, Monitor& monitor)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    std::vector<std::byte> bytes(std::min<std::uint64_t>(kStride, file->size()));
    for (std::uint64_t offset = 0; offset < file->size(); offset += bytes.size()) {
        if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "workspace: interrupted"});
        bytes.resize(std::min<std::uint64_t>(bytes.size(), file->size() - offset));
        if (auto read = file->read_at(offset, bytes); !read) return std::unexpected(read.error());
        XXH3_128bits_update(&state, bytes.data(), bytes.size());
    }
    const XXH128_hash_t sum = XXH3_128bits_digest(&state);
    return std::format("{:016x}{:016x}", sum.high64, sum.low64);
}

/// "process 4711 on host since 2026-11-25 12:00:00 UTC: apreqel run model.gguf".
std::string this_process()
{
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    std::string command;
    std::getline(std::ifstream("/proc/self/cmdline"), command);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    std::ranges::replace(command, '\0', ' ');
    return printable_line(std::format("process {} on {} since {:%F %T} UTC: {}", ::getpid(), host.data(), now, command));
}

/// What a process that was killed left: what it had not finished, what its probes compare with, and shapes.
void remove_leftovers(const std::filesystem::path& directory)
{
    remove_abandoned_parts(directory);
    std::error_code ignored;
    std::vector<std::filesystem::path> left;
    for (const auto& [folder, extension] : {std::pair("sense", ".expected"), std::pair("shapes", ".gguf")}) {
        for (std::filesystem::directory_iterator entry(directory / folder, ignored), end; !ignored && entry != end;
             entry.increment(ignored))
            if (entry->path().extension() == extension) left.push_back(entry->path());
    }
    for (const auto& path : left) std::filesystem::remove(path, ignored);
}

}  // namespace

std::string digest(std::initializer_list<std::string_view> parts)
{
    std::string all;
    for (const std::string_view part : parts)
        all += std::format("{}:{}", part.size(), part);  // lengths keep {"ab"} and {"a", "b"} apart
    return std::format("{:016x}", XXH3_64bits(all.data(), all.size()));
}

Workspace::Workspace(const std::filesystem::path& model, const std::filesystem::path& directory)
    : directory_(directory.empty() ? std::filesystem::path(model.string() + ".apreqel") : directory)
{
}

Result<> Workspace::create() const
{
    for (const char* folder : {"mixes", "profile", "quality", "sense", "shapes", "speed", "variants"}) {
        std::error_code error;
        std::filesystem::create_directories(directory_ / folder, error);
        if (!error) continue;
        return std::unexpected(Error{ErrorCode::failed, std::format("workspace {}: {}", directory_.string(), error.message()),
                                     "name another folder with -C DIR"});
    }
    return {};
}

std::filesystem::path Workspace::keyed(std::string_view name, std::string_view key) const
{
    std::filesystem::path path = directory_ / name;
    const std::string file = std::format("{}-{}{}", path.stem().string(), digest({key}), path.extension().string());
    return path.replace_filename(file);
}

Workspace::Stamp Workspace::stamp_of(const std::filesystem::path& artifact)
{
    std::error_code error;
    const auto written = std::filesystem::last_write_time(artifact, error);
    const std::uintmax_t size = std::filesystem::file_size(artifact, error);
    return {written, size};
}

Result<> Workspace::seal(const std::filesystem::path& artifact, Monitor& monitor) const
{
    const auto sum = checksum(artifact, monitor);
    if (!sum) return std::unexpected(sum.error());
    (*whole_)[artifact] = stamp_of(artifact);
    return write_text(seal_of(artifact), *sum);
}

Result<std::optional<bool>> Workspace::is_whole(const std::filesystem::path& artifact, Monitor& monitor) const
{
    std::error_code error;
    const Stamp stamp = stamp_of(artifact);
    if (const auto known = whole_->find(artifact); known != whole_->end() && known->second == stamp) return true;
    whole_->erase(artifact);
    const auto sealed = read_text(seal_of(artifact), kStride);
    if (!sealed && !std::filesystem::exists(seal_of(artifact), error)) return std::nullopt;
    const auto sum = checksum(artifact, monitor);
    if (!sum && sum.error().code == ErrorCode::interrupted) return std::unexpected(sum.error());
    const bool whole = sealed && sum && *sealed == *sum;
    if (whole) whole_->emplace(artifact, stamp);
    return whole;
}

Result<bool> Workspace::holds(const std::filesystem::path& artifact, Monitor& monitor) const
{
    std::error_code error;
    if (!std::filesystem::exists(artifact, error)) return false;
    const auto whole = is_whole(artifact, monitor);
    if (!whole) return std::unexpected(whole.error());
    if (!*whole) return seal(artifact, monitor).transform([] { return true; });
    if (!**whole) set_aside(artifact, "it is not as it was written", monitor);
    return **whole;
}

Result<bool> Workspace::offers(const std::filesystem::path& artifact, Monitor& monitor) const
{
    std::error_code error;
    if (!std::filesystem::exists(artifact, error)) return false;
    const auto whole = is_whole(artifact, monitor);
    if (!whole) return std::unexpected(whole.error());
    if (!whole->value_or(true)) monitor.warn(std::format("workspace: {} is damaged, and is not used", artifact.string()));
    return whole->value_or(true);
}

void Workspace::remove(const std::filesystem::path& artifact) const
{
    std::error_code ignored;
    whole_->erase(artifact);
    std::filesystem::remove(artifact, ignored);
    std::filesystem::remove(seal_of(artifact), ignored);
}

Result<std::shared_ptr<const WorkspaceLock>> WorkspaceLock::take(const Workspace& workspace)
{
    const auto refuse = [&](std::string cause, std::string hint) {
        return std::unexpected(Error{ErrorCode::failed,
                                     std::format("workspace {}: {}", workspace.directory().string(), std::move(cause)),
                                     std::move(hint)});
    };
    const auto path = workspace.path("lock");
    // The file stays: who removed it could not know that nobody has it open and is about to lock it.
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) return refuse(std::strerror(errno), "name another folder with -C DIR");
    auto lock = std::make_shared<const WorkspaceLock>(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return refuse(std::format("it cannot be locked: {}", std::strerror(errno)),
                          "name a folder on another file system with -C DIR");
        std::array<char, 1024> text{};
        const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
        const std::string_view line(text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        const std::string holder = printable_line(line.substr(0, line.find('\n')));
        return refuse("in use by " + (holder.empty() ? "another process" : holder),
                      "wait until it has ended, or name another folder with -C DIR");
    }
    std::ofstream(path, std::ios::trunc) << this_process() << '\n';  // for people only: a full disk does not take the lock away
    remove_leftovers(workspace.directory());
    return lock;
}

WorkspaceLock::~WorkspaceLock() { ::close(descriptor_); }

void set_aside(const std::filesystem::path& artifact, std::string_view cause, Monitor& monitor)
{
    std::error_code error;
    std::filesystem::rename(artifact, artifact.string() + ".damaged", error);
    monitor.warn(std::format("workspace: {} is damaged and made again{}: {}", artifact.string(),
                             error ? "" : ", the old one is kept as " + artifact.filename().string() + ".damaged", cause));
    std::filesystem::remove(seal_of(artifact), error);
}

}  // namespace apreqel
