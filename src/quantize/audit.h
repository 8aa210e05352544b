// Digests of a model file's bytes: taken while it is written, kept in the file, and compared when it is read back.
#pragma once

#include "base/file.h"
#include "base/monitor.h"
#include "gguf/header_writer.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace apreqel {

/// Metadata: the digest of every tensor in their order, and last that of the header, taken while all of these are zero.
inline constexpr std::string_view kDigestsKey = "apreqel.digests";

/// Rows of a tensor that are read, converted and digested at a time. It follows from the shape alone, so that a tensor's
/// digest says nothing but its bytes, wherever they came from and however many threads wrote them.
[[nodiscard]] std::int64_t block_rows(std::int64_t columns);

/// Digest of the block that begins at `first_row`. The sum of a tensor's blocks, modulo 2^64, is its digest.
[[nodiscard]] std::uint64_t block_digest(std::span<const std::byte> bytes, std::int64_t first_row);

/// Digest of a header whose own digests are zero.
[[nodiscard]] std::uint64_t header_digest(std::string_view header);

/// The digests that a file carries, one per tensor and one of the header; empty if it has none.
[[nodiscard]] std::vector<std::uint64_t> recorded_digests(const Container& container);

[[nodiscard]] Result<bool> has_digests(const std::filesystem::path& path);

/// Told how many bytes more were read; false stops the reading.
using ReadProgress = std::function<bool(std::uint64_t bytes)>;

/// Reads a file that write_models made from front to back, once, and compares header, tensors and padding with the digests
/// that it carries. Any byte that changed since is an error naming its place; so is a file without digests.
/// Whether the digests are of the right weights is not asked: a wrong result of libggml has a right digest.
[[nodiscard]] Result<> verify(const std::filesystem::path& path, const ReadProgress& progress = {});

/// The same for a file that has just been written, and is to have the header of `layout`, byte for byte. It must be on the disk
/// already: what the kernel keeps of it in memory is dropped first, as far as it does as asked.
[[nodiscard]] Result<> audit(const std::filesystem::path& path, const HeaderLayout& layout, const ReadProgress& progress = {});

/// False, with a warning that names it, if the file is there and damaged; false too if it is not there, or asked to stop.
[[nodiscard]] bool is_whole(const std::filesystem::path& path, Monitor& monitor, const ReadProgress& progress = {});

}  // namespace apreqel
