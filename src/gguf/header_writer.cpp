#include "gguf/header_writer.h"

#include "gguf/number_types.h"

#include <gguf.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace apreqel {
namespace {

template <typename T>
void append(std::string& out, T value)
{
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& out, std::string_view text)
{
    append<std::uint64_t>(out, text.size());
    out += text;
}

/// The gguf_type of that name; -1: there is none.
int type_of(std::string_view name)
{
    for (int type = 0; type < GGUF_TYPE_COUNT; ++type)
        if (const char* const known = gguf_type_name(static_cast<gguf_type>(type)); known != nullptr && name == known)
            return type;
    return -1;
}

/// Whether a number of type T is `value`, but for rounding where it has a fraction.
template <typename T>
bool holds(double value)
{
    if constexpr (std::is_floating_point_v<T>)
        return value >= std::numeric_limits<T>::lowest() && value <= std::numeric_limits<T>::max();
    // The greatest numbers of 64 bits are no doubles: what is above 2^53 is not exact.
    constexpr double kMostExact = 9007199254740992;
    return value >= std::max(static_cast<double>(std::numeric_limits<T>::min()), -kMostExact) &&
           value <= std::min(static_cast<double>(std::numeric_limits<T>::max()), kMostExact) && value == std::floor(value);
}

}  // namespace

Result<> HeaderWriter::add_numbers(std::string_view key, std::string_view type, bool array, std::span<const double> values)
{
    const int id = type_of(type);
    if (!array && values.size() != 1) return fail("{} is not one number", key);
    std::string encoded;
    bool fit = true;
    const bool numeric = with_number_type(id, [&]<typename T>(T) {
        for (const double value : values) {
            fit = fit && holds<T>(value) && (id != GGUF_TYPE_BOOL || value <= 1);
            if (fit) append(encoded, static_cast<T>(value));
        }
    });
    if (!numeric) return fail("{} is of type {}, which is none of numbers", key, type);
    if (!fit) return fail("{} has a number that is no {}", key, type);
    append_string(metadata_, key);
    if (array) append<std::int32_t>(metadata_, GGUF_TYPE_ARRAY);
    append<std::int32_t>(metadata_, id);
    if (array) append<std::uint64_t>(metadata_, values.size());
    metadata_ += encoded;
    ++entries_;
    return {};
}

void HeaderWriter::add_encoded(std::string_view entry)
{
    metadata_ += entry;
    ++entries_;
}

void HeaderWriter::add_text(std::string_view key, std::string_view value)
{
    append_string(metadata_, key);
    append<std::int32_t>(metadata_, GGUF_TYPE_STRING);
    append_string(metadata_, value);
    ++entries_;
}

void HeaderWriter::add_texts(std::string_view key, std::span<const std::string> values)
{
    append_string(metadata_, key);
    append<std::int32_t>(metadata_, GGUF_TYPE_ARRAY);
    append<std::int32_t>(metadata_, GGUF_TYPE_STRING);
    append<std::uint64_t>(metadata_, values.size());
    for (const std::string& value : values) append_string(metadata_, value);
    ++entries_;
}

void HeaderWriter::add_u32(std::string_view key, std::uint32_t value)
{
    append_string(metadata_, key);
    append<std::int32_t>(metadata_, GGUF_TYPE_UINT32);
    append(metadata_, value);
    ++entries_;
}

void HeaderWriter::add_u64s(std::string_view key, std::span<const std::uint64_t> values)
{
    append_string(metadata_, key);
    append<std::int32_t>(metadata_, GGUF_TYPE_ARRAY);
    append<std::int32_t>(metadata_, GGUF_TYPE_UINT64);
    append<std::uint64_t>(metadata_, values.size());
    for (const std::uint64_t value : values) append(metadata_, value);
    ++entries_;
}

void HeaderWriter::add_tensor(std::string_view name, const std::array<std::int64_t, 4>& shape, QuantType type,
                              std::uint64_t size_bytes)
{
    append_string(table_, name);
    const int count = dimensions(shape);
    append<std::uint32_t>(table_, static_cast<std::uint32_t>(count));
    for (int i = 0; i < count; ++i) append(table_, shape[static_cast<std::size_t>(i)]);
    append<std::int32_t>(table_, type.id);
    append(table_, next_offset_);
    sizes_.push_back(size_bytes);
    next_offset_ += padded(size_bytes, alignment_);
}

HeaderLayout HeaderWriter::finish() const
{
    HeaderLayout layout;
    layout.bytes = GGUF_MAGIC;
    append<std::uint32_t>(layout.bytes, GGUF_VERSION);
    append<std::uint64_t>(layout.bytes, sizes_.size());
    append(layout.bytes, entries_);
    layout.bytes += metadata_;
    layout.bytes += table_;
    if (!sizes_.empty()) layout.bytes.resize(padded(layout.bytes.size(), alignment_), '\0');
    std::uint64_t next = layout.bytes.size();
    for (const std::uint64_t size : sizes_) {
        layout.offsets.push_back(next);
        next += padded(size, alignment_);
    }
    layout.file_bytes = next;
    return layout;
}

}  // namespace apreqel
