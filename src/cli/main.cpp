// apreqel VERB …: parses the command line, runs the verb, and turns its result into an exit code.
#include "cli/publish.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include <sstream>

namespace apreqel {
namespace {

int main(int argc, char** argv)
{
    keep_standard_streams();
    catch_interrupts();
    report_aborts();
    command_line().assign(argv, argv + argc);
    if (argc > 0) command_line().front() = "apreqel";
    CLI::App app;
    Action action;
    add_verbs(app, action);
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (!first.empty() && !first.starts_with('-') && app.get_subcommand_no_throw(argv[1]) == nullptr) {
        return report({ErrorCode::usage, std::format("there is no verb {}", first), "apreqel --help lists the verbs"});
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {
        std::ostringstream text;  // --help, --version
        app.exit(asked, text, text);
        const auto printed = print_result(text.str());
        return printed ? 0 : report(printed.error());
    } catch (const CLI::ParseError& error) {
        return report({ErrorCode::usage, error.what(), "apreqel --help lists the verbs, apreqel VERB --help its flags"});
    }
    const auto done = action();
    return done ? 0 : report(done.error());
}

}  // namespace
}  // namespace apreqel

int main(int argc, char** argv)
{
    try {
        return apreqel::main(argc, argv);
    } catch (const std::exception& error) {  // out of memory, mostly: everything foreseen is a Result
        return apreqel::report({apreqel::ErrorCode::failed, error.what()});
    }
}
