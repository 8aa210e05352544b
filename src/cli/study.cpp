#include "base/file.h"
#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"
#include "report/tables.h"
#include "runtime/runtime.h"

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

struct StudyFlags : Flags {
    std::filesystem::path markdown;
    std::filesystem::path csv;
    bool no_ablation = false;
    bool no_front = false;
    std::string palette;
    SenseSettings sense;
    bool keep_models = false;
    bool stock = false;
    std::vector<std::string> rivals;
};

/// The types that the front method may use beside those of the study; where it has rivals, those that `run` would use.
Result<std::vector<Variant>> palette_of(const StudyFlags& flags, const Study& study)
{
    const bool weighted = !study.inventory.importance.empty();
    if (!flags.palette.empty()) return parse_types(flags.palette, weighted, weighted ? kWithImportance : std::string_view());
    return flags.rivals.empty() ? std::vector<Variant>() : fitting_types(study.inventory);
}

Result<> run_study(StudyFlags flags)
{
    flags.weigh_types = false;  // the paper's types are without importance; study adds them with it
    if (flags.stock)
        for (const std::string_view name : stock_names()) flags.rivals.emplace_back(name);
    // What people have is made with an importance matrix, and so is what `run` makes.
    if (!flags.rivals.empty() && flags.imatrix.empty()) flags.imatrix = kOwnImportance;
    EvaluationSettings settings{.ablation = !flags.no_ablation,
                                .front = !flags.no_front,
                                .sense = flags.sense,
                                .keep_models = flags.keep_models,
                                .rivals = flags.rivals,
                                .asked_for_rivals = !flags.stock};
    for (const auto& output : {flags.output, flags.markdown, flags.csv}) {
        if (output.empty()) continue;
        if (auto writable = check_output(output, flags.force, {flags.model}); !writable) return writable;
    }
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal, [&](const Study& opened) { return check_evaluation(opened, settings); });
    if (!study) return std::unexpected(study.error());
    if (auto trusted = leave_out_wrong_types(*study); !trusted) return trusted;
    auto palette = palette_of(flags, *study);
    if (!palette) return std::unexpected(palette.error());
    std::vector<Variant>& types = study->settings.types;
    std::erase_if(*palette, [&](const Variant& variant) {
        return std::ranges::contains(types, variant) || std::ranges::contains(types, Variant(variant.type));
    });
    // What was made elsewhere belongs to the wider choice, not to the paper's.
    std::ranges::copy_if(types, std::back_inserter(*palette),
                         [](const Variant& variant) { return variant.foreign != nullptr; });
    std::erase_if(types, [](const Variant& variant) { return variant.foreign != nullptr; });
    settings.palette = std::move(*palette);
    const auto evaluation = evaluate(*study, settings);
    if (!evaluation) return std::unexpected(with_resume_hint(evaluation.error(), *study));
    const auto tables = study_tables(*evaluation);
    if (!tables) return std::unexpected(tables.error());

    const std::string json = to_json(*evaluation);
    const Profile& profile = evaluation->profile;
    std::vector<Fallback> fallbacks;
    for (const UniformVariant& variant : profile.model.types) fallbacks.append_range(variant.fallbacks);
    const std::string heading =
        std::format("{}, {} layers, {} models measured on {}; text: {}", printable_line(profile.model.model_name),
                    profile.model.layers, evaluation->models.size() + evaluation->uniform.size(),
                    printable_line(profile.device.device), printable_line(profile.model.text));
    const auto write = [](const std::filesystem::path& path, const std::string& text) -> Result<> {
        return path.empty() ? Result<>() : write_text(path, text);
    };
    if (auto written = write(flags.output, json); !written) return written;
    if (auto written = write(flags.markdown, heading + "\n\n" + tables_markdown(*tables)); !written) return written;
    if (auto written = write(flags.csv, measurements_csv(*evaluation)); !written) return written;
    return print_result(flags.json ? json : heading + "\n\n" + tables_text(*tables) + format_fallbacks(fallbacks), flags.json);
}

}  // namespace

void add_study(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand(
        "study", "The paper's evaluation: 28 weight settings, built and measured, and their hypervolume → study.json");
    verb->footer(
        "Examples:\n"
        "  apreqel study model-f16.gguf --markdown study.md\n"
        "  apreqel study model-f16.gguf --no-ablation --imatrix auto --palette q2_K,q4_0,iq4_xs\n"
        "  apreqel study model-f16.gguf --no-ablation --stock                         beside every file type of llama.cpp");
    auto flags = std::make_shared<StudyFlags>();
    add_model(*verb, *flags);
    add_output(*verb, *flags, "Write what was measured here too, as JSON [DIR/study.json]");
    verb->add_option("--markdown", flags->markdown, "Write the tables here, as Markdown")->type_name("FILE");
    verb->add_option("--csv", flags->csv, "Write every measured model here, one a line")->type_name("FILE");
    verb->add_flag("--no-ablation", flags->no_ablation, "Only the paper's order of layers: a fraction of the models");
    verb->add_flag("--no-front", flags->no_front, "Only the paper's method: no measured sensitivity, no front");
    verb->add_option("--palette", flags->palette, "More types, for the front method only, such as q2_K,q4_0,iq4_xs")
        ->type_name("TYPES")
        ->default_str("with --stock or --beat those that fit the model");
    verb->add_flag(
        "--stock", flags->stock,
        "Also measure llama.cpp's file types, all that can be made, and the best of the front beside each: no larger, "
        "no slower");
    verb->add_option("--beat", flags->rivals, "The same beside this file, or this file type of llama.cpp; several times")
        ->type_name("FILE|TYPE")
        ->allow_extra_args(false);
    verb->add_flag("--keep-models", flags->keep_models, "Leave the mixed models in DIR/mixes");
    add_types(*verb, *flags, UsualTypes::paper);
    verb->get_option("--imatrix")->default_str("none; with --stock or --beat auto");
    add_scoring(*verb, *flags);
    add_sensing(*verb, flags->sense);
    add_measuring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_study(*flags); }; });
}

}  // namespace apreqel
