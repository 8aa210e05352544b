// The header of a GGUF file to be written: metadata, tensor table, and where every tensor's bytes belong.
#pragma once

#include "gguf/container.h"

namespace apreqel {

/// The bytes of a header with the file layout they describe.
struct HeaderLayout {
    std::string bytes;                   ///< padded up to the first tensor
    std::vector<std::uint64_t> offsets;  ///< of the tensors, in the order they were added
    std::uint64_t file_bytes = 0;        ///< the last tensor is padded too
};

class HeaderWriter {
public:
    explicit HeaderWriter(std::uint64_t alignment) : alignment_(alignment) {}

    void add_encoded(std::string_view entry);  ///< an entry of another file, see Container::encoded
    void add_text(std::string_view key, std::string_view value);
    void add_texts(std::string_view key, std::span<const std::string> values);
    /// One number, or an array of them, of the type that GGUF spells `type`. Error: there is no such type, or it does not hold one.
    [[nodiscard]] Result<> add_numbers(std::string_view key, std::string_view type, bool array, std::span<const double> values);
    void add_u32(std::string_view key, std::uint32_t value);
    void add_u64s(std::string_view key, std::span<const std::uint64_t> values);
    void add_tensor(std::string_view name, const std::array<std::int64_t, 4>& shape, QuantType type, std::uint64_t size_bytes);

    [[nodiscard]] HeaderLayout finish() const;

private:
    std::uint64_t alignment_;
    std::uint64_t entries_ = 0;
    std::string metadata_;
    std::string table_;
    std::vector<std::uint64_t> sizes_;
    std::uint64_t next_offset_ = 0;
};

}  // namespace apreqel
