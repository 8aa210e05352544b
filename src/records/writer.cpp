#include "records/document.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace apreqel {
namespace {

using Json = nlohmann::ordered_json;

class Writer : public Archive {
public:
    explicit Writer(Json& document) { places_.push_back({.value = &document}); }

    [[nodiscard]] Pass pass() const override { return Pass::write; }

protected:
    bool enter(const Field& field) override
    {
        if (field.use.written) places_.push_back({.value = &value()[std::string(field.name)], .whole = field.use.whole});
        return field.use.written;
    }
    void leave() override { places_.pop_back(); }
    void begin_object() override { value() = Json::object(); }
    std::size_t begin_list(std::size_t size) override
    {
        value() = Json::array();
        return size;
    }
    void enter_element(std::size_t) override
    {
        places_.push_back({.value = &value().emplace_back(), .whole = places_.back().whole});
    }
    std::size_t begin_map(std::size_t size) override
    {
        begin_object();
        return size;
    }
    void enter_entry(std::size_t, std::string& name) override { places_.push_back({.value = &value()[name]}); }

    void scalar(std::string& text) override { value() = text; }
    void scalar(double& number) override
    {
        constexpr double kExact = 9007199254740992;  // 2^53
        if (places_.back().whole && number == std::floor(number) && number >= 0 && number < kExact)
            value() = static_cast<std::uint64_t>(number);
        else
            value() = number;
    }
    void scalar(std::uint64_t& count) override { value() = count; }
    void scalar(bool& truth) override { value() = truth; }

private:
    struct Place {
        Json* value;  ///< what holds it does not grow before we leave
        bool whole = false;
    };

    Json& value() { return *places_.back().value; }

    std::vector<Place> places_;  ///< from the document to where we are
};

}  // namespace

std::string write_document(std::string_view schema, std::string_view key, const Fields& fields)
{
    Json json{{"schema", schema}};
    if (!key.empty()) json["key"] = key;
    Writer writer(json);
    fields(writer);
    const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace);
    // JSON leaves DEL and the C1 controls as they are, terminals do not; they can stand in strings only.
    std::string shown;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
        if (byte(i) == 0x7F)
            shown += "\\u007f";
        else if (byte(i) == 0xC2 && byte(i + 1) < 0xA0)
            shown += std::format("\\u{:04x}", byte(++i));
        else
            shown += text[i];
    }
    return shown + "\n";
}

}  // namespace apreqel
