#include "study/merge.h"

#include "base/file.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <memory>

namespace apreqel {
namespace {

struct MergeFlags : Flags {
    std::vector<std::filesystem::path> shards;
};

Result<> run_merge(const MergeFlags& flags)
{
    if (auto writable = check_output(flags.output, flags.force, flags.shards); !writable) return writable;
    const auto joined = read_joined(flags.shards);
    if (!joined) return std::unexpected(joined.error());
    const auto sensitivity = merge(*joined);
    if (!sensitivity) return std::unexpected(sensitivity.error());
    const std::string json = to_json(*sensitivity, joined->key);
    if (auto written = write_text(flags.output, json); !written) return written;
    return print_result(flags.json ? json : describe(*sensitivity), flags.json);
}

}  // namespace

void add_merge(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("merge", "Join what sense --shard found on several machines → sensitivity.json");
    verb->footer(
        "Example:\n"
        "  apreqel sense model-f16.gguf --calibration text.txt --form bf16 --shard 1/2 -o shard-1.json    on one machine\n"
        "  apreqel sense model-f16.gguf --calibration text.txt --form bf16 --shard 2/2 -o shard-2.json    on another\n"
        "  apreqel merge shard-1.json shard-2.json -o sensitivity.json                                    anywhere");
    auto flags = std::make_shared<MergeFlags>();
    verb->add_option("SHARD", flags->shards, "Shards, as sense --shard writes them: all of one sensitivity")
        ->type_name("")
        ->required();
    add_output(*verb, *flags, "Write the sensitivity here: that of one machine that made all probes");
    verb->get_option("--output")->required();
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_merge(*flags); }; });
}

}  // namespace apreqel
