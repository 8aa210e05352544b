#include "cli/flags.h"

#include "base/file.h"
#include "base/joined.h"
#include "base/printable.h"
#include "cli/quantity.h"
#include "model/importance.h"
#include "model/readiness.h"
#include "runtime/rpc.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
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

void add_from_quantized(CLI::App& verb, Flags& flags)
{
    verb.add_flag(
        "--from-quantized", flags.from_quantized,
        "Take a quantized MODEL as what quality is relative to: layers stay as they are (type source), or become smaller");
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
    verb.add_option("--imatrix", flags.imatrix,
                    std::string(kImatrix) + "; auto: collected on a calibration text; none: without")
        ->type_name("FILE|auto|none");
    add_calibration(verb, flags, "Text for sensitivities and --imatrix auto [sampled from the model]");
}

void add_calibration(CLI::App& verb, Flags& flags, const std::string& description)
{
    verb.add_option("--calibration", flags.settings.calibration, description)->type_name("FILE");
}

void add_renamed(CLI::App& verb, const std::string& old, const std::string& now)
{
    verb.add_option(old)
        ->expected(1)
        ->check(
            [old, now](const std::string&) -> std::string { throw CLI::ArgumentMismatch(old + ": here it is called " + now); })
        ->group("");
}

void add_variants(CLI::App& verb, Flags& flags)
{
    verb.add_option("--variant", flags.variants,
                    "The same model quantized elsewhere, to choose from as one more type; may be repeated")
        ->type_name("NAME=FILE")
        ->allow_extra_args(false);
}

void add_types(CLI::App& verb, Flags& flags, UsualTypes usual)
{
    add_importance(verb, flags);
    add_variants(verb, flags);
    add_palette(verb, flags, usual);
}

void add_palette(CLI::App& verb, Flags& flags, UsualTypes usual)
{
    flags.usual_types = usual;
    verb.add_option("--types", flags.types, "Quantization types to choose from")
        ->type_name("TYPE,…")
        ->default_str(usual == UsualTypes::fitting ? "those that fit the model" : std::string(kPaperTypes));
    verb.add_option("--embedding-type", flags.embedding_type, "Type of embedding and output tensors, the same in every variant")
        ->type_name("TYPE")
        ->default_str(std::string(kEmbeddingType));
    add_nextn_type(verb, flags);
}

void add_nextn_type(CLI::App& verb, Flags& flags)
{
    verb.add_option("--nextn-type", flags.nextn_type,
                    "Type of what text never reaches, as blocks for multi-token prediction (NextN)")
        ->type_name("TYPE")
        ->default_str("q8_0");
}

void add_weights(CLI::App& verb, Flags& flags)
{
    verb.add_option(
            "-w,--weights", flags.weights,
            "What matters: a word; or three numbers memory,latency,accuracy; or memory=.2,latency=.6,accuracy=.2, and with "
            "--method front prompt=.1 or energy=.1")
        ->type_name("balanced|memory|latency|accuracy|NUMBERS")
        ->default_str(std::string(kUsualWeights));
}

