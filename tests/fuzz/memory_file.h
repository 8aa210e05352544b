// Bytes as a file that is never on disk, for readers that take a path.
#pragma once

#include <sys/mman.h>
#include <unistd.h>
#include <filesystem>
#include <format>
#include <stdexcept>
#include <string_view>

namespace apreqel::fuzz {

class MemoryFile {
public:
    explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("input", MFD_CLOEXEC))
    {
        if (descriptor_ < 0 || ::write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
            throw std::runtime_error("no file in memory");
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    [[nodiscard]] std::filesystem::path path() const { return std::format("/proc/self/fd/{}", descriptor_); }

private:
    int descriptor_;
};

}  // namespace apreqel::fuzz
