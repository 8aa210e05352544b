#include "gguf/container.h"

#include "gguf/number_types.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_set>

namespace apreqel {

static_assert(std::endian::native == std::endian::little, "GGUF is read as little endian");

namespace {

// Far above any real model, and low enough that a hostile header costs little memory and time.
constexpr std::uint64_t kMaxHeaderBytes = 256ULL << 20;
constexpr std::uint64_t kMaxEntries = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 16;
constexpr std::uint64_t kMaxElements = 64ULL << 20;  // of an array, bytes of a string: libggml's own limits
constexpr std::uint64_t kMaxAlignment = 1 << 20;     // libggml's limit
constexpr std::uint64_t kMaxKeyBytes = 65535;        // the specification's limit

/// Bytes of a value of a gguf_type; 0 for strings, arrays and what does not exist.
std::size_t value_bytes(int type)
{
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_INT8:
        case GGUF_TYPE_BOOL: return 1;
        case GGUF_TYPE_UINT16:
        case GGUF_TYPE_INT16: return 2;
        case GGUF_TYPE_UINT32:
        case GGUF_TYPE_INT32:
        case GGUF_TYPE_FLOAT32: return 4;
        case GGUF_TYPE_UINT64:
        case GGUF_TYPE_INT64:
        case GGUF_TYPE_FLOAT64: return 8;
        default: return 0;
    }
}

bool is_printable(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

template <typename T>
T decode(const char* bytes)
{
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

std::optional<std::uint64_t> decode_natural(int type, const char* bytes)
{
    std::int64_t value = -1;
    switch (type) {
        case GGUF_TYPE_UINT8: value = decode<std::uint8_t>(bytes); break;
        case GGUF_TYPE_INT8: value = decode<std::int8_t>(bytes); break;
        case GGUF_TYPE_UINT16: value = decode<std::uint16_t>(bytes); break;
        case GGUF_TYPE_INT16: value = decode<std::int16_t>(bytes); break;
        case GGUF_TYPE_UINT32: value = decode<std::uint32_t>(bytes); break;
        case GGUF_TYPE_INT32: value = decode<std::int32_t>(bytes); break;
        case GGUF_TYPE_UINT64: return decode<std::uint64_t>(bytes);
        case GGUF_TYPE_INT64: value = decode<std::int64_t>(bytes); break;
        default: return std::nullopt;
    }
    if (value < 0) return std::nullopt;
    return static_cast<std::uint64_t>(value);
}

}  // namespace

/// Walks a header, reading more of the file as it goes.
class ContainerParser {
public:
    ContainerParser(const InputFile& file, Container& container)
        : file_(file), container_(container), path_(file.path().string())
    {
    }

    Result<> parse()
    {
        if (file_.size() < 4) return fail("read {}: not a GGUF file ({} bytes)", path_, file_.size());
        auto magic = take(4);
        if (!magic) return std::unexpected(magic.error());
        if (bytes(*magic, 4) != "GGUF") return fail("read {}: not a GGUF file", path_);
        auto version = integer<std::uint32_t>();
        if (!version) return std::unexpected(version.error());
        if ((*version & 0xffff) == 0) return fail("read {}: big-endian or damaged GGUF (version {:#x})", path_, *version);
        if (*version < 2 || *version > GGUF_VERSION)
            return fail("read {}: GGUF version {}, this program reads 2 and 3", path_, *version);
        const auto tensors = integer<std::uint64_t>();
        const auto entries = integer<std::uint64_t>();
        if (!tensors) return std::unexpected(tensors.error());
        if (!entries) return std::unexpected(entries.error());
        if (*tensors > kMaxTensors) return fail("read {}: damaged: {} tensors", path_, *tensors);
        if (*entries > kMaxEntries) return fail("read {}: damaged: {} metadata entries", path_, *entries);
        if (auto read = read_metadata(*entries); !read) return read;
        if (auto read = read_alignment(); !read) return read;
        if (auto read = read_tensors(*tensors); !read) return read;
        return place_tensors();
    }

private:
    std::string_view bytes(std::size_t begin, std::size_t count) const
    {
        return std::string_view(container_.header_).substr(begin, count);
    }

    /// Passes over `count` bytes and returns where they begin.
    Result<std::size_t> take(std::uint64_t count)
    {
        std::string& header = container_.header_;
        if (count > file_.size() - position_) return fail("read {}: the file ends inside its header", path_);
        if (count > kMaxHeaderBytes - position_) return fail("read {}: a header of more than {} bytes", path_, kMaxHeaderBytes);
        const std::size_t begin = position_;
        position_ += count;
        if (position_ > header.size()) {
            const std::size_t have = header.size();
            header.resize(std::min<std::uint64_t>(file_.size(), position_ + std::max<std::size_t>(have, 1U << 16)));
            if (auto read = file_.read_at(have, std::as_writable_bytes(std::span(header).subspan(have))); !read) {
                return std::unexpected(read.error());
            }
        }
        return begin;
    }

    template <typename T>
    Result<T> integer()
    {
        return take(sizeof(T)).transform([&](std::size_t begin) { return decode<T>(container_.header_.data() + begin); });
    }

    /// A string, as the place of its first character and its length.
    Result<std::pair<std::size_t, std::size_t>> string(std::uint64_t limit)
    {
        const auto length = integer<std::uint64_t>();
        if (!length) return std::unexpected(length.error());
        if (*length > limit) return fail("read {}: damaged: a string of {} bytes", path_, *length);
        return take(*length).transform([&](std::size_t begin) { return std::pair<std::size_t, std::size_t>(begin, *length); });
    }

    Result<> read_metadata(std::uint64_t count)
    {
        std::unordered_set<std::string> keys;
        for (std::uint64_t i = 0; i < count; ++i) {
            MetadataEntry entry;
            entry.begin = position_;
            const auto key = string(kMaxKeyBytes);
            if (!key) return std::unexpected(key.error());
            entry.key = bytes(key->first, key->second);
            if (entry.key.empty() || !is_printable(entry.key))
                return fail("read {}: damaged: metadata key {} is not a name", path_, i);
            if (!keys.insert(entry.key).second) return fail("read {}: damaged: two metadata entries {}", path_, entry.key);
            if (auto value = read_value(entry); !value) return value;
            entry.end = position_;
            container_.metadata_.push_back(std::move(entry));
        }
        return {};
    }

    Result<> read_value(MetadataEntry& entry)
    {
        auto type = integer<std::int32_t>();
        if (type && *type == GGUF_TYPE_ARRAY) {
            entry.is_array = true;
            type = integer<std::int32_t>();
            const auto count = integer<std::uint64_t>();
            if (!count) return std::unexpected(count.error());
            entry.count = *count;
        }
        if (!type) return std::unexpected(type.error());
        entry.type = *type;
        entry.value = position_;
        if (entry.count > kMaxElements) return fail("read {}: damaged: {} has {} elements", path_, entry.key, entry.count);
        if (*type == GGUF_TYPE_STRING) {
            for (std::uint64_t i = 0; i < entry.count; ++i) {
                if (auto text = string(kMaxElements); !text) return std::unexpected(text.error());
            }
            return {};
        }
        if (value_bytes(*type) == 0)
            return fail("read {}: damaged: {} has a value of unknown type {}", path_, entry.key, *type);
        const auto value = take(entry.count * value_bytes(*type));
        if (!value) return std::unexpected(value.error());
        return {};
    }

    Result<> read_alignment()
    {
        const MetadataEntry* entry = container_.find(GGUF_KEY_GENERAL_ALIGNMENT);
        if (entry == nullptr) return {};
        const bool fits = entry->type == GGUF_TYPE_UINT32 && !entry->is_array;
        const auto alignment = fits ? container_.natural(entry->key).value_or(0) : 0;
        if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
            return fail("read {}: damaged: {} is not a power of two up to {}", path_, entry->key, kMaxAlignment);
        }
        container_.alignment_ = alignment;
        return {};
    }

    Result<> read_tensors(std::uint64_t count)
    {
        std::unordered_set<std::string> names;
        for (std::uint64_t i = 0; i < count; ++i) {
            StoredTensor tensor;
            const auto name = string(GGML_MAX_NAME - 1);
            if (!name) return std::unexpected(name.error());
            tensor.name = bytes(name->first, name->second);
            if (tensor.name.empty() || !is_printable(tensor.name))
                return fail("read {}: damaged: tensor {} has no readable name", path_, i);
            if (!names.insert(tensor.name).second) return fail("read {}: damaged: two tensors {}", path_, tensor.name);
            if (auto shape = read_shape(tensor); !shape) return shape;
            const auto offset = integer<std::uint64_t>();
            if (!offset) return std::unexpected(offset.error());
            tensor.offset = *offset;
            container_.tensors_.push_back(std::move(tensor));
        }
        return {};
    }

    Result<> read_shape(StoredTensor& tensor)
    {
        const auto count = integer<std::uint32_t>();
        if (!count) return std::unexpected(count.error());
        if (*count > GGML_MAX_DIMS) return fail("read {}: damaged: {} has {} dimensions", path_, tensor.name, *count);
        for (std::uint32_t i = 0; i < *count; ++i) {
            const auto extent = integer<std::int64_t>();
            if (!extent) return std::unexpected(extent.error());
            tensor.shape[i] = *extent;
        }
        const auto type = integer<std::int32_t>();
        if (!type) return std::unexpected(type.error());
        const auto id = static_cast<ggml_type>(*type);
        if (*type < 0 || *type >= GGML_TYPE_COUNT || ggml_blck_size(id) == 0 || ggml_type_size(id) == 0) {
            return fail("read {}: {} has type {}, which this libggml does not know", path_, tensor.name, *type);
        }
        tensor.type = QuantType{*type};
        const auto bytes = stored_bytes(tensor.shape, tensor.type);
        if (!bytes) return fail("read {}: damaged: {} has {}", path_, tensor.name, bytes.error().message);
        tensor.size_bytes = *bytes;
        return {};
    }

    /// Turns offsets into those from the start of the file, once they are what the order of the table makes them.
    Result<> place_tensors()
    {
        const std::uint64_t data = padded(position_, container_.alignment_);
        std::uint64_t next = data;
        for (StoredTensor& tensor : container_.tensors_) {
            if (tensor.offset != next - data)
                return fail("read {}: damaged: {} does not follow the tensor before it", path_, tensor.name);
            if (next > file_.size() || tensor.size_bytes > file_.size() - next) {
                return fail("read {}: the file ends inside the weights of {}", path_, tensor.name);
            }
            tensor.offset = next;
            next = padded(next + tensor.size_bytes, container_.alignment_);
        }
        container_.header_.resize(position_);
        container_.header_.shrink_to_fit();
        return {};
    }

    const InputFile& file_;
    Container& container_;
    std::string path_;
    std::uint64_t position_ = 0;
};

Result<Container> Container::read(const InputFile& file)
{
    Container container;
    if (auto parsed = ContainerParser(file, container).parse(); !parsed) return std::unexpected(parsed.error());
    return container;
}

std::string_view MetadataEntry::type_name() const
{
    const char* const name = gguf_type_name(static_cast<gguf_type>(type));
    return name == nullptr ? "" : name;
}

bool MetadataEntry::is_list_of(std::string_view type_name) const { return is_array && this->type_name() == type_name; }

const MetadataEntry* Container::find(std::string_view key) const
{
    const auto entry = std::ranges::find(metadata_, key, &MetadataEntry::key);
    return entry == metadata_.end() ? nullptr : &*entry;
}

std::optional<std::string> Container::text(std::string_view key) const
{
    const MetadataEntry* entry = find(key);
    if (entry == nullptr || entry->is_array || entry->type != GGUF_TYPE_STRING) return std::nullopt;
    return header_.substr(entry->value + sizeof(std::uint64_t), entry->end - entry->value - sizeof(std::uint64_t));
}

std::optional<std::uint64_t> Container::natural(std::string_view key) const
{
    const MetadataEntry* entry = find(key);
    if (entry == nullptr || entry->is_array) return std::nullopt;
    return decode_natural(entry->type, header_.data() + entry->value);
}

std::optional<double> Container::number(std::string_view key) const
{
    const MetadataEntry* entry = find(key);
    if (entry == nullptr || entry->is_array) return std::nullopt;
    if (entry->type == GGUF_TYPE_FLOAT32) return decode<float>(header_.data() + entry->value);
    if (entry->type == GGUF_TYPE_FLOAT64) return decode<double>(header_.data() + entry->value);
    return natural(key).transform([](std::uint64_t value) { return static_cast<double>(value); });
}

std::optional<bool> Container::boolean(std::string_view key) const
{
    const MetadataEntry* entry = find(key);
    if (entry == nullptr || entry->is_array || entry->type != GGUF_TYPE_BOOL) return std::nullopt;
    return header_[entry->value] != 0;
}

std::optional<std::vector<std::uint64_t>> Container::naturals(std::string_view key, std::uint64_t limit) const
{
    const MetadataEntry* entry = find(key);
    if (entry == nullptr || !entry->is_array || entry->count > limit) return std::nullopt;
    std::vector<std::uint64_t> values;
    for (std::uint64_t i = 0; i < entry->count; ++i) {
        const auto value = decode_natural(entry->type, header_.data() + entry->value + i * value_bytes(entry->type));
        if (!value) return std::nullopt;
        values.push_back(*value);
    }
    return values;
}

std::optional<std::vector<double>> Container::numbers(const MetadataEntry& entry) const
{
    constexpr double kMostExact = 9007199254740992;  // 2^53
    std::vector<double> values(entry.count);
    const char* place = header_.data() + entry.value;
    const bool numeric = with_number_type(entry.type, [&]<typename T>(T) {
        for (double& value : values) {
            value = static_cast<double>(decode<T>(place));
            if (std::is_integral_v<T> && std::abs(value) > kMostExact) value = std::numeric_limits<double>::quiet_NaN();
            place += sizeof(T);
        }
    });
    if (!numeric || !std::ranges::all_of(values, [](double value) { return std::isfinite(value); })) return std::nullopt;
    return values;
}

std::vector<std::string_view> Container::texts(const MetadataEntry& entry) const
{
    std::vector<std::string_view> texts;
    if (entry.type != GGUF_TYPE_STRING) return texts;
    std::size_t place = entry.value;
    for (std::uint64_t i = 0; i < entry.count; ++i) {
        const auto length = decode<std::uint64_t>(header_.data() + place);  // checked by the parser
        texts.push_back(std::string_view(header_).substr(place + sizeof length, length));
        place += sizeof length + length;
    }
    return texts;
}

Result<std::uint64_t> stored_bytes(const std::array<std::int64_t, 4>& shape, QuantType type)
{
    // A quarter of the range leaves room to add and multiply sizes without overflow everywhere else.
    constexpr std::int64_t kMaxWeights = std::numeric_limits<std::int64_t>::max() / 64;
    std::int64_t weights = 1;
    for (const std::int64_t extent : shape) {
        if (extent < 1 || extent > kMaxWeights / weights) return fail("an impossible shape");
        weights *= extent;
    }
    if (shape[0] % block_size(type) != 0) {
        return fail("rows of {} weights, not a multiple of {} as {} needs", shape[0], block_size(type), type_name(type));
    }
    return static_cast<std::uint64_t>(weights / shape[0]) * row_bytes(type, shape[0]);
}

int dimensions(const std::array<std::int64_t, 4>& shape)
{
    int count = GGML_MAX_DIMS;
    while (count > 1 && shape[static_cast<std::size_t>(count) - 1] == 1) --count;
    return count;
}

}  // namespace apreqel
