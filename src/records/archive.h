// What one list of a record's fields is used for: to read the record, to write it, and to document it.
//
//     void fields(Archive& archive, LayerScore& layer)
//     {
//         archive.required("layer", layer.layer, "blk.N.attn or blk.N.ffn", {.rule = Rule::group});
//         archive.optional("rewards", layer.rewards, "tokens with a similarity below γ");
//     }
//
// The order is that of the file. A list knows nothing of JSON; it is compiled once, whatever it is used for.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace apreqel {

/// What a value must be. It is checked where records are read, and holds for every element of a list. All numbers are finite
/// and below 1e100 in size, so that what is computed from them is finite too; smaller than 1e-100 is 0.
enum class Rule {
    none,          ///< any number; a text for people, in which U+FFFD stands for control characters
    positive,      ///< a number above 0
    not_negative,  ///< a number of 0 or more
    share,         ///< a number from 0 to 1
    name,          ///< not empty, and printable: what it names is looked up by it, or written to other files
    label,         ///< a name, or empty: not stated
    group,         ///< a name of letters, digits and . _ + - only: it becomes part of a regular expression
};

struct Use {
    Rule rule = Rule::none;
    bool written = true;  ///< false: leave it out, there is nothing to say
    bool whole = false;   ///< a double that counts: written without a fraction where it has none
};

/// One field, as an archive meets it.
struct Field {
    std::string_view name;
    std::string_view meaning;
    bool required = false;
    Use use{};
};

template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

class Archive {
public:
    virtual ~Archive() = default;

    enum class Pass { read, write, document };
    [[nodiscard]] virtual Pass pass() const = 0;
    [[nodiscard]] bool reading() const { return pass() == Pass::read; }
    [[nodiscard]] bool writing() const { return pass() == Pass::write; }
    [[nodiscard]] bool documenting() const { return pass() == Pass::document; }

    /// Whether the object that is read has this field; true in other passes.
    [[nodiscard]] virtual bool has(std::string_view /*field*/) const { return true; }

    /// A field that is listed as optional, or an object, but is required in this record.
    virtual void expect(std::string_view /*field*/) {}

    /// A condition between fields; `field` is the one to blame. Checked where records are read.
    virtual void demand(bool /*holds*/, std::string_view /*field*/, std::string_view /*must*/) {}

    /// For a record with a section of its own in the documentation: true where its fields are not wanted here again.
    [[nodiscard]] virtual bool refer_to(std::string_view /*section*/) { return false; }

    /// A scalar, std::optional of one, a record with a `fields`, or a std::vector of these.
    template <typename T>
    void required(std::string_view name, T& value, std::string_view meaning, Use use = {})
    {
        field({name, meaning, true, use}, [&] { visit(value); });
    }

    /// The same, where the value stays as it is if the file has none.
    template <typename T>
    void optional(std::string_view name, T& value, std::string_view meaning, Use use = {})
    {
        if constexpr (kIsOptional<T>) use.written = use.written && value.has_value();
        field({name, meaning, false, use}, [&] { visit(value); });
    }

    /// An object within the object, whose fields `inside` lists.
    template <typename Inside>
    void object(std::string_view name, std::string_view meaning, Inside inside, bool written = true)
    {
        field({name, meaning, false, {.written = written}}, [&] {
            begin_object();
            inside();
        });
    }

    /// A list of objects; `fields_of(element)` lists their fields where that takes more than the element.
    template <typename T, typename FieldsOf>
    void list(std::string_view name, std::vector<T>& values, std::string_view meaning, FieldsOf fields_of,
              bool required = false)
    {
        field({name, meaning, required, {}}, [&] {
            each(values, [&](T& value) {
                begin_object();
                fields_of(value);
            });
        });
    }

    /// An object whose fields have names of their own: `entry(element)` gives name and value of each.
    template <typename T, typename Name, typename Value>
    void map(std::string_view name, std::vector<T>& entries, Name T::* key, Value T::* value, std::string_view meaning)
    {
        field({name, meaning, true, {.rule = Rule::name}}, [&] {
            entries.resize(begin_map(entries.size()));
            for (std::size_t e = 0; e < entries.size(); ++e) {
                enter_entry(e, entries[e].*key);
                visit(entries[e].*value);
                leave();
            }
        });
    }

    /// A field that those before it are understood by, and that is listed again in its place.
    template <typename T>
    void ahead(std::string_view name, T& value)
    {
        if (reading() && has(name)) required(name, value, "");
    }

protected:
    /// Goes to a field. False: there is none, or it is not to be written; then no `leave`.
    virtual bool enter(const Field& field) = 0;
    virtual void leave() = 0;
    virtual void begin_object() = 0;
    /// Elements there will be, given how many the record has now.
    virtual std::size_t begin_list(std::size_t size) = 0;
    virtual void enter_element(std::size_t index) = 0;
    virtual std::size_t begin_map(std::size_t size) = 0;
    virtual void enter_entry(std::size_t index, std::string& name) = 0;
    virtual void scalar(std::string& value) = 0;
    virtual void scalar(double& value) = 0;
    virtual void scalar(std::uint64_t& value) = 0;
    virtual void scalar(bool& value) = 0;

private:
    template <typename Visit>
    void field(const Field& field, Visit visit_value)
    {
        if (!enter(field)) return;
        visit_value();
        leave();
    }

    template <typename T, typename Visit>
    void each(std::vector<T>& values, Visit visit_value)
    {
        values.resize(begin_list(values.size()));
        for (std::size_t i = 0; i < values.size(); ++i) {
            enter_element(i);
            visit_value(values[i]);
            leave();
        }
    }

    template <typename T>
    void visit(T& value)
    {
        if constexpr (kIsList<T>) {
            each(value, [&](auto& element) { visit(element); });
        } else if constexpr (kIsOptional<T>) {
            if (!value) value.emplace();
            visit(*value);
        } else if constexpr (requires { scalar(value); }) {
            scalar(value);
        } else {
            begin_object();
            fields(*this, value);
        }
    }
};

}  // namespace apreqel
