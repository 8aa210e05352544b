// The GGUF container, read as untrusted input: metadata and tensor table, not the weights.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include "base/file.h"

#include <apreqel/quant_type.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// One key and its value, as a range of the header's bytes.
struct MetadataEntry {
    std::string key;
    int type = 0;  ///< a gguf_type: of the value, or of each element if it is an array
    bool is_array = false;
    std::uint64_t count = 1;  ///< elements
    std::size_t begin = 0;    ///< first byte of the entry
    std::size_t value = 0;    ///< first byte of the value, after its type
    std::size_t end = 0;

    [[nodiscard]] std::string_view type_name() const;  ///< as GGUF spells `type`
    [[nodiscard]] bool is_of_texts() const { return type_name() == "str"; }
    /// True for an array of `type` in GGUF's own spelling: "str", "f32", "u8".
    [[nodiscard]] bool is_list_of(std::string_view type_name) const;
};

/// One line of the tensor table.
struct StoredTensor {
    std::string name;
    std::array<std::int64_t, 4> shape{1, 1, 1, 1};
    QuantType type;
    std::uint64_t size_bytes = 0;
    std::uint64_t offset = 0;  ///< from the start of the file
};

/// What a file's header says. Everything in it has been checked: names are printable ASCII and unique, types exist,
/// shapes are positive and multiply without overflow, tensors follow each other without gap and end inside the file.
/// libggml is not asked to parse, as it stops the program at an empty key, a dimension of zero or an alignment of the
/// wrong type; what is accepted here is a subset of what it accepts (a test says so).
class Container {
public:
    [[nodiscard]] static Result<Container> read(const InputFile& file);

    [[nodiscard]] const std::vector<MetadataEntry>& metadata() const { return metadata_; }
    [[nodiscard]] const std::vector<StoredTensor>& tensors() const { return tensors_; }
    [[nodiscard]] std::uint64_t alignment() const { return alignment_; }

    [[nodiscard]] const MetadataEntry* find(std::string_view key) const;
    /// The value if the key exists and has a fitting type: nothing here can stop the program as gguf_get_val_* does.
    [[nodiscard]] std::optional<std::string> text(std::string_view key) const;
    [[nodiscard]] std::optional<std::uint64_t> natural(std::string_view key) const;
    [[nodiscard]] std::optional<double> number(std::string_view key) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
    /// The elements of an array of integers; nothing if one is negative or there are more than `limit`.
    [[nodiscard]] std::optional<std::vector<std::uint64_t>> naturals(std::string_view key, std::uint64_t limit) const;
    /// The values of an entry of numbers, in an array or not; true is 1. Nothing: they are none, or not exact or not finite.
    [[nodiscard]] std::optional<std::vector<double>> numbers(const MetadataEntry& entry) const;
    /// The values of an entry of strings, in an array or not: views into this container.
    [[nodiscard]] std::vector<std::string_view> texts(const MetadataEntry& entry) const;

    /// The entry as stored, key included: what a copy of it in another file consists of.
    [[nodiscard]] std::string_view encoded(const MetadataEntry& entry) const
    {
        return std::string_view(header_).substr(entry.begin, entry.end - entry.begin);
    }

private:
    friend class ContainerParser;

    std::string header_;
    std::vector<MetadataEntry> metadata_;
    std::vector<StoredTensor> tensors_;
    std::uint64_t alignment_ = 32;
};

/// Number of dimensions as ggml counts them: trailing ones do not count, a scalar has one.
[[nodiscard]] int dimensions(const std::array<std::int64_t, 4>& shape);

/// Bytes of a tensor. Error, to follow "it has": a shape that cannot be, or rows that the type's blocks do not fit.
[[nodiscard]] Result<std::uint64_t> stored_bytes(const std::array<std::int64_t, 4>& shape, QuantType type);

/// `value` rounded up to a multiple of `alignment`.
[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t value, std::uint64_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

}  // namespace apreqel