namespace {

/// How a criterion's limit is typed, in the order of Dimension.
struct DimensionFlag {
    std::string_view type;
    std::span<const Unit> units;
};
constexpr std::array kDimensions{DimensionFlag{"SIZE", kSizeUnits},     DimensionFlag{"TIME", kTimeUnits},
                                 DimensionFlag{"ENERGY", kEnergyUnits}, DimensionFlag{"NUMBER", kNoUnits},
                                 DimensionFlag{"NUMBER", kNoUnits},     DimensionFlag{"SHARE", kShareUnits}};

/// "4GiB" is a limit of the memory as a whole, "gpu=8GiB,cpu=16GiB" of its parts, by the names of their limits.
Result<> read_memory_limits(const std::string& text, Limits& limits)
{
    const std::string whole(criteria()[kMemory].limit);
    if (text.empty()) return usage_error("\"\" is not a number");
    for (const auto word : std::views::split(text, ',')) {
        const std::string_view part(word);
        const std::size_t equals = part.find('=');
        const std::string name =
            equals == std::string_view::npos ? whole : std::format("{} {}", whole, trimmed(part.substr(0, equals)));
        const auto criterion = std::ranges::find(criteria(), name, &Criterion::limit);
        if (criterion == criteria().end()) return usage_error("\"{}\" is neither gpu= nor cpu=", part);
        const auto most = parse_quantity(equals == std::string_view::npos ? part : part.substr(equals + 1), kSizeUnits);
        if (!most) return std::unexpected(most.error());
        if (*most <= 0) return usage_error("{} is not above 0", part);
        double& limit = limits.most[static_cast<std::size_t>(criterion - criteria().begin())];
        limit = std::min(limit, *most);
    }
    return {};
}

void add_memory_limit(CLI::App& verb, Limits& limits)
{
    const Criterion& criterion = criteria()[kMemory];
    verb.add_option_function<std::string>(
            std::format("--{}", criterion.limit),
            [&limits](const std::string& text) {
                if (const auto read = read_memory_limits(text, limits); !read) throw CLI::ValidationError(read.error().message);
            },
            std::format("{}; method front", criterion.limit_meaning))
        ->type_name("SIZE|PLACE=SIZE,...")
        ->check(CLI::Validator(
            [](std::string& text) {
                Limits any;
                const auto read = read_memory_limits(text, any);
                return read ? std::string() : read.error().message;
            },
            ""));
}

void add_limits(CLI::App& verb, Limits& limits)
{
    add_memory_limit(verb, limits);
    for (std::size_t c = 0; c < kCriteria; ++c) {
        const Criterion& criterion = criteria()[c];
        if (criterion.limit.empty() || criterion.dimension == Dimension::bytes) continue;
        const auto& [type, units] = kDimensions[static_cast<std::size_t>(criterion.dimension)];
        verb.add_option_function<double>(
                std::format("--{}", criterion.limit),
                [&limits, c](double most) { limits.most[c] = std::min(limits.most[c], most); },
                std::format("{}; method front", criterion.limit_meaning))
            ->type_name(std::string(type))
            ->transform(positive_quantity(units));
    }
    verb.add_option_function<double>(
            "--min-speed", [&limits](double speed) { limits.most[kLatency] = std::min(limits.most[kLatency], 1000 / speed); },
            "Fewest generated tokens per second; method front")
        ->type_name("NUMBER")
        ->transform(positive_quantity(kNoUnits));
}

}  // namespace

void add_method(CLI::App& verb, Flags& flags, PlanRequest& request, const std::string& usual)
{
    verb.add_option(
            "--method", flags.method,
            "How to choose: paper (all distributions, TOPSIS, Algorithm 1) or front (measured sensitivity, Pareto front)")
        ->type_name("paper|front")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Method>{{"paper", Method::paper}, {"front", Method::front}})
                        .description(""))
        ->default_str(usual);
    Limits& limits = request.limits;
    add_limits(verb, limits);
    verb.add_option("--max-ttft", flags.max_ttft_ms,
                    "Most time to the first token: for the whole prompt that is timed, such as 2s; method front")
        ->type_name("TIME")
        ->transform(positive_quantity(kTimeUnits));
    verb.add_flag_function(
        "--mix-embedding,!--no-mix-embedding", [&flags](std::int64_t given) { flags.mix_embedding = given > 0; },
        "Choose the type of embedding and output tensors too, or not; method front [unless --embedding-type is given]");
    verb.add_option("--normalization", request.normalization, "How TOPSIS compares metrics: minmax or vector; method front")
        ->type_name("minmax|vector")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Normalization>{{"minmax", Normalization::minmax},
                                                                                 {"vector", Normalization::vector}})
                        .description(""))
        ->default_str("minmax");
}

