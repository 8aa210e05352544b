#include "cli/generate.h"

#include "base/joined.h"
#include "cli/verbs.h"

#include <apreqel/version.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <ranges>
#include <vector>

namespace apreqel {
namespace {

/// A flag or positional argument of a verb.
struct Argument {
    std::vector<std::string> names;  ///< "-o", "--output"; the name of a positional argument
    std::string value;               ///< "FILE"; empty: it takes none
    std::string description;
    std::string standard;  ///< what it is if not given; empty: nothing, or the description says it
    bool positional = false;

    /// The alternatives of the value that are words to type as they stand: "auto" of "FILE|auto".
    [[nodiscard]] std::vector<std::string> words() const
    {
        std::vector<std::string> found;
        for (const auto part : std::views::split(value, '|')) {
            const std::string word{std::string_view(part)};
            if (!word.empty() && std::islower(static_cast<unsigned char>(word.front())) != 0) found.push_back(word);
        }
        return found;
    }
    [[nodiscard]] bool takes_path() const { return positional || value.contains("FILE") || value == "DIR"; }
};

std::vector<Argument> arguments_of(const CLI::App& app)
{
    std::vector<Argument> arguments;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_group().empty()) continue;
        Argument argument{.names = {},
                          .value = option->get_items_expected_max() == 0 ? "" : option->get_type_name(),
                          .description = option->get_description(),
                          .standard = option->get_default_str(),
                          .positional = option->get_positional()};
        if (argument.positional) argument.names = {option->get_name(true)};
        for (const std::string& name : option->get_snames()) argument.names.push_back("-" + name);
        for (const std::string& name : option->get_lnames()) argument.names.push_back("--" + name);
        arguments.push_back(std::move(argument));
    }
    return arguments;
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app)
{
    return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::vector<std::string> flag_names(const CLI::App& app)
{
    std::vector<std::string> names;
    for (const Argument& argument : arguments_of(app))
        if (!argument.positional) names.append_range(argument.names);
    return names;
}

std::vector<std::string> verb_names(const CLI::App& app)
{
    std::vector<std::string> names;
    for (const CLI::App* verb : verbs_of(app)) names.push_back(verb->get_name());
    return names;
}

/// `text` with `before` in front of each of `characters`.
std::string escaped(std::string_view text, std::string_view characters, std::string_view before)
{
    std::string safe;
    for (const char c : text) {
        if (characters.contains(c)) safe += before;
        safe += c;
    }
    return safe;
}

/// In the single quotes of a POSIX shell.
std::string shell_quoted(std::string_view text)
{
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    return quoted + "'";
}

std::string fish_quoted(std::string_view text) { return "'" + escaped(text, "'\\", "\\") + "'"; }

/// A line of roff that is shown as it stands.
std::string roff(std::string_view text)
{
    std::string safe;
    for (const char c : text) safe += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    return safe.starts_with('.') || safe.starts_with('\'') ? "\\&" + safe : safe;
}

std::string roff_arguments(const CLI::App& app)
{
    std::string text;
    for (const Argument& argument : arguments_of(app)) {
        std::string names;
        for (const std::string& name : argument.names)
            names += (names.empty() ? "" : ", ") + std::format("\\fB{}\\fR", roff(name));
        if (!argument.value.empty() && !argument.positional) names += std::format(" \\fI{}\\fR", roff(argument.value));
        text += std::format(".TP\n{}\n{}", names, roff(argument.description));
        text += argument.standard.empty() ? "\n" : std::format(" [{}]\n", roff(argument.standard));
    }
    return text;
}

/// Examples and what follows them, line by line.
std::string roff_lines(const std::string& lines)
{
    std::string text = ".PP\n.nf\n";
    for (const auto line : std::views::split(lines, '\n')) text += roff(std::string_view(line)) + "\n";
    return text + ".fi\n";
}

std::string zsh_spec(const Argument& argument)
{
    const std::string description = std::format("[{}]", escaped(argument.description, "[]:\\", "\\"));
    const std::vector<std::string> words = argument.words();
    std::string value;
    if (!argument.value.empty()) {
        const std::string action = !words.empty()          ? std::format("({})", joined(words, " "))
                                   : argument.takes_path() ? "_files"
                                                           : " ";
        value = std::format(":{}:{}", escaped(argument.value, ":\\", "\\"), action);
    }
    if (argument.names.size() == 1) return shell_quoted(argument.names.front() + description + value);
    return std::format("{}{{{}}}{}", shell_quoted(std::format("({})", joined(argument.names, " "))),
                       joined(argument.names, ","), shell_quoted(description + value));
}

}  // namespace

