#include "base/printable.h"
#include "cli/flags.h"
#include "cli/quantity.h"
#include "cli/verbs.h"

#include <memory>

namespace apreqel {
namespace {

struct ImatrixFlags : Flags {
    ImportanceSettings importance;
};

Result<> run_imatrix(const ImatrixFlags& flags)
{
    if (auto writable = check_output(flags.output, flags.force, {flags.model, flags.settings.calibration}); !writable)
        return writable;
    Terminal terminal(flags.quiet);
    const auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    const auto matrix = make_importance(*study, flags.importance, flags.output);
    if (!matrix) return std::unexpected(with_resume_hint(matrix.error(), *study));
    if (flags.json) return print_result(to_json(*matrix, study->inventory), flags.json);
    return print_result(std::format("{}: {} tensors, {} chunks of {} tokens; text: {}\n", flags.output.string(),
                                    matrix->tensors.size(), matrix->chunks, matrix->context, printable_line(matrix->text)));
}

}  // namespace

void add_imatrix(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand(
        "imatrix", "Collect how much each input of each weight matters → an importance matrix, as llama-imatrix writes it");
    verb->footer(
        "Example:\n"
        "  apreqel imatrix model-f16.gguf --calibration calibration.txt -o imatrix.gguf");
    auto flags = std::make_shared<ImatrixFlags>();
    add_model(*verb, *flags);
    add_output(*verb, *flags, "The importance matrix to write (GGUF)");
    verb->get_option("--output")->required();
    add_calibration(*verb, *flags, "Text to collect it on; not one to measure on later [sampled from the model]");
    add_renamed(*verb, "--text", "--calibration");
    verb->add_option("--context", flags->importance.context, "Tokens per chunk of text, as llama-imatrix -c")
        ->type_name("N")
        ->transform(whole_number(8, 1 << 20))
        ->capture_default_str();
    verb->add_option("--chunks", flags->importance.chunks, "Chunks of text to run; 0: all [all]")
        ->type_name("N")
        ->transform(whole_number(0, 1 << 30));
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_imatrix(*flags); }; });
}

}  // namespace apreqel