namespace {

/// What goes where, as llama-bench has it.
void add_placement(CLI::App& verb, RunSettings& run)
{
    add_renamed(verb, "--device", "--devices");
    verb.add_option("--devices", run.devices,
                    "Accelerators to use, by the names of llama-bench --list-devices; none: the processor alone [all]")
        ->type_name("NAME,…")
        ->delimiter(',')
        ->allow_extra_args(false);
    verb.add_option("--split-mode", run.split_mode, "How to split the model among several accelerators")
        ->type_name(joined(kSplitModes, "|"))
        ->transform(CLI::IsMember(std::vector<std::string>(kSplitModes.begin(), kSplitModes.end())).description(""))
        ->capture_default_str();
    verb.add_flag_function(
        "--no-kv-offload", [&run](std::int64_t given) { run.offload_cache = given == 0; }, "Leave the KV cache in main memory");
    verb.add_option_function<std::vector<std::string>>(
            "--override-tensor",
            [&run](const std::vector<std::string>& given) {
                run.overrides.clear();
                for (const std::string& text : given) {
                    const std::size_t equals = text.rfind('=');
                    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
                        throw CLI::ValidationError("--override-tensor", text + " is not PATTERN=BUFFER");
                    run.overrides.push_back({text.substr(0, equals), text.substr(equals + 1)});
                }
            },
            "Put tensors whose name has this regular expression into these buffers: exps=CPU")
        ->type_name("PATTERN=BUFFER,…")
        ->delimiter(',')
        ->allow_extra_args(false);
}

}  // namespace

void add_running(CLI::App& verb, Flags& flags)
{
    verb.add_option("-t,--threads", flags.settings.run.threads, "Threads [physical cores]")
        ->type_name("N")
        ->transform(whole_number(1, 4096));
    verb.add_option("--gpu-layers", flags.settings.run.gpu_layers, "Blocks on the GPU, if there is one; -1: all [all]")
        ->type_name("N")
        ->transform(whole_number(-1, 1 << 20));
    verb.add_option("--rpc", flags.rpc, "Run on other machines too: their ggml-rpc-servers; private networks only")
        ->type_name("HOST:PORT,…")
        ->delimiter(',')
        ->allow_extra_args(false);
    add_placement(verb, flags.settings.run);
}

void add_context(CLI::App& verb, Flags& flags)
{
    verb.add_option("--kv-context", flags.settings.context,
                    "Count KV cache and compute buffers of a context of this many tokens as memory too [weights alone]")
        ->type_name("N")
        ->transform(whole_number(0, 1 << 24));  // libllama keeps some 50 bytes a token to make it
}

void add_cache_types(CLI::App& verb, Flags& flags)
{
    const auto add = [&](const char* name, std::string& type, const char* description) {
        verb.add_option(name, type, description)
            ->type_name(joined(kCacheTypes, "|"))
            ->transform(CLI::IsMember(std::vector<std::string>(kCacheTypes.begin(), kCacheTypes.end()), CLI::ignore_case)
                            .description(""))
            ->default_str(std::string(kCacheType));
    };
    add("--cache-type-k", flags.settings.run.cache.keys, "Type of the keys in the KV cache, for times and memory");
    add("--cache-type-v", flags.settings.run.cache.values, "Type of the values in the KV cache");
}

void add_mix_cache(CLI::App& verb, Flags& flags)
{
    verb.add_flag(
        "--mix-kv", flags.settings.mix_cache,
        "Choose the types of keys and values in the KV cache of --kv-context tokens too, as those of a layer; method front");
}