std::string man_page(const CLI::App& app)
{
    std::string text = std::format(".TH APREQEL 1 \"\" \"apreqel {}\" \"User Commands\"\n", kVersion);
    text += ".SH NAME\napreqel \\- mixed\\-precision GGUF models, measured on the device they run on\n";
    text += ".SH SYNOPSIS\n.B apreqel\n\\fIVERB\\fR [\\fIOPTIONS\\fR] \\fIARGUMENTS\\fR\n";
    text += std::format(".SH DESCRIPTION\n{}\n.SH OPTIONS\n{}.SH VERBS\n", roff(app.get_description()), roff_arguments(app));
    for (const CLI::App* verb : verbs_of(app)) {
        std::string synopsis = "apreqel " + verb->get_name();
        for (const Argument& argument : arguments_of(*verb))
            if (argument.positional) synopsis += " " + argument.names.front();
        text += std::format(".SS {}\n{}\n{}{}", roff(synopsis), roff(verb->get_description()), roff_arguments(*verb),
                            roff_lines(verb->get_footer()));
    }
    return text + ".SH EXAMPLES\n" + roff_lines(app.get_footer());
}

std::string bash_completion(const CLI::App& app)
{
    std::string values;  // what may follow a flag
    std::string flags;
    for (const CLI::App* verb : verbs_of(app)) {
        for (const Argument& argument : arguments_of(*verb)) {
            if (argument.positional || argument.value.empty()) continue;
            std::vector<std::string> patterns = argument.names;
            for (std::string& name : patterns) name.insert(0, verb->get_name() + ":");
            const std::string words = shell_quoted(joined(argument.words(), " "));
            values += std::format("        {}) words={}; value=1 ;;\n", joined(patterns, "|"), words);
        }
        flags += std::format("        {}) words={} ;;\n", verb->get_name(), shell_quoted(joined(flag_names(*verb), " ")));
    }
    // Where there are no words to offer, readline offers files: complete -o default.
    return std::format(
        R"(# bash completion of apreqel
_apreqel()
{{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} verb= words= value= word
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        [[ $word != -* ]] && verb=$word && break
    done
    case $verb:$previous in
{}    esac
    if [[ -z $value && -z $verb ]]; then
        words={}
    elif [[ -z $value && $current == -* ]]; then
        case $verb in
{}        esac
    fi
    [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
    return 0
}}
complete -o default -F _apreqel apreqel
)",
        values, shell_quoted(joined(verb_names(app), " ") + " " + joined(flag_names(app), " ")), flags);
}

std::string zsh_completion(const CLI::App& app)
{
    const auto specs = [](const CLI::App& described, std::string_view indent) {
        std::string text;
        for (const Argument& argument : arguments_of(described))
            if (!argument.positional) text += std::format(" \\\n{}{}", indent, zsh_spec(argument));
        return text;
    };
    std::string described;
    std::string cases;
    for (const CLI::App* verb : verbs_of(app)) {
        const std::string entry = verb->get_name() + ":" + escaped(verb->get_description(), ":\\", "\\");
        described += std::format("                {}\n", shell_quoted(entry));
        cases += std::format("                {}) _arguments{} \\\n                    '*:file:_files' ;;\n", verb->get_name(),
                             specs(*verb, "                    "));
    }
    return std::format(R"(#compdef apreqel
_apreqel()
{{
    local context state state_descr line
    typeset -A opt_args
    _arguments -C{} \
        '1:verb:->verb' '*::argument:->argument'
    case $state in
        verb)
            local -a verbs=(
{}            )
            _describe verb verbs ;;
        argument)
            case $words[1] in
{}            esac ;;
    esac
}}
_apreqel "$@"
)",
                       specs(app, "        "), described, cases);
}

std::string fish_completion(const CLI::App& app)
{
    const auto add = [](const CLI::App& described, const std::string& condition) {
        std::string text;
        for (const Argument& argument : arguments_of(described)) {
            if (argument.positional) continue;
            text += std::format("complete -c apreqel -n '{}'", condition);
            for (const std::string& name : argument.names)
                text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
            const std::vector<std::string> words = argument.words();
            if (!argument.value.empty()) text += argument.takes_path() ? " -r -F" : " -x";
            if (!words.empty()) text += " -a " + fish_quoted(joined(words, " "));
            text += std::format(" -d {}\n", fish_quoted(argument.description));
        }
        return text;
    };
    std::string text = "# fish completion of apreqel\n" + add(app, "__fish_use_subcommand");
    for (const CLI::App* verb : verbs_of(app)) {
        text += std::format("complete -c apreqel -f -n __fish_use_subcommand -a {} -d {}\n", verb->get_name(),
                            fish_quoted(verb->get_description()));
        text += add(*verb, "__fish_seen_subcommand_from " + verb->get_name());
    }
    return text;
}

void add_generate(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("generate", "Print the man page, or the completions for a shell")->group("");
    const auto form = std::make_shared<std::string>();
    verb->add_option("FORM", *form)->required()->check(CLI::IsMember({"man", "bash", "zsh", "fish"}));
    verb->callback([&app, &chosen, form] {
        chosen = [&app, form] {
            const auto generate = *form == "man"    ? man_page
                                  : *form == "bash" ? bash_completion
                                  : *form == "zsh"  ? zsh_completion
                                                    : fish_completion;
            return print_result(generate(app));
        };
    });
}

}  // namespace apreqel
