#include "cli/flags.h"

#include "base/file.h"
#include "cli/quantity.h"
#include "model/importance.h"

#include <unistd.h>
#include <algorithm>
#include <map>
#include <ranges>

namespace apreqel {
namespace {

constexpr const char* kGiveImportance = "give one with --imatrix FILE, or have one collected with --imatrix auto";

constexpr const char* kImatrix = "Importance matrix of the model, as imatrix or llama-imatrix writes it (GGUF)";

/// Tokens, chunks or rounds at most: enough for any, and far from what overflows.
constexpr std::int64_t kMostTokens = 1 << 30;

}  // namespace

void add_model(CLI::App& verb, Flags& flags)
{
    verb.add_option("MODEL", flags.model, "Full-precision GGUF (f32, f16 or bf16); of a split model the first shard")
        ->type_name("")
        ->required();
}

void add_output(CLI::App& verb, Flags& flags, const std::string& description)
{
    verb.add_option("-o,--output", flags.output, description)->type_name("FILE");
    verb.add_flag("-f,--force", flags.force, "Replace the output if it exists");
}

void add_workspace(CLI::App& verb, Flags& flags)
{
    verb.add_option("-C,--workspace", flags.workspace, "Folder for everything measured and built [MODEL.apreqel]")
        ->type_name("DIR");
}

void add_common(CLI::App& verb, Flags& flags)
{
    verb.add_flag("--json", flags.json, "Print one JSON object instead of tables");
    verb.add_flag("-q,--quiet", flags.quiet, "No progress, only results, warnings and errors");
}

void add_imatrix_file(CLI::App& verb, Flags& flags)
{
    verb.add_option("--imatrix", flags.imatrix, kImatrix)->type_name("FILE");
}

void add_importance(CLI::App& verb, Flags& flags)
{
    verb.add_option("--imatrix", flags.imatrix, std::string(kImatrix) + "; auto: collected on a calibration text")
        ->type_name("FILE|auto");
    add_calibration(verb, flags, "Text for sensitivities and --imatrix auto [sampled from the model]");
}

void add_calibration(CLI::App& verb, Flags& flags, const std::string& description)
{
    verb.add_option("--calibration", flags.settings.calibration, description)->type_name("FILE");
}

void add_renamed(CLI::App& verb, const std::string& old, const std::string& now)
{
    verb.add_option_function<std::string>(
            old, [old, now](const std::string&) { throw CLI::ValidationError(old, "here it is called " + now); })
        ->group("");
}

void add_variants(CLI::App& verb, Flags& flags)
{
    verb.add_option("--variant", flags.variants,
                    "The same model quantized elsewhere, to choose from as one more type; may be repeated")
        ->type_name("NAME=FILE")
        ->allow_extra_args(false);
}

void add_types(CLI::App& verb, Flags& flags)
{
    add_importance(verb, flags);
    add_variants(verb, flags);
    add_palette(verb, flags);
}

void add_palette(CLI::App& verb, Flags& flags)
{
    verb.add_option("--types", flags.types, "Quantization types to choose from")->type_name("TYPE,…")->capture_default_str();
    verb.add_option("--embedding-type", flags.embedding_type, "Type of embedding and output tensors, the same in every variant")
        ->type_name("TYPE")
        ->capture_default_str();
}

void add_weights(CLI::App& verb, Flags& flags)
{
    verb.add_option("-w,--weights", flags.weights,
                    "What matters: a word; or three numbers memory,latency,accuracy; or memory=.2,latency=.6,accuracy=.2")
        ->type_name("balanced|memory|latency|accuracy|NUMBERS")
        ->capture_default_str();
}

void add_method(CLI::App& verb, PlanRequest& request)
{
    verb.add_option(
            "--method", request.method,
            "How to choose: paper (all distributions, TOPSIS, Algorithm 1) or front (measured sensitivity, Pareto front)")
        ->type_name("paper|front")
        ->check(CLI::IsMember({"paper", "front"}).description(""))
        ->capture_default_str();
    Limits& limits = request.limits;
    verb.add_option_function<double>(
            "--max-memory", [&limits](double bytes) { limits.memory_bytes = static_cast<std::uint64_t>(bytes); },
            "Most memory, such as 4GiB or 4G (1024³ bytes each) or 4GB (1000³); method front, as are all limits")
        ->type_name("SIZE")
        ->transform(quantity(kSizeUnits, 1, 0x1p63));
    verb.add_option("--max-latency", limits.latency_ms, "Most time per generated token, such as 40ms")
        ->type_name("TIME")
        ->transform(positive_quantity(kTimeUnits));
    verb.add_option_function<double>(
            "--min-speed",
            [&limits](double speed) { limits.latency_ms = std::min(1000 / speed, limits.latency_ms.value_or(1e300)); },
            "Fewest generated tokens per second")
        ->type_name("NUMBER")
        ->transform(positive_quantity(kNoUnits));
    verb.add_option("--max-kld", limits.kld, "Most KL divergence to full precision, in nats per token")
        ->type_name("NUMBER")
        ->transform(positive_quantity(kNoUnits));
    verb.add_option("--max-perplexity-increase", limits.perplexity_increase, "Most increase of perplexity, such as 1%")
        ->type_name("SHARE")
        ->transform(positive_quantity(kShareUnits));
    verb.add_option("--kv-context", limits.context, "Count the f16 KV cache of this many tokens as memory; method front")
        ->type_name("N")
        ->transform(whole_number(0, kMostTokens));
    verb.add_flag("--mix-embedding", request.mix_embedding,
                  "Choose the type of embedding and output tensors too; method front");
    verb.add_option("--normalization", request.normalization, "How TOPSIS compares metrics: minmax or vector; method front")
        ->type_name("minmax|vector")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Normalization>{{"minmax", Normalization::minmax},
                                                                                 {"vector", Normalization::vector}})
                        .description(""))
        ->default_str("minmax");
}

