#include "quantize/audit.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace apreqel {
namespace {

constexpr std::int64_t kBlockWeights = 256 << 10;  // 1 MiB as F32: source, weights and result stay in the cache of one core

std::string_view text_of(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

/// Walks a file from front to back.
class Reader {
public:
    Reader(const InputFile& file, const ReadProgress& progress) : file_(file), progress_(progress) {}

    /// The next `count` bytes, valid until the next call.
    Result<std::span<const std::byte>> next(std::uint64_t count)
    {
        buffer_.resize(count);
        if (auto read = file_.read_at(position_, buffer_); !read) return std::unexpected(read.error());
        position_ += count;
        if (progress_ && !progress_(count))
            return std::unexpected(Error{ErrorCode::interrupted, std::format("read {}: stopped", file_.path().string())});
        return buffer_;
    }

    [[nodiscard]] std::uint64_t position() const { return position_; }

private:
    const InputFile& file_;
    const ReadProgress& progress_;
    std::uint64_t position_ = 0;
    std::vector<std::byte> buffer_;
};

std::unexpected<Error> damaged(const InputFile& file, std::string_view what)
{
    return fail("read {}: damaged: {} is not as it was written", file.path().string(), what);
}

/// Header, digests included, up to the first tensor.
Result<> check_header(const InputFile& file, const Container& container, std::string header, std::uint64_t digest)
{
    const MetadataEntry& entry = *container.find(kDigestsKey);
    const std::size_t bytes = entry.count * sizeof(std::uint64_t);  // the last of the entry
    std::ranges::fill(std::span(header).subspan(entry.end - bytes, bytes), '\0');
    return header_digest(header) == digest ? Result<>() : damaged(file, "the header");
}

Result<> check_tensor(const InputFile& file, const StoredTensor& tensor, std::uint64_t digest, Reader& reader)
{
    const std::int64_t rows = tensor.shape[1] * tensor.shape[2] * tensor.shape[3];
    const std::uint64_t row = tensor.size_bytes / static_cast<std::uint64_t>(rows);
    const std::int64_t step = block_rows(tensor.shape[0]);
    std::uint64_t sum = 0;
    for (std::int64_t first = 0; first < rows; first += step) {
        const auto block = reader.next(static_cast<std::uint64_t>(std::min(step, rows - first)) * row);
        if (!block) return std::unexpected(block.error());
        sum += block_digest(*block, first);
    }
    return sum == digest ? Result<>() : damaged(file, tensor.name);
}

Result<> check_file(const InputFile& file, const ReadProgress& progress, const HeaderLayout* expected)
{
    const auto container = Container::read(file);
    if (!container) return std::unexpected(container.error());
    const std::vector<StoredTensor>& tensors = container->tensors();
    const std::vector<std::uint64_t> digests = recorded_digests(*container);
    if (digests.empty()) return fail("read {}: it has no digests of its tensors", file.path().string());
    Reader reader(file, progress);
    const auto header = reader.next(tensors.front().offset);
    if (!header) return std::unexpected(header.error());
    if (expected && text_of(*header) != expected->bytes) return damaged(file, "the header");
    if (auto checked = check_header(file, *container, std::string(text_of(*header)), digests.back()); !checked) return checked;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (auto checked = check_tensor(file, tensors[t], digests[t], reader); !checked) return checked;
        const auto padding = reader.next(padded(reader.position(), container->alignment()) - reader.position());
        if (!padding) return std::unexpected(padding.error());
        if (!is_zero(text_of(*padding))) return damaged(file, "the padding after " + tensors[t].name);
    }
    return reader.position() == file.size() ? Result<>() : damaged(file, "the size");
}

}  // namespace

std::int64_t block_rows(std::int64_t columns) { return std::max<std::int64_t>(1, kBlockWeights / columns); }

std::uint64_t block_digest(std::span<const std::byte> bytes, std::int64_t first_row)
{
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), static_cast<std::uint64_t>(first_row));
}

std::uint64_t header_digest(std::string_view header) { return XXH3_64bits(header.data(), header.size()); }

std::vector<std::uint64_t> recorded_digests(const Container& container)
{
    const std::size_t count = container.tensors().size() + 1;
    const MetadataEntry* entry = container.find(kDigestsKey);
    if (entry == nullptr || !entry->is_list_of("u64") || entry->count != count || count == 1) return {};
    return container.naturals(kDigestsKey, count).value_or(std::vector<std::uint64_t>());
}

Result<bool> has_digests(const std::filesystem::path& path)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    return Container::read(*file).transform([](const Container& container) { return !recorded_digests(container).empty(); });
}

Result<> verify(const std::filesystem::path& path, const ReadProgress& progress)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    return check_file(*file, progress, nullptr);
}

Result<> audit(const std::filesystem::path& path, const HeaderLayout& layout, const ReadProgress& progress)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    file->drop_cache();
    return check_file(*file, progress, &layout);
}

bool is_whole(const std::filesystem::path& path, Monitor& monitor, const ReadProgress& progress)
{
    std::error_code unreadable;
    if (!std::filesystem::exists(path, unreadable)) return false;
    const auto verified =
        verify(path, [&](std::uint64_t bytes) { return (!progress || progress(bytes)) && !monitor.stop_requested(); });
    if (verified) return true;
    if (verified.error().code != ErrorCode::interrupted) monitor.warn(verified.error().message + "; it is made again");
    return false;
}

}  // namespace apreqel
