#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <memory>

namespace apreqel {
namespace {

std::string describe(const Profile& profile)
{
    const std::string quality = profile.model.text.empty() ? "quality: not measured, nothing was quantized"
                                                           : "text: " + printable_line(profile.model.text);
    const std::string text = std::format("{} on {}\n{}\nembedding and output: {} in every variant\n{}\n\n",
                                         printable_line(profile.model.model_name), printable_line(profile.device.device),
                                         quality, profile.model.embedding_type, format_context(profile.device.context));
    std::vector<std::vector<std::string>> rows{measurement_header("type")};
    std::vector<Measurement> measured;
    for (const UniformVariant& variant : profile.model.types) {
        measured.push_back(measurement_of(profile, variant.type));
        rows.push_back(measurement_row(measured.back()));
    }
    std::vector<Fallback> fallbacks;
    for (const UniformVariant& variant : profile.model.types) fallbacks.append_range(variant.fallbacks);
    std::vector<std::string> types;
    for (const UniformVariant& variant : profile.model.types) types.push_back(variant.type);
    return text + format_table(rows) + format_energy(measured) +
           format_source(types, printable_line(profile.model.model_name)) +
           (profile.cache ? format_cache_costs(*profile.cache) : "") + format_fallbacks(fallbacks);
}

struct ProfileFlags : Flags {
    bool mixes = false;
    bool shape = false;
    bool prompts = false;  ///< a prompt to time was named
};

Result<> run_profile(const ProfileFlags& flags)
{
    if (auto possible = check_mix_cache(flags); !possible) return possible;
    if (flags.settings.mix_cache && !flags.shape) return usage_error("profile: --mix-kv is for the front method: add --shape");
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    if (auto trusted = leave_out_wrong_types(*study); !trusted) return trusted;
    if (flags.mixes) study->settings.mixes = Mixes::with_embedding;
    if (flags.shape) {
        study->settings.mixes = Mixes::with_embedding;
        if (!flags.prompts) study->settings.speed.prompt = 0;
    }
    const auto measured = flags.shape ? outlook(*study) : profile(*study);
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
        "  apreqel profile model-f16.gguf --text wiki.test.raw --chunks 0\n"
        "  apreqel profile model-f16.gguf --shape");
    auto flags = std::make_shared<ProfileFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    add_types(*verb, *flags, UsualTypes::paper);
    verb->add_flag("--mixes", flags->mixes, "Time a few mixes too, from which --method front predicts latencies better");
    verb->add_flag("--shape", flags->shape,
                   "Quantize nothing: memory of the types, and latency of them and of a few mixes, timed on files without "
                   "weights; enough for --method front");
    add_measuring(*verb, *flags);
    add_context(*verb, *flags);
    add_mix_cache(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags, verb] {
        flags->prompts = is_prompt_given(*verb);
        chosen = [flags] { return run_profile(*flags); };
    });
}

}  // namespace apreqel
