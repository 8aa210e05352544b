// apreqel VERB …: parses the command line, runs the verb, and turns its result into an exit code.
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "study/study.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace apreqel {

Result<> print_result(std::string_view text)
{
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!written && errno != EPIPE) return fail("write the result to stdout: {}", std::strerror(errno));
    return {};
}

namespace {

constexpr const char* kDescription =
    "Writes the mixed-precision GGUF that serves you best: scores every layer of a full-precision model, measures quantization "
    "types on this machine, weighs all distributions of types over layers, and gives precise types to important layers. "
    "The output runs in stock llama.cpp.";

constexpr const char* kFooter =
    "Examples:\n"
    "  apreqel run model-f16.gguf --weights balanced -o model-mixed.gguf     the whole way\n"
    "  apreqel run model-f16.gguf --weights latency -o fast.gguf             another choice, from what is measured already\n"
    "  apreqel inspect model-f16.gguf                                        what each type would weigh\n"
    "  apreqel measure a.gguf b.gguf --reference model-f16.gguf              any GGUF files side by side\n"
    "\n"
    "Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 no plan satisfies the limits, 130 "
    "interrupted.";

int main(int argc, char** argv)
{
    catch_interrupts();
    report_aborts();
    CLI::App app{kDescription, "apreqel"};
    app.footer(kFooter);
    app.set_version_flag("-V,--version", [] { return tool_version(); }, "Print the versions of apreqel and libllama and exit");
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.require_subcommand(1);
    app.get_formatter()->column_width(32);
    app.get_formatter()->enable_footer_formatting(false);
    Action action;
    add_run(app, action);
    add_inspect(app, action);
    add_score(app, action);
    add_imatrix(app, action);
    add_sense(app, action);
    add_profile(app, action);
    add_plan(app, action);
    add_quantize(app, action);
    add_measure(app, action);
    add_study(app, action);
    add_report(app, action);
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (!first.empty() && !first.starts_with('-') && app.get_subcommand_no_throw(argv[1]) == nullptr) {
        return report({ErrorCode::usage, std::format("there is no verb {}", first), "apreqel --help lists the verbs"});
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {
        return app.exit(asked);  // --help, --version
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
