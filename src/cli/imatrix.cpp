#include "cli/flags.h"
#include "cli/verbs.h"

#include <memory>

namespace apreqel {
namespace {

struct ImatrixFlags : Flags {
    std::filesystem::path text;
    ImportanceSettings importance;
};

Result<> run_imatrix(const ImatrixFlags& flags)
{
    if (auto writable = check_output(flags.output, flags.force, {flags.model, flags.text}); !writable) return writable;
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    study->settings.calibration = flags.text;
    const auto matrix = make_importance(*study, flags.importance, flags.output);
    if (!matrix) return std::unexpected(with_resume_hint(matrix.error(), *study));
    if (flags.json) return print_result(to_json(*matrix, study->inventory));
    return print_result(std::format("{}: {} tensors, {} chunks of {} tokens; text: {}\n", flags.output.string(),
                                    matrix->tensors.size(), matrix->chunks, matrix->context, matrix->text));
}

}  // namespace

void add_imatrix(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand(
        "imatrix", "Collect how much each input of each weight matters → an importance matrix, as llama-imatrix writes it");
    auto flags = std::make_shared<ImatrixFlags>();
    add_model(*verb, *flags);
    add_output(*verb, *flags, "The importance matrix to write (GGUF)");
    verb->get_option("--output")->required();
    verb->add_option("--text", flags->text, "Calibration text; not one to measure on later [sampled from the model]")
        ->type_name("FILE");
    verb->add_option("--context", flags->importance.context, "Tokens per chunk of text, as llama-imatrix -c")
        ->type_name("N")
        ->check(CLI::Range(8, 1 << 20).description(""))
        ->capture_default_str();
    verb->add_option("--chunks", flags->importance.chunks, "Chunks of text to run [all]")->type_name("N");
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_imatrix(*flags); }; });
}

}  // namespace apreqel
