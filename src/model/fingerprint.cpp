#include "model/fingerprint.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <vector>

namespace apreqel {
namespace {

constexpr std::uint64_t kSampleBytes = 64 << 10;

class Hash {
public:
    Hash() { XXH3_128bits_reset(&state_); }

    void add(std::span<const std::byte> bytes) { XXH3_128bits_update(&state_, bytes.data(), bytes.size()); }
    void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
    void add(std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); }

    [[nodiscard]] std::string hex() const
    {
        const XXH128_hash_t digest = XXH3_128bits_digest(&state_);
        return std::format("{:016x}{:016x}", digest.high64, digest.low64);
    }

private:
    XXH3_state_t state_;
};

Result<> add_samples(Hash& hash, const InputFile& file, const StoredTensor& tensor, std::vector<std::byte>& buffer)
{
    const std::uint64_t size = tensor.size_bytes;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> parts{{0, size}};
    if (size > 3 * kSampleBytes) {
        parts = {{0, kSampleBytes}, {(size - kSampleBytes) / 2, kSampleBytes}, {size - kSampleBytes, kSampleBytes}};
    }
    for (const auto& [begin, bytes] : parts) {
        buffer.resize(bytes);
        if (auto read = file.read_at(tensor.offset + begin, buffer); !read) return read;
        hash.add(buffer);
    }
    return {};
}

}  // namespace

Result<std::string> fingerprint_of(std::span<const Shard> shards)
{
    Hash hash;
    const Container& first = shards.front().container;
    for (const MetadataEntry& entry : first.metadata()) {
        if (!entry.key.starts_with("split.")) hash.add(first.encoded(entry));
    }
    std::vector<std::byte> buffer;
    for (const Shard& shard : shards) {
        for (const StoredTensor& tensor : shard.container.tensors()) {
            hash.add(tensor.name.size());
            hash.add(tensor.name);
            for (const std::int64_t extent : tensor.shape) hash.add(static_cast<std::uint64_t>(extent));
            hash.add(static_cast<std::uint64_t>(tensor.type.id));
            if (auto added = add_samples(hash, shard.file, tensor, buffer); !added) return std::unexpected(added.error());
        }
    }
    return hash.hex();
}

}  // namespace apreqel
