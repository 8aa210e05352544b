#include "records/document.h"

#include <algorithm>
#include <format>

namespace apreqel {
namespace {

class Documenter : public Archive {
public:
    explicit Documenter(std::string_view section) : section_(section) { places_.emplace_back(); }

    [[nodiscard]] Pass pass() const override { return Pass::document; }

    [[nodiscard]] bool refer_to(std::string_view section) override
    {
        if (section == section_) return false;
        std::string anchor(section);
        std::ranges::replace(anchor, ' ', '-');
        row(places_.back().path + "…", "", std::format("and all of [{}](#{})", section, anchor));
        return true;
    }

    std::string table = "| field | value | |\n|---|---|---|\n";

protected:
    bool enter(const Field& field) override
    {
        const std::string& path = places_.back().path;
        places_.push_back({.field = field, .path = path + std::string(path.empty() ? "" : ".") + std::string(field.name)});
        return true;
    }
    void leave() override { places_.pop_back(); }

    void begin_object() override { describe("object"); }
    std::size_t begin_list(std::size_t) override { return 1; }
    std::size_t begin_map(std::size_t) override { return 1; }
    void enter_element(std::size_t) override { enter_many("list of {}s"); }
    void enter_entry(std::size_t, std::string&) override { enter_many("object of {}s"); }

    void scalar(std::string&) override { describe(rule() == Rule::none ? "text" : "name"); }
    void scalar(double&) override { describe("number"); }
    void scalar(std::uint64_t&) override { describe("whole number"); }
    void scalar(bool&) override { describe("true or false"); }

private:
    struct Place {
        Field field{};
        std::string path{};
        std::string_view many{};  ///< of a list's or object's elements: what the whole is called
    };

    [[nodiscard]] Rule rule() const { return places_.back().field.use.rule; }

    void enter_many(std::string_view many)
    {
        places_.push_back({.field = places_.back().field, .path = places_.back().path + "[]", .many = many});
    }

    void describe(std::string_view kind)
    {
        const Place& place = places_.back();
        const Field& field = place.field;
        std::string value(kind);
        if (!place.many.empty()) value = std::vformat(place.many, std::make_format_args(kind));
        if (field.use.rule == Rule::positive) value += " > 0";
        if (field.use.rule == Rule::not_negative) value += " ≥ 0";
        if (field.use.rule == Rule::share) value += ", 0 to 1";
        const std::string path = place.many.empty() ? place.path : place.path.substr(0, place.path.size() - 2);
        row(path, field.required ? value + ", required" : value, field.meaning);
    }

    void row(std::string_view path, std::string_view value, std::string_view meaning)
    {
        table += std::format("| `{}` | {} | {} |\n", path, value, meaning);
    }

    std::string section_;
    std::vector<Place> places_;
};

}  // namespace

std::string document_fields(std::string_view section, const Fields& fields)
{
    Documenter documenter(section);
    fields(documenter);
    return documenter.table;
}

}  // namespace apreqel
