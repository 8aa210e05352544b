#include "gguf/header_writer.h"

#include <gguf.h>

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

}  // namespace

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
