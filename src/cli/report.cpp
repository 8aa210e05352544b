#include "base/file.h"
#include "cli/flags.h"
#include "cli/result_json.h"
#include "cli/verbs.h"
#include "report/page.h"

#include <format>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace apreqel {
namespace {

/// Reads the artifact at `path` if it is there, as `json` in the form this version writes.
template <typename Read>
auto read_if_there(const std::filesystem::path& path, Read read, std::string& json) -> decltype(read(path))
{
    using Record = typename decltype(read(path))::value_type;
    if (!std::filesystem::exists(path)) return Record{};
    auto record = read(path);
    if (record) json = to_json(*record);
    return record;
}

/// The metrics of the models that stand in a list of the artifact.
void add_models(Artifact& artifact, std::string_view list, std::span<const Metrics> metrics)
{
    for (std::size_t i = 0; i < metrics.size(); ++i) artifact.models.emplace_back(std::format("/{}/{}", list, i), metrics[i]);
}

void add_models(Artifact& artifact, std::string_view list, std::span<const Measurement> models, const Quality& reference)
{
    std::vector<Metrics> metrics;
    for (const Measurement& model : models) metrics.push_back(metrics_of(model, reference));
    add_models(artifact, list, metrics);
}

void add_models(Artifact& artifact, const RunResult& run)
{
    const Quality& reference = run.reference.quality;
    artifact.models.emplace_back("/reference", metrics_of(run.reference, reference));
    artifact.models.emplace_back("/mix", metrics_of(run.mix, reference));
    add_models(artifact, "uniform", run.uniform, reference);
    std::vector<Measurement> tried;
    for (const TriedModel& model : run.tried) tried.push_back(model.measured);
    add_models(artifact, "tried", tried, reference);
    add_models(artifact, "rivals", run.rivals, reference);
}

void add_models(Artifact& artifact, const Evaluation& evaluation)
{
    add_models(artifact, "uniform", evaluation.uniform, evaluation.reference.quality);
    std::vector<Measurement> models;
    for (const MixedModel& model : evaluation.models) models.push_back(model.measurement);
    add_models(artifact, "models", models, evaluation.reference.quality);
    for (std::size_t s = 0; s < evaluation.sets.size(); ++s)
        add_models(artifact, std::format("sets/{}/rivals", s), evaluation.sets[s].rivals, evaluation.reference.quality);
}

/// The artifacts of a workspace. Errors: none at all; one that cannot be read; two of different models.
Result<PageData> read_artifacts(const Workspace& workspace)
{
    PageData data;
    const auto scores = read_if_there(workspace.path("scores.json"), read_scores, data.scores.json);
    if (!scores) return std::unexpected(scores.error());
    auto profile = read_if_there(workspace.path("profile.json"), read_profile, data.profile.json);
    if (!profile) return std::unexpected(profile.error());
    profile->cache.reset();  // the page plans layers, and memory there is that of the weights
    const auto run = read_if_there(workspace.path("run.json"), read_run, data.run.json);
    if (!run) return std::unexpected(run.error());
    const bool scored = !data.scores.json.empty();
    const bool profiled = !data.profile.json.empty();
    if (!scored && !profiled)
        return fail("report: {} holds nothing to report yet: first apreqel run MODEL", workspace.directory().string());

    std::string_view model;
    for (const std::string_view found :
         {std::string_view(scores->model), std::string_view(profile->model.model), std::string_view(run->plan.model)}) {
        if (found.empty()) continue;
        if (!model.empty() && found != model)
            return fail("report: the files in {} are of different models", workspace.directory().string());
        model = found;
    }
    if (scored && profiled && scores->layers.size() != profile->model.layers)
        return fail("report: scores.json has {} layers and profile.json has {}", scores->layers.size(), profile->model.layers);
    data.model_name = profiled ? profile->model.model_name : scores->model_name;
    add_models(data.profile, "types", type_metrics(*profile));
    if (!data.run.json.empty()) add_models(data.run, *run);

    const auto sensitivity_path = workspace.path("sensitivity.json");
    if (profiled && std::filesystem::exists(sensitivity_path)) {
        const auto sensitivity = read_sensitivity(sensitivity_path);
        if (!sensitivity) return std::unexpected(sensitivity.error());
        auto front = plan_front(*profile, *sensitivity, {.mix_embedding = true});  // as plan and run do
        if (!front) return std::unexpected(front.error());
        data.front = std::move(*front);
    }

    const auto study_path = workspace.path("study.json");
    if (!scored || !profiled || !std::filesystem::exists(study_path)) return data;
    const auto evaluation = read_evaluation(study_path, *profile, *scores);
    if (!evaluation) return std::unexpected(evaluation.error());
    auto tables = study_tables(*evaluation);
    if (!tables) return std::unexpected(tables.error());
    data.study.json = to_json(*evaluation);
    add_models(data.study, *evaluation);
    data.tables = std::move(*tables);
    return data;
}

Result<> run_report(const Flags& flags)
{
    if (flags.model.empty() && flags.workspace.empty()) return usage_error("report: MODEL or -C DIR is needed");
    const Workspace workspace(flags.model, flags.workspace);
    std::filesystem::path file = flags.model;
    if (file.empty()) {
        const auto folder = std::filesystem::path(flags.workspace.string()).lexically_normal();
        const auto named = folder.has_filename() ? folder : folder.parent_path();
        file = named.extension() == ".apreqel" ? named.stem() : std::filesystem::path("MODEL.gguf");
    }
    const std::filesystem::path output = flags.output.empty() ? workspace.path("report.html") : flags.output;
    if (!flags.output.empty()) {
        if (auto writable = check_output(output, flags.force, {flags.model}); !writable) return writable;
    }
    auto data = read_artifacts(workspace);
    if (!data) return std::unexpected(data.error());
    data->model_file = file.string();
    data->workspace = flags.workspace.string();
    data->directory = workspace.directory().string();
    data->made_by = tool_version();
    data->usual_types = kPaperTypes;
    if (data->model_name.empty()) data->model_name = file.filename().string();
    if (auto written = write_text(output, report_page(*data)); !written) return written;
    return print_result(flags.json ? report_json(output) : output.string() + "\n", flags.json);
}

}  // namespace

void add_report(CLI::App& app, Action& chosen)
{
    CLI::App* verb =
        app.add_subcommand("report", "Everything measured so far as one web page, with a weight explorer → report.html");
    verb->footer(
        "Examples:\n"
        "  apreqel report model-f16.gguf\n"
        "  apreqel report -C model-f16.gguf.apreqel -o report.html");
    auto flags = std::make_shared<Flags>();
    verb->add_option("MODEL", flags->model, "The model whose workspace to show; the file itself is not read")->type_name("");
    add_workspace(*verb, *flags);
    add_output(*verb, *flags, "Write the page here [DIR/report.html]");
    add_common(*verb, *flags);
    verb->callback([&chosen, flags] { chosen = [flags] { return run_report(*flags); }; });
}

}  // namespace apreqel
