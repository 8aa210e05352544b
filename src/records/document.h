// Documents: a schema, a key where one is kept, and the fields of one record.
#pragma once

#include "base/file.h"
#include "records/archive.h"
#include "records/json.h"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace apreqel {

using Fields = std::function<void(Archive&)>;

[[nodiscard]] std::string write_document(std::string_view schema, std::string_view key, const Fields& fields);

/// `source` is where `text` is from, for errors.
[[nodiscard]] Result<> read_document(std::string_view text, std::string_view schema, std::string_view source,
                                     const Fields& fields);

/// The table of `section` in docs/formats.md: one row for each field, named by the path to it.
[[nodiscard]] std::string document_fields(std::string_view section, const Fields& fields);

/// `record` as a document. The record is copied, since a list of fields is made for reading too.
template <typename Record>
[[nodiscard]] std::string write_record(std::string_view schema, Record record, std::string_view key = {})
{
    return write_document(schema, key, [&](Archive& archive) { fields(archive, record); });
}

/// What `text` has is put into `record`.
template <typename Record>
[[nodiscard]] Result<Record> parse_record(std::string_view text, std::string_view schema, Record record = {},
                                          std::string_view source = {})
{
    const auto read =
        read_document(text, schema, source.empty() ? schema : source, [&](Archive& archive) { fields(archive, record); });
    if (!read) return std::unexpected(read.error());
    return record;
}

template <typename Record>
[[nodiscard]] Result<Record> read_record(const std::filesystem::path& path, std::string_view schema, Record record = {})
{
    const auto text = read_text(path, kMostJsonBytes);
    if (!text) return std::unexpected(text.error());
    return parse_record(*text, schema, std::move(record), path.string());
}

}  // namespace apreqel
