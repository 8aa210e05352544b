#include "base/scratch.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

namespace apreqel {
namespace {

std::mutex mutex;
std::set<std::filesystem::path> folders;

void remove_folder(const std::filesystem::path& path)
{
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
}

}  // namespace

Result<ScratchFolder> ScratchFolder::create(const std::filesystem::path& parent)
{
    std::string name = (parent / ".apreqel-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail("make a folder in {}: {}", parent.string(), std::strerror(errno));
    const std::lock_guard lock(mutex);
    folders.insert(name);
    return ScratchFolder(name);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

ScratchFolder::~ScratchFolder()
{
    if (path_.empty()) return;
    remove_folder(path_);
    const std::lock_guard lock(mutex);
    folders.erase(path_);
}

void remove_scratch_folders()
{
    const std::lock_guard lock(mutex);
    for (const auto& path : std::exchange(folders, {})) remove_folder(path);
}

}  // namespace apreqel
