#include "base/printable.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <memory>

namespace apreqel {
namespace {

std::string describe(const Scores& scores)
{
    const std::string text = std::format("{}: {} prompts, {} tokens ({}), γ = {}\n\n", printable_line(scores.model_name),
                                         scores.prompts, scores.tokens, printable_line(scores.prompts_source), scores.gamma);
    std::vector<std::vector<std::string>> rows{{"layer", "score", "rewards", "penalties", "mean similarity"}};
    for (const std::size_t l : order_by_contribution(scores.layers)) {
        const LayerScore& layer = scores.layers[l];
        rows.push_back({layer.layer, std::format("{}", layer.score), std::to_string(layer.rewards),
                        std::to_string(layer.penalties), std::format("{:.4f}", layer.mean_similarity)});
    }
    return text + format_table(rows);
}

Result<> run_score(const Flags& flags)
{
    Terminal terminal(flags.quiet);
    const auto study = open_study(flags, terminal);
    if (!study) return std::unexpected(study.error());
    const auto scores = score(*study);
    if (!scores) return std::unexpected(with_resume_hint(scores.error(), *study));
    return print_result(flags.json ? to_json(*scores) : describe(*scores), flags.json);
}

}  // namespace

void add_score(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("score", "Score each layer by how much it changes the hidden state → scores.json");
    verb->footer(
        "Examples:\n"
        "  apreqel score model-f16.gguf\n"
        "  apreqel score model-f16.gguf --prompts questions.jsonl");
    auto flags = std::make_shared<Flags>();
    add_model(*verb, *flags);
    add_scoring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_score(*flags); }; });
}

}  // namespace apreqel
