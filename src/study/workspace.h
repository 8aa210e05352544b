// The folder where a model's artifacts live. A finished artifact whose key matches is used again.
#pragma once

#include "base/monitor.h"

#include <apreqel/error.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace apreqel {

/// 16 hex digits that identify `parts` in their order.
[[nodiscard]] std::string digest(std::initializer_list<std::string_view> parts);

class Workspace {
public:
    /// `directory`, or MODEL.apreqel beside `model` if it is empty. It need not exist.
    Workspace(const std::filesystem::path& model, const std::filesystem::path& directory);

    /// Makes the folder, so that artifacts can be written.
    [[nodiscard]] Result<> create() const;

    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

    /// The path of an artifact that is valid as soon as it exists: `key` says what it was made from, and is in its name.
    /// `name` may have a folder: "quality/q4_K.json" → "quality/q4_K-<digest of key>.json".
    [[nodiscard]] std::filesystem::path keyed(std::string_view name, std::string_view key) const;

    [[nodiscard]] std::filesystem::path path(std::string_view name) const { return directory_ / name; }

    /// Keeps the checksum of an artifact that was just written, beside it in a hidden file: damage to a text, to weights or to
    /// a reference would else be taken for a result. Error: interrupted; it will be sealed when it is asked for.
    [[nodiscard]] Result<> seal(const std::filesystem::path& artifact, Monitor& monitor) const;

    /// Whether `artifact` is there as it was sealed: one sequential read, once as long as it is not changed. One that is not is set aside.
    /// Error: interrupted.
    [[nodiscard]] Result<bool> holds(const std::filesystem::path& artifact, Monitor& monitor) const;

    /// The same for one who may not change the workspace: nothing is set aside.
    [[nodiscard]] Result<bool> offers(const std::filesystem::path& artifact, Monitor& monitor) const;

    /// Removes an artifact and its seal.
    void remove(const std::filesystem::path& artifact) const;

private:
    using Stamp = std::pair<std::filesystem::file_time_type, std::uintmax_t>;

    [[nodiscard]] static Stamp stamp_of(const std::filesystem::path& artifact);
    /// Nothing where it was never sealed.
    [[nodiscard]] Result<std::optional<bool>> is_whole(const std::filesystem::path& artifact, Monitor& monitor) const;

    std::filesystem::path directory_;
    /// What was found whole, by all copies of this object, and when it was last written.
    std::shared_ptr<std::map<std::filesystem::path, Stamp>> whole_ = std::make_shared<std::map<std::filesystem::path, Stamp>>();
};

/// The right to write in a workspace, which one process has at a time. It ends with the object, or with its process however that
/// ends. So nobody removes or replaces what another works with.
class WorkspaceLock {
public:
    /// Takes the lock, and removes what processes that held it before left half written.
    /// Error: somebody else has it: who, since when, on which host; or it cannot be taken here.
    [[nodiscard]] static Result<std::shared_ptr<const WorkspaceLock>> take(const Workspace& workspace);

    explicit WorkspaceLock(int descriptor) : descriptor_(descriptor) {}
    WorkspaceLock(const WorkspaceLock&) = delete;
    WorkspaceLock& operator=(const WorkspaceLock&) = delete;
    ~WorkspaceLock();

private:
    int descriptor_;
};

/// Renames a damaged artifact to NAME.damaged, and warns of it: it will be made again.
void set_aside(const std::filesystem::path& artifact, std::string_view cause, Monitor& monitor);

/// The artifact at `path` as `read` gives it; nothing if it is not there. A damaged one is set aside.
template <typename Read>
[[nodiscard]] auto read_kept(const std::filesystem::path& path, Read read, Monitor& monitor)
    -> std::optional<typename std::invoke_result_t<Read, const std::filesystem::path&>::value_type>
{
    if (!std::filesystem::exists(path)) return std::nullopt;
    auto record = read(path);
    if (record) return std::move(*record);
    set_aside(path, record.error().message, monitor);
    return std::nullopt;
}

}  // namespace apreqel