void add_running(CLI::App& verb, Flags& flags)
{
    verb.add_option("-t,--threads", flags.settings.run.threads, "Threads [physical cores]")
        ->type_name("N")
        ->transform(whole_number(1, 4096));
    verb.add_option("--gpu-layers", flags.settings.run.gpu_layers, "Blocks on the GPU, if there is one; -1: all [all]")
        ->type_name("N")
        ->transform(whole_number(-1, 1 << 20));
}

void add_sampling(CLI::App& verb, Flags& flags)
{
    verb.add_option("--seed", flags.settings.seed, "Seed of the text sampled from the model where none is given")
        ->type_name("N")
        ->transform(whole_number(0, std::numeric_limits<std::uint32_t>::max()))
        ->capture_default_str();
}

void add_scoring(CLI::App& verb, Flags& flags)
{
    verb.add_option(
            "--prompts", flags.settings.prompts,
            "Prompts to score layers on: one per line, or JSONL with a prompt, text or turns field [sampled from the model]")
        ->type_name("FILE");
    verb.add_option("--gamma", flags.settings.gamma, "Similarity below which a token is a reward for its layer")
        ->type_name("NUMBER")
        ->transform(quantity(kNoUnits, -1, 1))
        ->capture_default_str();
}

void add_text(CLI::App& verb, Flags& flags)
{
    verb.add_option("--text", flags.settings.text, "Text to measure perplexity on [sampled from the model]")->type_name("FILE");
}

void add_chunking(CLI::App& verb, Flags& flags)
{
    verb.add_option("--context", flags.settings.quality.context, "Tokens per chunk of text, as llama-perplexity -c")
        ->type_name("N")
        ->transform(whole_number(8, 1 << 20))
        ->capture_default_str();
    verb.add_flag("--remeasure", flags.settings.remeasure, "Measure again what the workspace already holds");
}

void add_measuring(CLI::App& verb, Flags& flags)
{
    QualitySettings& quality = flags.settings.quality;
    SpeedSettings& speed = flags.settings.speed;
    add_text(verb, flags);
    add_chunking(verb, flags);
    verb.add_option("--chunks", quality.chunks, "Chunks of text to measure on; 0: all [all]")
        ->type_name("N")
        ->transform(whole_number(0, kMostTokens));
    verb.add_option("--kld-chunks", quality.kld_chunks, "Leading chunks to compare with the full-precision model; 0: none")
        ->type_name("N")
        ->transform(whole_number(0, kMostTokens))
        ->capture_default_str();
    verb.add_option("-r,--repetitions", speed.repetitions, "Rounds of the latency measurement")
        ->type_name("N")
        ->transform(whole_number(1, 10000))
        ->capture_default_str();
    verb.add_option("--generate", speed.generated, "Tokens generated per round, as llama-bench -n")
        ->type_name("N")
        ->transform(whole_number(1, 1 << 20))
        ->capture_default_str();
    verb.add_option("--prompt-tokens", speed.prompt, "Prompt tokens processed per round, as llama-bench -p; 0: none")
        ->type_name("N")
        ->transform(whole_number(0, 1 << 20))
        ->capture_default_str();
}