Result<> check_mix_cache(const Flags& flags)
{
    const StudySettings& settings = flags.settings;
    if (!settings.mix_cache) return {};
    if (settings.context == 0)
        return usage_error("--mix-kv: how many tokens does the KV cache have to hold? add --kv-context N");
    if (settings.run.cache != CacheTypes{})
        return usage_error("--mix-kv chooses the types of the KV cache: leave out --cache-type-k and --cache-type-v");
    return {};
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

namespace {

/// "2048:256@8192". Nothing: it is none, or has a number that no flag takes.
std::optional<Workload> parse_workload(std::string_view text)
{
    constexpr std::size_t kMost = 1 << 20;
    Workload workload;
    const char* place = text.data();
    const char* const end = place + text.size();
    const auto number = [&](std::size_t& value) {
        const auto [rest, error] = std::from_chars(place, end, value);
        place = rest;
        return error == std::errc() && value <= kMost;
    };
    const auto mark = [&](char wanted) {
        const bool there = place != end && *place == wanted;
        if (there) ++place;
        return there;
    };
    if (!number(workload.prompt) || !mark(':') || !number(workload.generated) || workload.generated == 0) return std::nullopt;
    if (place == end) return workload;
    if (!mark('@') || !number(workload.depth) || place != end) return std::nullopt;
    return workload;
}

}  // namespace

void add_speed(CLI::App& verb, Flags& flags)
{
    SpeedSettings& speed = flags.settings.speed;
    verb.add_option("-r,--repetitions", speed.repetitions, "Rounds of the latency measurement")
        ->type_name("N")
        ->transform(whole_number(1, 10000))
        ->capture_default_str();
    CLI::Option* generate = verb.add_option("--generate", speed.generated, "Tokens generated per round, as llama-bench -n")
                                ->type_name("N")
                                ->transform(whole_number(1, 1 << 20))
                                ->capture_default_str();
    CLI::Option* prompt =
        verb.add_option("--prompt-tokens", speed.prompt, "Prompt tokens processed per round, as llama-bench -p; 0: none")
            ->type_name("N")
            ->transform(whole_number(0, 1 << 20))
            ->capture_default_str();
    verb.add_option_function<std::string>(
            "--workload",
            [&speed](const std::string& text) {
                const auto workload = parse_workload(trimmed(text));
                if (!workload)
                    throw CLI::ValidationError("--workload",
                                               text + " is not PROMPT:GENERATE or PROMPT:GENERATE@DEPTH in tokens");
                speed.prompt = workload->prompt;
                speed.generated = workload->generated;
                speed.depth = workload->depth;
            },
            "What latency means: tokens of a prompt and generated ones, behind so many in the KV cache (llama-bench -p -n -d), "
            "such as 2048:256@8192")
        ->type_name("PROMPT:GENERATE[@DEPTH]")
        ->excludes(generate)
        ->excludes(prompt);
    verb.add_flag("--energy", speed.energy,
                  "Measure the energy of a generated token too, from RAPL, NVML or the sensors of hwmon, whichever there are");
    add_cache_types(verb, flags);
}

bool is_prompt_given(const CLI::App& verb) { return verb.count("--prompt-tokens") + verb.count("--workload") > 0; }

void limit_first_token(PlanRequest& request, const Flags& flags, std::size_t tokens)
{
    if (!flags.max_ttft_ms) return;
    double& most = request.limits.most[kPromptLatency];
    most = std::min(most, *flags.max_ttft_ms / static_cast<double>(std::max<std::size_t>(tokens, 1)));
}

void add_measuring(CLI::App& verb, Flags& flags)
{
    QualitySettings& quality = flags.settings.quality;
    add_text(verb, flags);
    add_chunking(verb, flags);
    verb.add_option("--chunks", quality.chunks, "Chunks of text to measure on; 0: all [all]")
        ->type_name("N")
        ->transform(whole_number(0, kMostTokens));
    verb.add_option("--kld-chunks", quality.kld_chunks, "Leading chunks to compare with the full-precision model; 0: none")
        ->type_name("N")
        ->transform(whole_number(0, kMostTokens))
        ->capture_default_str();
    add_speed(verb, flags);
}

void settle_method(PlanRequest& request, const Flags& flags, Method usual)
{
    request.method = flags.method.value_or(usual);
    request.mix_embedding = flags.mix_embedding.value_or(request.method == Method::front && !flags.embedding_type);
}

bool is_limited(const Limits& limits)
{
    return std::ranges::any_of(limits.most, [](double most) { return most < kUnlimited; });
}

Result<> check_method(const PlanRequest& request)
{
    const bool limited = is_limited(request.limits);
    const std::string_view method = method_name(request.method);
    if (limited && request.method != Method::front)
        return usage_error("--method {} knows no limits: add --method front", method);
    for (std::size_t c = 0; c < kCriteria && request.method == Method::paper; ++c) {
        const auto stands_in = [&](std::size_t objective) { return criteria()[objective].weight == criteria()[c].weight; };
        if (request.weights[c] > 0 && std::ranges::none_of(paper_objectives(), stands_in))
            return usage_error("--method {} does not weigh {}: add --method front", method, criteria()[c].name);
    }
    if (request.mix_embedding && request.method != Method::front)
        return usage_error("--method {} does not mix the embedding: add --method front", method);
    return {};
}

Result<std::vector<Variant>> parse_types(const std::string& names, bool has_importance, std::string_view suffix)
{
    std::vector<Variant> types;
    for (const auto part : std::views::split(names, ',')) {
        std::string name{trimmed(std::string_view(part))};
        if (name.empty()) return usage_error("quantization types \"{}\": one of the names is empty", names);
        if (!name.contains('+') && name != kSource) name += suffix;
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
    auto inventory = read_inventory(flags.model, flags.from_quantized);
    if (inventory && flags.nextn_type) {
        const auto type = parse_type(trimmed(*flags.nextn_type));
        if (!type) return std::unexpected(type.error());
        if (auto possible = check_target_type(*type, false); !possible) return std::unexpected(possible.error());
        inventory->inert_type = *type;
    }
    if (!inventory || !has_importance(flags) || flags.imatrix == kOwnImportance) return inventory;
    if (auto read = read_importance(flags.imatrix, *inventory); !read) return std::unexpected(read.error());
    return inventory;
}

std::string_view suffix_of(const Flags& flags)
{
    if (flags.feedback) return kWithFeedback;
    return flags.weigh_types && has_importance(flags) ? kWithImportance : std::string_view();
}

bool has_importance(const Flags& flags) { return !flags.imatrix.empty() && flags.imatrix != kWithoutImportance; }

Result<std::vector<Variant>> types_of(const Flags& flags, const Inventory& model)
{
    if (!flags.types && flags.usual_types == UsualTypes::fitting) {
        auto fitting = fitting_types(model);
        if (!fitting.empty()) return fitting;
    }
    return parse_types(flags.types.value_or(std::string(kPaperTypes)), has_importance(flags), suffix_of(flags));
}

Result<std::vector<Variant>> with_source(std::vector<Variant> types, const Inventory& model, Monitor& monitor)
{
    if (!model.from_quantized()) return types;
    std::string idle;
    std::erase_if(types, [&](const Variant& variant) {
        const bool useless = keeps(model, variant);
        if (useless) idle += (idle.empty() ? "" : ", ") + variant.name;
        return useless;
    });
    if (std::ranges::all_of(types, &Variant::as_it_is))
        return usage_error("quantization types {}: none makes any tensor of {} smaller", idle, printable_line(model.name));
    if (!idle.empty()) monitor.warn(std::format("no tensor of {} would be smaller in {}", printable_line(model.name), idle));
    const Variant source = *parse_variant(kSource, false);
    if (!std::ranges::contains(types, source)) types.push_back(source);
    return types;
}

Result<Variant> embedding_type_of(const Flags& flags, const Inventory& model)
{
    const std::string_view usual = model.from_quantized() ? kSource : kEmbeddingType;
    const auto type = parse_embedding_type(flags.embedding_type ? trimmed(*flags.embedding_type) : usual);
    if (!type || type->as_it_is) return type;
    if (auto possible = check_target_type(type->type, has_importance(flags)); !possible)
        return std::unexpected(possible.error());
    if (!flags.embedding_type) return embedding_type_of(model, type->type);
    return keeps(model, embedding_group(model), *type) ? parse_embedding_type(kSource) : type;
}

Result<Study> open_study(const Flags& flags, Monitor& monitor, const std::function<Result<>(const Study&)>& check)
{
    StudySettings settings = flags.settings;
    const bool collects = flags.imatrix == kOwnImportance;
    // What is named wrongly is said before a file is opened.
    if (auto known = check_settings(settings.run); !known) return std::unexpected(known.error());
    if (auto types = types_of(flags, {}); !types) return std::unexpected(types.error());
    if (auto type = embedding_type_of(flags, {}); !type) return std::unexpected(type.error());
    // A missing file is better found before hours of work than after.
    for (const auto& file : {settings.text, settings.prompts, settings.calibration}) {
        if (file.empty()) continue;
        if (const auto opened = InputFile::open(file); !opened) return std::unexpected(opened.error());
    }
    auto inventory = open_model(flags);
    if (!inventory) return std::unexpected(inventory.error());
    report_coverage(*inventory, monitor);
    report_ungrouped(*inventory, monitor);
    auto variants = open_variants(flags, *inventory);
    if (!variants) return std::unexpected(variants.error());
    if (flags.types) {  // what is of no use is said before long work
        auto named = types_of(flags, *inventory);
        if (!named) return std::unexpected(named.error());
        named->append_range(*variants);
        Monitor silent;
        if (auto types = with_source(std::move(*named), *inventory, silent); !types) return std::unexpected(types.error());
    }
    settings.embedding_type = *embedding_type_of(flags, *inventory);
    if (auto added = add_servers(flags.rpc); !added) return std::unexpected(added.error());
    const Workspace workspace(flags.model, flags.workspace);
    if (auto created = workspace.create(); !created) return std::unexpected(created.error());
    auto lock = WorkspaceLock::take(workspace);
    if (!lock) return std::unexpected(lock.error());
    Study study{.inventory = std::move(*inventory),
                .workspace = workspace,
                .settings = std::move(settings),
                .monitor = monitor,
                .lock = std::move(*lock)};
    if (check)
        if (auto possible = check(study); !possible) return std::unexpected(possible.error());
    const bool feedback = flags.feedback || (flags.types && flags.types->contains(kWithFeedback));
    if (collects || feedback) {
        auto collected = feedback ? use_own_hessian(study, collects) : use_own_importance(study);
        if (!collected) return std::unexpected(with_resume_hint(collected.error(), study));
    }
    if (collects) report_coverage(study.inventory, monitor);
    auto types = types_of(flags, study.inventory);
    if (!types) return std::unexpected(types.error());
    if (!flags.types && flags.usual_types == UsualTypes::paper) {
        const std::string misfits = describe_misfits(study.inventory, *types);
        if (!misfits.empty()) monitor.warn(misfits);
    }
    types->append_range(*variants);
    types = with_source(std::move(*types), study.inventory, monitor);
    if (!types) return std::unexpected(types.error());
    study.settings.types = std::move(*types);
    return study;
}

Result<> check_output(const std::filesystem::path& output, bool force, const std::vector<std::filesystem::path>& inputs)
{
    const auto target = output_target(output);
    if (!target) return std::unexpected(target.error());
    std::error_code error;
    if (std::filesystem::exists(*target, error) && !force) {
        return std::unexpected(
            Error{ErrorCode::usage, std::format("write {}: it exists", output.string()), "replace it with --force"});
    }
    for (const auto& input : inputs) {
        if (std::filesystem::equivalent(input, output, error)) return usage_error("write {}: it is an input", output.string());
    }
    const auto folder = target->has_parent_path() ? target->parent_path() : std::filesystem::path(".");
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
