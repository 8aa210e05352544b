#include "base/printable.h"
#include "records/document.h"

#include <cmath>
#include <format>

namespace apreqel {
namespace {

using Kind = JsonValue::Kind;

constexpr double kGreatest = 1e100;
constexpr double kLeast = 1e-100;
constexpr double kMostCount = 9007199254740992;  ///< 2^53: doubles below are exact

/// Thrown while reading a document and turned into an Error by `read_document`.
struct FormatError {
    std::string message;
};

class Reader : public Archive {
public:
    explicit Reader(const JsonValue& document) { places_.push_back({.value = &document, .name = ""}); }

    [[nodiscard]] Pass pass() const override { return Pass::read; }

    [[nodiscard]] bool has(std::string_view field) const override
    {
        const JsonValue* found = value().find(field);
        return found != nullptr && found->kind != Kind::null;
    }

    void expect(std::string_view field) override
    {
        demand(value().find(field) != nullptr, field, "is missing");
        demand(has(field), field, "must not be null");
    }

    void demand(bool holds, std::string_view field, std::string_view must) override
    {
        if (holds) return;
        places_.push_back({.value = nullptr, .name = std::string(field)});
        wrong(must);
    }

protected:
    bool enter(const Field& field) override
    {
        if (!field.required && !has(field.name)) return false;
        const JsonValue* found = value().find(field.name);
        places_.push_back({.value = found, .name = std::string(field.name), .rule = field.use.rule});
        if (found == nullptr) wrong("is missing");
        return true;
    }

    void leave() override { places_.pop_back(); }

    void begin_object() override
    {
        if (value().kind != Kind::object) wrong("must be an object");
    }

    std::size_t begin_list(std::size_t) override
    {
        if (value().kind != Kind::list) wrong("must be a list");
        return value().values.size();
    }

    void enter_element(std::size_t index) override
    {
        places_.push_back({.value = &value().values[index], .name = std::format("[{}]", index), .rule = rule()});
    }

    std::size_t begin_map(std::size_t) override
    {
        begin_object();
        return value().values.size();
    }

    void enter_entry(std::size_t index, std::string& name) override
    {
        name = value().names[index];
        places_.push_back({.value = &value().values[index], .name = name, .rule = rule()});
        check_name(name, Rule::group);
    }

    void scalar(std::string& text) override
    {
        if (value().kind != Kind::text) wrong("must be a string");
        text = value().text;
        if (rule() == Rule::none)
            text = printable_line(text);
        else
            check_name(text, rule());
    }

    void scalar(double& number) override
    {
        if (value().kind != Kind::number) wrong("must be a number");
        number = value().number;
        if (std::abs(number) > kGreatest) wrong("must be a number of at most 1e100");
        if (std::abs(number) < kLeast) number = 0;
        if (rule() == Rule::positive && number <= 0) wrong("must be greater than 0");
        if (rule() == Rule::not_negative && number < 0) wrong("must not be negative");
        if (rule() == Rule::share && (number < 0 || number > 1)) wrong("must be from 0 to 1");
    }

    void scalar(std::uint64_t& count) override
    {
        if (value().kind != Kind::number) wrong("must be a number");
        const double number = value().number;
        if (number < 0 || number != std::floor(number) || number > kMostCount)
            wrong("must be a whole number, 0 or more, at most 2^53");
        count = static_cast<std::uint64_t>(number);
        if (rule() == Rule::positive && count == 0) wrong("must be greater than 0");
    }

    void scalar(bool& truth) override
    {
        if (value().kind != Kind::boolean) wrong("must be true or false");
        truth = value().boolean;
    }

private:
    struct Place {
        const JsonValue* value;
        std::string name;  ///< of the field, or "[i]" in a list
        Rule rule = Rule::none;
    };

    [[nodiscard]] const JsonValue& value() const { return *places_.back().value; }
    [[nodiscard]] Rule rule() const { return places_.back().rule; }

    void check_name(std::string_view name, Rule rule) const
    {
        if (rule != Rule::label && name.empty()) wrong("must not be empty");
        if (!is_printable(name)) wrong(std::format("must be a name without control characters, it is \"{}\"", quoted(name)));
        constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
        if (rule == Rule::group && name.find_first_not_of(kAllowed) != std::string_view::npos)
            wrong(std::format("must be a name of letters, digits and . _ + -, it is \"{}\"", quoted(name)));
    }

    static std::string quoted(std::string_view text)
    {
        constexpr std::size_t kMostOfText = 80;
        return escaped(text, kMostOfText);
    }

    [[noreturn]] void wrong(std::string_view must) const
    {
        std::string where;
        for (const Place& place : places_) {
            if (!where.empty() && !place.name.starts_with('[')) where += '.';
            where += quoted(place.name);
        }
        throw FormatError{std::format("{} {}", where.empty() ? "it" : where, must)};
    }

    std::vector<Place> places_;  ///< from the document to where we are
};

}  // namespace

Result<> read_document(std::string_view text, std::string_view schema, std::string_view source, const Fields& fields)
{
    const auto document = parse_json(text);
    if (!document) return fail("read {}: {}", source, document.error().message);
    const JsonValue* found = document->find("schema");
    const std::string stated = found != nullptr && found->kind == Kind::text ? escaped(found->text, 80) : "none";
    if (stated != schema) return fail("read {}: its schema is {}, {} is needed", source, stated, schema);
    Reader reader(*document);
    try {
        fields(reader);
    } catch (const FormatError& error) {
        return fail("read {}: {}", source, error.message);
    }
    return {};
}

}  // namespace apreqel
