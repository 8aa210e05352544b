#include "records/json.h"

#include "base/printable.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace apreqel {
namespace {

using Kind = JsonValue::Kind;

constexpr std::size_t kMostDepth = 64;
constexpr std::size_t kMostValues = 2'000'000;
constexpr std::size_t kMostQuoted = 200;  ///< bytes of a document in a message

/// Builds the tree as the parser goes. It refuses by returning false, and then says why in `error`.
class Builder : public nlohmann::json_sax<nlohmann::json> {
public:
    JsonValue root;
    std::string error;

    bool null() override { return add({}); }
    bool boolean(bool value) override { return add({.kind = Kind::boolean, .boolean = value}); }
    bool number_integer(std::int64_t value) override { return add_number(static_cast<double>(value)); }
    bool number_unsigned(std::uint64_t value) override { return add_number(static_cast<double>(value)); }
    bool number_float(double value, const std::string&) override { return add_number(value); }
    bool string(std::string& value) override { return add({.kind = Kind::text, .text = std::move(value)}); }
    bool binary(binary_t&) override { return false; }  // JSON has none
    bool start_object(std::size_t) override { return open(Kind::object); }
    bool start_array(std::size_t) override { return open(Kind::list); }
    bool end_array() override { return close(); }

    bool key(std::string& name) override
    {
        open_.back()->names.push_back(std::move(name));
        return true;
    }

    bool end_object() override
    {
        std::vector<std::string_view> names(open_.back()->names.begin(), open_.back()->names.end());
        std::ranges::sort(names);
        const auto twice = std::ranges::adjacent_find(names);
        if (twice != names.end()) return refuse(std::format("a field is there twice: {}", escaped(*twice, kMostQuoted)));
        return close();
    }

    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& exception) override
    {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the bracket says nothing to people.
        const std::string_view what = exception.what();
        const std::size_t bracket = what.find("] ");
        return refuse("not JSON: " + escaped(bracket == std::string_view::npos ? what : what.substr(bracket + 2), kMostQuoted));
    }

private:
    bool refuse(std::string why)
    {
        error = std::move(why);
        return false;
    }

    bool add_number(double value) { return add({.kind = Kind::number, .number = value}); }

    bool add(JsonValue value)
    {
        if (++count_ > kMostValues) return refuse(std::format("more than {} values", kMostValues));
        if (open_.empty())
            root = std::move(value);
        else
            open_.back()->values.push_back(std::move(value));
        return true;
    }

    bool open(Kind kind)
    {
        if (open_.size() == kMostDepth) return refuse(std::format("nested more than {} deep", kMostDepth));
        JsonValue* const within = open_.empty() ? nullptr : open_.back();
        if (!add({.kind = kind})) return false;
        // It stays where it is: what holds it grows only after it is closed.
        open_.push_back(within == nullptr ? &root : &within->values.back());
        return true;
    }

    bool close()
    {
        open_.pop_back();
        return true;
    }

    std::vector<JsonValue*> open_;
    std::size_t count_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view field) const
{
    const auto found = std::ranges::find(names, field);
    return found == names.end() ? nullptr : &values[static_cast<std::size_t>(found - names.begin())];
}

Result<JsonValue> parse_json(std::string_view text)
{
    if (text.size() > kMostJsonBytes) return fail("{} bytes, more than the {} of any record", text.size(), kMostJsonBytes);
    Builder builder;
    if (!nlohmann::json::sax_parse(text, &builder)) return std::unexpected(Error{.message = builder.error});
    return std::move(builder.root);
}

}  // namespace apreqel
