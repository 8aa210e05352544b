#include "base/memory.h"

#include <fstream>
#include <string>

namespace apreqel {

std::optional<std::uint64_t> available_memory()
{
    std::ifstream file("/proc/meminfo");
    std::string key;
    for (std::uint64_t kibibytes = 0; file >> key >> kibibytes; file.ignore(64, '\n')) {
        if (key == "MemAvailable:") return kibibytes * 1024;
    }
    return std::nullopt;
}

}  // namespace apreqel
