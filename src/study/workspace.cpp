#include "study/workspace.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <format>

namespace apreqel {

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
    for (const char* folder : {"mixes", "sense", "quality", "speed", "variants"}) {
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

}  // namespace apreqel
