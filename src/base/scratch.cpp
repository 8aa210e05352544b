#include "base/scratch.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace apreqel {

Result<ScratchFolder> ScratchFolder::create(const std::filesystem::path& parent)
{
    std::string name = (parent / ".apreqel-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail("make a folder in {}: {}", parent.string(), std::strerror(errno));
    return ScratchFolder(name);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

ScratchFolder::~ScratchFolder()
{
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace apreqel
