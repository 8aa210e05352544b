#include "cli/publish.h"

#include "base/file.h"
#include "model/provenance.h"
#include "report/card.h"

#include <algorithm>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

/// "NAME-APQ-4.6bpw.gguf", in the folder. `number` from 2 on: another of that name.
Result<fs::path> conventional(const fs::path& model, const fs::path& folder, double bits, int number = 1)
{
    const auto provenance = read_provenance(model);
    if (!provenance) return std::unexpected(provenance.error());
    std::string name = file_stem_of(*provenance, model) + "-APQ";
    if (bits > 0) name += std::format("-{:.1f}bpw", bits);
    if (number > 1) name += std::format("-{}", number);
    return folder / (name + ".gguf");
}

/// How the Modelfile names the model file.
std::string seen_from(const fs::path& modelfile, const fs::path& output)
{
    const fs::path folder = fs::absolute(modelfile).parent_path().lexically_normal();
    return fs::absolute(output).lexically_normal().lexically_relative(folder).generic_string();
}

Card card_of(const Inventory& inventory, const Plan& plan, const Provenance& provenance, const fs::path& output)
{
    std::error_code unknown;  // then it says 0 bytes
    const std::uintmax_t bytes = fs::file_size(output, unknown);
    const auto has = [&](std::string_view suffix) {
        return std::ranges::any_of(plan.allocation, [&](const GroupType& entry) { return entry.type.ends_with(suffix); });
    };
    return {.file = output.filename().string(),
            .model = inventory.name,
            .architecture = inventory.architecture,
            .repository = provenance.repository,
            .base_models = provenance.base_repositories,
            .license = provenance.license,
            .license_name = provenance.license_name,
            .license_link = provenance.license_link,
            .languages = provenance.languages,
            .parameters = inventory.parameters(),
            .file_bytes = unknown ? 0 : static_cast<std::uint64_t>(bytes),
            .bits_per_weight = 0,
            .importance = has(kWithImportance) ? inventory.importance : "",
            .calibration = has(kWithFeedback) ? inventory.hessian : "",
            .embedding_type = plan.embedding_type.empty() ? std::string(kEmbeddingType) : plan.embedding_type,
            .allocation = plan.allocation,
            .fallbacks = plan.fallbacks,
            .measured = {},
            .version = tool_version(),
            .command = command_line(),
            .has_chat_template = provenance.has_chat_template,
            .modelfile = {},
            .cache = plan.ranking.best.empty() ? std::nullopt : plan.chosen().cache,
            .context = plan.request.limits.context.tokens};
}

/// Writes card and Modelfile.
Result<> write_beside(const Publishing& publishing, Card card, const fs::path& output)
{
    if (!publishing.modelfile.empty()) {
        const auto text = format_modelfile(seen_from(publishing.modelfile, output), card.has_chat_template);
        if (!text) return std::unexpected(text.error());
        if (auto written = write_text(publishing.modelfile, *text); !written) return written;
        card.modelfile = publishing.modelfile.filename().string();
    }
    return publishing.card.empty() ? Result<>() : write_text(publishing.card, format_card(card));
}

/// A free name by convention, for a file of which nobody could know before what it would be called.
Result<> give_name(const Flags& flags, const Study& study, RunResult& result, fs::path& output)
{
    for (int number = 1;; ++number) {
        const auto named = conventional(flags.model, flags.output, result.mix.bits_per_weight, number);
        if (!named) return std::unexpected(named.error());
        std::error_code error;
        if (fs::exists(fs::symlink_status(*named, error)) && !flags.force) continue;
        if (auto moved = move_file(output, *named); !moved) return moved;
        output = *named;
        break;
    }
    result.mix.name = output.filename().string();
    return write_text(study.workspace.path("run.json"), to_json(result));
}

}  // namespace

void add_publishing(CLI::App& verb, Publishing& publishing)
{
    verb.add_option("--card", publishing.card, "Write a model card here, in Markdown with the front matter of Hugging Face")
        ->type_name("FILE");
    verb.add_option("--modelfile", publishing.modelfile, "Write a Modelfile here, from which `ollama create` takes the output")
        ->type_name("FILE");
}

