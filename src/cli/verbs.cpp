#include "cli/verbs.h"

#include "base/printable.h"
#include "study/study.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace apreqel {
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

}  // namespace

void add_verbs(CLI::App& app, Action& chosen)
{
    app.name("apreqel");
    app.description(kDescription);
    app.footer(kFooter);
    app.set_version_flag("-V,--version", [] { return tool_version(); }, "Print the versions of apreqel and libllama and exit");
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.require_subcommand(1);
    app.get_formatter()->column_width(32);
    app.get_formatter()->enable_footer_formatting(false);
    app.get_formatter()->label("SUBCOMMAND", "VERB");
    app.get_formatter()->label("SUBCOMMANDS", "VERBS");
    add_run(app, chosen);
    add_inspect(app, chosen);
    add_score(app, chosen);
    add_imatrix(app, chosen);
    add_sense(app, chosen);
    add_merge(app, chosen);
    add_profile(app, chosen);
    add_bench(app, chosen);
    add_plan(app, chosen);
    add_quantize(app, chosen);
    add_measure(app, chosen);
    add_study(app, chosen);
    add_report(app, chosen);
    add_generate(app, chosen);
}

Result<> print_result(std::string_view text, bool json)
{
    const std::string safe = json ? printable_json(text) : printable_text(text);
    const bool written = std::fwrite(safe.data(), 1, safe.size(), stdout) == safe.size() && std::fflush(stdout) == 0;
    if (!written && errno != EPIPE) return fail("write the result to stdout: {}", std::strerror(errno));
    return {};
}

}  // namespace apreqel