Result<> check_method(const PlanRequest& request)
{
    const Limits& limits = request.limits;
    const bool limited =
        limits.memory_bytes || limits.latency_ms || limits.kld || limits.perplexity_increase || limits.context > 0;
    if (limited && request.method != "front")
        return usage_error("--method {} knows no limits: add --method front", request.method);
    if (request.mix_embedding && request.method != "front")
        return usage_error("--method {} does not mix the embedding: add --method front", request.method);
    return {};
}

Result<std::vector<Variant>> parse_types(const std::string& names, bool has_importance, bool weigh)
{
    std::vector<Variant> types;
    for (const auto part : std::views::split(names, ',')) {
        std::string name{trimmed(std::string_view(part))};
        if (name.empty()) return usage_error("quantization types \"{}\": one of the names is empty", names);
        if (weigh && has_importance && !name.contains('+')) name += kWithImportance;
        auto variant = parse_variant(name, has_importance);
        if (!variant) {
            Error error = variant.error();
            if (!has_importance && parse_variant(name, true)) error.hint = kGiveImportance;
            return std::unexpected(std::move(error));
        }
        if (std::ranges::contains(types, *variant))
            return usage_error("quantization type {}: it is listed twice", variant->name);
        types.push_back(std::move(*variant));
    }
    return types;
}

Result<std::vector<Variant>> open_variants(const Flags& flags, const Inventory& model)
{
    std::vector<Variant> variants;
    for (const std::string& named : flags.variants) {
        const std::size_t equals = named.find('=');
        if (equals == std::string::npos) return usage_error("--variant {}: it must be NAME=FILE", named);
        auto variant = read_foreign_variant(named.substr(0, equals), named.substr(equals + 1), model);
        if (!variant) return std::unexpected(variant.error());
        if (std::ranges::contains(variants, *variant))
            return usage_error("--variant {}: the name is given twice", variant->name);
        variants.push_back(std::move(*variant));
    }
    return variants;
}

Result<Inventory> open_model(const Flags& flags)
{
    auto inventory = read_inventory(flags.model);
    if (!inventory || flags.imatrix.empty() || flags.imatrix == kOwnImportance) return inventory;
    if (auto read = read_importance(flags.imatrix, *inventory); !read) return std::unexpected(read.error());
    return inventory;
}

Result<Study> open_study(const Flags& flags, Monitor& monitor)
{
    StudySettings settings = flags.settings;
    const bool collects = flags.imatrix == kOwnImportance;
    auto types = parse_types(flags.types, !flags.imatrix.empty(), flags.weigh_types);
    if (!types) return std::unexpected(types.error());
    settings.types = std::move(*types);
    const auto embedding = parse_type(trimmed(flags.embedding_type));
    if (!embedding) return std::unexpected(embedding.error());
    if (auto possible = check_target_type(*embedding); !possible) return std::unexpected(possible.error());
    settings.embedding_type = *embedding;
    // A missing file is better found before hours of work than after.
    for (const auto& file : {settings.text, settings.prompts, settings.calibration}) {
        if (file.empty()) continue;
        if (const auto opened = InputFile::open(file); !opened) return std::unexpected(opened.error());
    }
    auto inventory = open_model(flags);
    if (!inventory) return std::unexpected(inventory.error());
    auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    settings.types.append_range(*variants);
    const Workspace workspace(flags.model, flags.workspace);
    if (auto created = workspace.create(); !created) return std::unexpected(created.error());
    Study study{
        .inventory = std::move(*inventory), .workspace = workspace, .settings = std::move(settings), .monitor = monitor};
    if (!collects) return study;
    if (auto collected = use_own_importance(study); !collected)
        return std::unexpected(with_resume_hint(collected.error(), study));
    return study;
}

Result<> check_output(const std::filesystem::path& output, bool force, const std::vector<std::filesystem::path>& inputs)
{
    std::error_code error;
    const auto status = std::filesystem::status(output, error);
    if (std::filesystem::is_directory(status)) return usage_error("write {}: it is a folder", output.string());
    if (std::filesystem::exists(status) && !force) {
        return std::unexpected(
            Error{ErrorCode::usage, std::format("write {}: it exists", output.string()), "replace it with --force"});
    }
    for (const auto& input : inputs) {
        if (std::filesystem::equivalent(input, output, error)) return usage_error("write {}: it is an input", output.string());
    }
    const auto folder = output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
    if (::access(folder.c_str(), W_OK) != 0)
        return fail("write {}: its folder is not there or cannot be written", output.string());
    return {};
}

Error with_resume_hint(Error error, const Study& study)
{
    if (error.code == ErrorCode::interrupted) {
        error.hint = std::format("finished steps are kept in {}; the same command goes on from there",
                                 study.workspace.directory().string());
    }
    return error;
}

}  // namespace apreqel
