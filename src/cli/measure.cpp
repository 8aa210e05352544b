#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

struct MeasureFlags : Flags {
    std::vector<std::filesystem::path> files;
    std::filesystem::path reference;
};

/// The model the others are compared with: the one named, else the first that is in full precision.
Result<std::filesystem::path> find_reference(const MeasureFlags& flags)
{
    if (!flags.reference.empty()) return flags.reference;
    for (const auto& file : flags.files) {
        const auto inventory = read_inventory(file);
        if (!inventory) return std::unexpected(inventory.error());
        if (check_full_precision(*inventory)) return file;
    }
    return std::filesystem::path();
}

Result<> run_measure(MeasureFlags flags)
{
    Terminal terminal(flags.quiet);
    const auto reference = find_reference(flags);
    if (!reference) return std::unexpected(reference.error());
    flags.model = reference->empty() ? flags.files.front() : *reference;
    if (reference->empty()) {
        flags.settings.quality.kld_chunks = 0;
        terminal.warn("no full-precision model to compare with: KL divergence is not measured; name one with --reference");
    }
    const auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    std::vector<ModelFile> files;
    for (const auto& file : flags.files) files.push_back({file, file.filename().string()});
    const auto measurements = measure(*study, files);
    if (!measurements) return std::unexpected(with_resume_hint(measurements.error(), *study));

    const std::string device = study->platform().device;
    if (flags.json) return print_result(to_json(*measurements, device, text_source(*study)), flags.json);
    std::vector<std::vector<std::string>> rows{measurement_header("model")};
    for (const Measurement& measurement : *measurements) rows.push_back(measurement_row(measurement));
    return print_result(std::format("{}\ntext: {}\n\n{}{}", printable_line(device), printable_line(text_source(*study)),
                                    format_table(rows), format_energy(*measurements)));
}

}  // namespace

void add_measure(CLI::App& app, Action& chosen)
{
    CLI::App* verb =
        app.add_subcommand("measure", "Measure any GGUF files side by side: memory, latency, perplexity, KL divergence");
    verb->footer(
        "Example:\n"
        "  apreqel measure mixed.gguf other.gguf --reference model-f16.gguf");
    auto flags = std::make_shared<MeasureFlags>();
    verb->add_option("FILE", flags->files, "GGUF files of one model")->type_name("")->required();
    verb->add_option("--reference", flags->reference, "Full-precision model to compare with [the first FILE that is one]")
        ->type_name("FILE");
    add_measuring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_measure(*flags); }; });
}

}  // namespace apreqel