void add_layout(CLI::App& verb, std::filesystem::path& layout)
{
    verb.add_option("--layout", layout,
                    "Write the plan by role and depth here, as quantize --plan reads it for other models of the same family")
        ->type_name("FILE");
}

std::vector<std::string>& command_line()
{
    static std::vector<std::string> arguments;
    return arguments;
}

bool names_folder(const fs::path& output)
{
    std::error_code error;
    return !output.empty() && (!output.has_filename() || fs::is_directory(output, error));
}

Result<fs::path> place_output(const Flags& flags, const Publishing& publishing, double bits,
                              const std::vector<fs::path>& inputs)
{
    fs::path output = flags.output;
    if (names_folder(output)) {
        const auto named = conventional(flags.model, output, bits);
        if (!named) return named;
        std::error_code error;
        fs::create_directories(output, error);
        if (error) return fail("write {}: {}", output.string(), error.message());
        output = *named;
    }
    if (auto writable = check_output(output, flags.force, inputs); !writable) return std::unexpected(writable.error());
    std::vector<fs::path> taken{output};
    for (const fs::path& beside : {publishing.card, publishing.modelfile, publishing.layout}) {
        if (beside.empty()) continue;
        if (auto writable = check_output(beside, flags.force, inputs); !writable) return std::unexpected(writable.error());
        const auto same = [&](const fs::path& other) {
            return fs::absolute(other).lexically_normal() == fs::absolute(beside).lexically_normal();
        };
        if (std::ranges::any_of(taken, same)) return usage_error("write {}: asked for twice", beside.string());
        taken.push_back(beside);
    }
    if (!publishing.modelfile.empty())
        if (auto text = format_modelfile(seen_from(publishing.modelfile, output), true); !text)
            return std::unexpected(text.error());
    return output;
}

Result<> publish(const Flags& flags, const Publishing& publishing, const Inventory& inventory, const Plan& plan,
                 std::span<const Variant> foreign, const fs::path& output)
{
    if (publishing.card.empty() && publishing.modelfile.empty()) return {};
    const auto provenance = read_provenance(flags.model);
    if (!provenance) return std::unexpected(provenance.error());
    Card card = card_of(inventory, plan, *provenance, output);
    const auto bits = quantized_bits(inventory, plan, foreign);
    if (!bits) return std::unexpected(bits.error());
    card.bits_per_weight = *bits;
    auto fallbacks = quantized_fallbacks(inventory, plan, foreign);
    if (!fallbacks) return std::unexpected(fallbacks.error());
    card.fallbacks = std::move(*fallbacks);
    return write_beside(publishing, std::move(card), output);
}

Result<> publish(const Flags& flags, const Publishing& publishing, const Study& study, RunResult& result, fs::path& output)
{
    if (names_folder(flags.output))
        if (auto named = give_name(flags, study, result, output); !named) return named;
    const auto provenance = read_provenance(flags.model);
    if (!provenance) return std::unexpected(provenance.error());
    Card card = card_of(study.inventory, result.plan, *provenance, output);
    card.bits_per_weight = result.mix.bits_per_weight;
    card.version = result.version;
    CardMeasurements measured{.models = result.uniform,
                              .mix = result.mix.name,
                              .device = result.device,
                              .text = result.text,
                              .because = result.because};
    measured.models.append_range(result.rivals);
    for (const TriedModel& tried : result.tried) measured.models.push_back(tried.measured);
    measured.models.push_back(result.mix);
    measured.models.push_back(result.reference);
    card.measured = std::move(measured);
    if (auto written = write_beside(publishing, std::move(card), output); !written) return written;
    if (publishing.layout.empty()) return {};
    auto layout = layout_of(result.plan, study.inventory.architecture, result.version);
    if (!layout) return std::unexpected(layout.error());
    auto fallbacks = quantized_fallbacks(study.inventory, result.plan, study.settings.types);
    if (!fallbacks) return std::unexpected(fallbacks.error());
    layout->fallbacks = std::move(*fallbacks);
    layout->device = result.device;
    layout->text = result.text;
    return write_text(publishing.layout, to_json(*layout));
}

}  // namespace apreqel
