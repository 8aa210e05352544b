#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <memory>

namespace apreqel {
namespace {

std::string describe(const Profile& profile)
{
    const std::string text = std::format("{} on {}\ntext: {}\nembedding and output: {} in every variant\n\n",
                                         printable_line(profile.model.model_name), printable_line(profile.device.device),
                                         printable_line(profile.model.text), profile.model.embedding_type);
    std::vector<std::vector<std::string>> rows{measurement_header("type")};
    for (const UniformVariant& variant : profile.model.types)
        rows.push_back(measurement_row(measurement_of(profile, variant.type)));
    std::vector<Fallback> fallbacks;
    for (const UniformVariant& variant : profile.model.types) fallbacks.append_range(variant.fallbacks);
    std::vector<std::string> types;
    for (const UniformVariant& variant : profile.model.types) types.push_back(variant.type);
    return text + format_table(rows) + format_source(types, printable_line(profile.model.model_name)) +
           format_fallbacks(fallbacks);
}

struct ProfileFlags : Flags {
    bool mixes = false;
};

Result<> run_profile(const ProfileFlags& flags)
{
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    if (flags.mixes) study->settings.mixes = Mixes::with_embedding;
    const auto measured = profile(*study);
    if (!measured) return std::unexpected(with_resume_hint(measured.error(), *study));
    return print_result(flags.json ? to_json(*measured) : describe(*measured), flags.json);
}

}  // namespace

void add_profile(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("profile", "Quantize the model uniformly with each type and measure it → profile.json");
    verb->footer(
        "Examples:\n"
        "  apreqel profile model-f16.gguf --types q4_K,q6_K,q8_0\n"
        "  apreqel profile model-f16.gguf --text wiki.test.raw --chunks 0");
    auto flags = std::make_shared<ProfileFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    add_types(*verb, *flags);
    verb->add_flag("--mixes", flags->mixes, "Time a few mixes too, from which --method front predicts latencies better");
    add_measuring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_profile(*flags); }; });
}

}  // namespace apreqel
