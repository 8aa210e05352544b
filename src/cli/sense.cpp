#include "base/file.h"
#include "base/printable.h"
#include "cli/flags.h"
#include "cli/quantity.h"
#include "cli/verbs.h"
#include "report/table.h"
#include "study/merge.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

namespace apreqel {
namespace {

struct SenseFlags : Flags {
    SenseSettings sense;
    std::optional<Share> shard;
    std::vector<std::filesystem::path> joined;
};

}  // namespace

std::string describe(const Sensitivity& sensitivity)
{
    std::string text = std::format("{}: KL divergence with one group quantized, in 10⁻⁶ nats per token; {}\n\n",
                                   printable_line(sensitivity.model_name), printable_line(sensitivity.text));
    std::vector<std::vector<std::string>> rows{{"group"}};
    rows.front().append_range(sensitivity.types);
    std::size_t filled = 0;
    for (const GroupSensitivity& group : sensitivity.groups) {
        rows.push_back({group.group + (group.fixed_type.empty() ? "" : std::format(" ({} unless mixed)", group.fixed_type))});
        for (const Probe& probe : group.probes) {
            filled += probe.measured || probe.memory_bytes == 0 ? 0 : 1;
            rows.back().push_back(
                probe.memory_bytes == 0 ? "—" : std::format("{}{:.1f}", probe.measured ? "" : "~", 1e6 * probe.kld));
        }
    }
    text += format_table(rows);
    text += format_source(sensitivity.types, printable_line(sensitivity.model_name));
    text += std::format("\na probe that changes nothing: {:.1f}\n", 1e6 * sensitivity.noise_floor);
    const Separability& held = sensitivity.separability;
    text += std::format("{} tokens went through the model, its weights in {}\n", sensitivity.tokens, sensitivity.form);
    if (filled > 0) text += std::format("~ {} filled in from the errors of the weights", filled);
    if (filled > 0 && held.pairs > 0)
        text += std::format("; in {} that were probed to check, off by a factor of {:.2f} in the median, {:.2f} at worst",
                            held.pairs, held.median_factor, held.worst_factor);
    return filled > 0 ? text + "\n" : text;
}

namespace {

Result<> run_shard(const SenseFlags& flags, const Study& study)
{
    const auto shard = sense_shard(study, flags.sense, *flags.shard);
    if (!shard) return std::unexpected(with_resume_hint(shard.error(), study));
    const std::string json = to_json(*shard);
    if (auto written = write_text(flags.output, json); !written) return written;
    return print_result(flags.json ? json
                                   : std::format("{}: shard {} of {}, for merge\n", flags.output.string(), shard->share.number,
                                                 shard->share.count),
                        flags.json);
}

Result<> run_sense(SenseFlags flags)
{
    if (flags.shard)
        if (auto writable = check_output(flags.output, flags.force, flags.joined); !writable) return writable;
    if (!flags.joined.empty()) {
        auto joined = read_joined(flags.joined);
        if (!joined) return std::unexpected(joined.error());
        flags.sense.joined = std::move(*joined);
    }
    Terminal terminal(flags.quiet);
    const auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    if (flags.shard) return run_shard(flags, *study);
    const auto sensitivity = sense(*study, flags.sense);
    if (!sensitivity) return std::unexpected(with_resume_hint(sensitivity.error(), *study));
    return print_result(flags.json ? to_json(*sensitivity) : describe(*sensitivity), flags.json);
}

}  // namespace

void add_sensing(CLI::App& verb, SenseSettings& settings)
{
    verb.add_option("--granularity", settings.granularity,
                    "What is probed and typed as one: layer, or tensor (an FFN's gate and up together)")
        ->type_name("layer|tensor")
        ->transform(CLI::CheckedTransformer(
                        std::map<std::string, Granularity>{{"layer", Granularity::layer}, {"tensor", Granularity::tensor}})
                        .description(""))
        ->default_str("layer");
    CLI::Option* const thorough =
        verb.add_flag("--thorough", settings.thorough,
                      "Probe each layer in each type [each in one, the errors of its weights tell of the others]");
    verb.add_option("--probe-chunks", settings.chunks, "Chunks of text of a thorough probe")
        ->needs(thorough)
        ->type_name("N")
        ->transform(whole_number(2, 1 << 20))
        ->capture_default_str();
    verb.add_option("--minutes", settings.minutes, "Stop probing after this long, fill in the rest [no limit]")
        ->type_name("N")
        ->transform(quantity(kNoUnits, 0, 1e9));
    verb.add_flag_callback("--fast",
                           [] { throw CLI::ArgumentMismatch("--fast: less than that is the default now; more is --thorough"); })
        ->group("");
}

namespace {

/// "2/3".
std::optional<Share> parse_share(std::string_view text)
{
    constexpr std::size_t kMost = 1 << 20;
    Share share;
    const std::size_t slash = std::min(text.find('/'), text.size());
    const auto read = [](std::string_view digits, std::size_t& number) {
        const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        return error == std::errc() && rest == digits.data() + digits.size() && number > 0;
    };
    if (!read(text.substr(0, slash), share.number) || slash == text.size() || !read(text.substr(slash + 1), share.count))
        return std::nullopt;
    return share.number <= share.count && share.count <= kMost ? std::optional(share) : std::nullopt;
}

void add_sharding(CLI::App& verb, SenseFlags& flags)
{
    add_output(verb, flags, "With --shard: write what was probed here, for merge");
    CLI::Option* const output = verb.get_option("--output");
    CLI::Option* const shard =
        verb.add_option_function<std::string>(
                "--shard",
                [&flags](const std::string& text) {
                    flags.shard = parse_share(trimmed(text));
                    if (!flags.shard) throw CLI::ValidationError("--shard", text + " is not NUMBER/COUNT, such as 2/3");
                },
                "Make this share of the probes only, such as 2/3: the others on other machines, or at another time")
            ->type_name("NUMBER/COUNT")
            ->needs(output)
            ->excludes(verb.get_option("--minutes"));
    output->needs(shard);
    verb.add_option("--with", flags.joined, "Shards to go on from: all of one sensitivity")->type_name("SHARD");
}

}  // namespace

void add_sense(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("sense", "Measure what each type does to each layer, one at a time → sensitivity.json");
    verb->footer(
        "Examples:\n"
        "  apreqel sense model-f16.gguf\n"
        "  apreqel sense model-f16.gguf --calibration calibration.txt --granularity tensor --minutes 60\n"
        "  apreqel sense model-f16.gguf --calibration calibration.txt --form bf16 --shard 2/3 -o shard-2.json");
    auto flags = std::make_shared<SenseFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    add_types(*verb, *flags, UsualTypes::fitting);
    add_sensing(*verb, flags->sense);
    add_sharding(*verb, *flags);
    verb->add_option_function<std::string>(
            "--form", [flags](const std::string& name) { flags->settings.form = *parse_type(name); },
            "Full-precision type that the model runs in [the one that this machine computes fastest]")
        ->type_name("f16|bf16|f32")
        ->check(CLI::IsMember({"f16", "bf16", "f32"}).description(""));
    add_chunking(*verb, *flags);
    add_renamed(*verb, "--text", "--calibration");
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_sense(*flags); }; });
}

}  // namespace apreqel
