#include "base/file.h"
#include "base/printable.h"
#include "base/scratch.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"
#include "runtime/rpc.h"

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

struct BenchFlags : Flags {
    std::filesystem::path scratch;
    bool prompts = false;  ///< a prompt to time was named
};

std::string describe_timed(const Profile& profile)
{
    constexpr std::size_t kTimed = 6;  // what measurement rows have before the quality
    const auto cut = [](std::vector<std::string> row) {
        row.resize(kTimed);
        return row;
    };
    std::vector<std::vector<std::string>> rows{cut(measurement_header("type"))};
    std::vector<Measurement> measured;
    for (const UniformVariant& variant : profile.model.types) {
        measured.push_back(measurement_of(profile, variant.type));
        rows.push_back(cut(measurement_row(measured.back())));
    }
    const auto mixes = std::ranges::count_if(profile.device.models, [](const TimedModel& m) { return !m.allocation.empty(); });
    return std::format("{} on {}\nembedding and output: {} in every type; {} mixes of the types were timed too\n{}\n\n{}",
                       printable_line(profile.model.model_name), printable_line(profile.device.device),
                       profile.device.embedding_type, mixes, format_context(profile.device.context),
                       format_table(rows) + format_energy(measured));
}

Result<> run_bench(const BenchFlags& flags)
{
    if (auto writable = check_output(flags.output, flags.force, {flags.model}); !writable) return writable;
    if (auto known = check_settings(flags.settings.run); !known) return known;
    Terminal terminal(flags.quiet);
    const auto shape = read_shape(flags.model);
    if (!shape) return std::unexpected(shape.error());
    const auto parent = flags.scratch.empty() ? std::filesystem::absolute(flags.output).parent_path() : flags.scratch;
    const auto scratch = ScratchFolder::create(parent);
    if (!scratch) return std::unexpected(scratch.error());
    auto inventory = open_shape(*shape, flags.model, scratch->path() / "model.gguf");
    if (!inventory) return std::unexpected(inventory.error());
    auto types = flags.types ? parse_types(*flags.types, true, kWithImportance) : fitting_types(*inventory);
    if (!types) return std::unexpected(types.error());
    const auto embedding = embedding_type_of(flags, *inventory);
    if (!embedding) return std::unexpected(embedding.error());
    Study study{.inventory = std::move(*inventory),
                .workspace = Workspace({}, scratch->path() / "workspace"),
                .settings = flags.settings,
                .monitor = terminal};
    study.settings.types = std::move(*types);
    study.settings.embedding_type = *embedding;
    study.settings.mixes = Mixes::with_embedding;
    if (!flags.prompts) study.settings.speed.prompt = 0;
    if (auto created = study.workspace.create(); !created) return created;
    if (auto added = add_servers(flags.rpc); !added) return added;
    if (auto trusted = leave_out_wrong_types(study); !trusted) return trusted;
    const auto profile = bench(study);
    if (!profile) return std::unexpected(profile.error());
    const std::string json = to_json(profile->device);
    if (auto written = write_text(flags.output, json); !written) return written;
    return print_result(flags.json ? json : describe_timed(*profile), flags.json);
}

}  // namespace

void add_bench(CLI::App& app, Action& chosen)
{
    CLI::App* verb =
        app.add_subcommand("bench", "Time types and mixes of a model that is not here, from its shape → latency.json");
    verb->footer(
        "Examples:\n"
        "  apreqel inspect model-f16.gguf -o shape.json                     where the model is\n"
        "  apreqel bench shape.json -o latency.json                         on the device\n"
        "  apreqel plan --profile profile.json --sensitivity sensitivity.json --device latency.json -o plan.json    anywhere");
    auto flags = std::make_shared<BenchFlags>();
    verb->add_option("SHAPE", flags->model, "Shape of the model, as inspect --output writes it")->type_name("")->required();
    add_output(*verb, *flags, "Write the times here, as plan --device reads them");
    verb->get_option("--output")->required();
    add_palette(*verb, *flags, UsualTypes::fitting);
    verb->add_option("--scratch", flags->scratch,
                     "Folder for the files that are timed, which take no room [that of the output]")
        ->type_name("DIR");
    add_speed(*verb, *flags);
    verb->get_option("--prompt-tokens")->default_str("0");
    add_context(*verb, *flags);
    add_renamed(*verb, "--context", "--kv-context");
    add_running(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags, verb] {
        flags->prompts = is_prompt_given(*verb);
        chosen = [flags] { return run_bench(*flags); };
    });
}

}  // namespace apreqel
