#include "base/file.h"
#include "base/scratch.h"
#include "cli/publish.h"
#include "cli/quantity.h"
#include "cli/result_json.h"
#include "cli/verbs.h"
#include "report/table.h"

#include <apreqel/evaluation.h>

#include <algorithm>
#include <memory>

namespace apreqel {
namespace {

struct PlanFlags : Flags {
    bool cache_types_given = false;
    std::filesystem::path profile;
    std::filesystem::path shape;
    std::vector<std::filesystem::path> devices;
    std::vector<double> device_weights;
    std::filesystem::path scores;
    std::filesystem::path sensitivity;
    PlanRequest request;
    std::size_t spread = 0;
    std::filesystem::path tensor_types;
    std::filesystem::path layout;
};

/// The file named, or else the workspace's.
Result<std::filesystem::path> input_path(const std::filesystem::path& named, const std::filesystem::path& workspace,
                                         const char* flag, const char* name)
{
    if (!named.empty()) return named;
    if (!workspace.empty()) return workspace / name;
    return usage_error("plan: {} FILE is needed, or -C DIR with a {}", flag, name);
}

/// The front where there is a sensitivity and are no scores; else the paper's.
Method usual_method(const PlanFlags& flags)
{
    const auto given = [&](const std::filesystem::path& named, const char* name) {
        return !named.empty() || (!flags.workspace.empty() && std::filesystem::exists(flags.workspace / name));
    };
    const bool scored = given(flags.scores, "scores.json");
    return given(flags.sensitivity, "sensitivity.json") && !scored ? Method::front : Method::paper;
}

/// `--spread N`: the plans that together cover most, one file each in the folder --output.
Result<> plan_spread(const PlanFlags& flags, const Profile& profile, const Sensitivity& sensitivity)
{
    std::vector<Costs> uniform;
    for (const Metrics& metrics : type_metrics(profile)) uniform.push_back(columns_of(metrics, paper_objectives()));
    auto plans = make_spread(profile, sensitivity, flags.request, worst_of(uniform), flags.spread);
    if (!plans) return std::unexpected(plans.error());
    if (plans->empty())
        return fail(
            "plan: no mix is better than the worst uniform type in every criterion, so none can be chosen for a spread");
    std::ranges::sort(*plans, {}, [](const Plan& plan) { return plan.chosen().estimate[kMemory]; });
    if (!flags.output.empty()) {
        std::error_code error;
        std::filesystem::create_directories(flags.output, error);
        if (error) return fail("write {}: {}", flags.output.string(), error.message());
    }
    std::vector<std::filesystem::path> files;
    for (std::size_t p = 0; p < plans->size() && !flags.output.empty(); ++p) {
        files.push_back(flags.output / std::format("plan-{:02}.json", p + 1));
        if (auto writable = check_output(files.back(), flags.force); !writable) return writable;
    }
    const std::vector<std::size_t> shown{kMemory, kLatency, kPerplexity, kDivergence};
    std::vector<std::vector<std::string>> rows{{"plan"}};
    for (const std::size_t c : shown) rows.front().emplace_back(criteria()[c].heading);
    rows.front().emplace_back("distribution");
    for (std::size_t p = 0; p < plans->size(); ++p) {
        const Candidate& chosen = (*plans)[p].chosen();
        rows.push_back({files.empty() ? std::to_string(p + 1) : files[p].filename().string()});
        for (const std::size_t c : shown) rows.back().push_back(format_criterion(c, chosen.estimate[c]));
        rows.back().push_back(format_distribution((*plans)[p].types, chosen.counts));
        if (files.empty()) continue;
        if (auto written = write_text(files[p], to_json((*plans)[p])); !written) return written;
    }
    return print_result(flags.json ? spread_json(*plans, files) : format_table(rows), flags.json);
}

/// What the shape of a model tells of those types of its sensitivity that were timed.
Result<ModelProfile> weigh_shape(const std::filesystem::path& path, const std::filesystem::path& sensitivity_path,
                                 const DeviceProfile& device)
{
    const auto shape = read_shape(path);
    if (!shape) return std::unexpected(shape.error());
    const auto sensitivity = read_sensitivity(sensitivity_path);
    if (!sensitivity) return std::unexpected(sensitivity.error());
    const auto scratch = ScratchFolder::create(std::filesystem::temp_directory_path());
    if (!scratch) return std::unexpected(scratch.error());
    const auto inventory = open_shape(*shape, path, scratch->path() / "model.gguf");
    if (!inventory) return std::unexpected(inventory.error());
    std::vector<Variant> types;
    for (const std::string& name : sensitivity->types) {
        auto variant = parse_variant(name, true);
        const auto times = [&](const TimedModel& model) {
            const auto timed = parse_variant(model.name, true);
            return model.allocation.empty() && timed && timed->type == variant->type;
        };
        if (variant && std::ranges::any_of(device.models, times)) types.push_back(std::move(*variant));
    }
    if (types.empty()) return fail("plan: {} and the device have no type in common", sensitivity_path.string());
    const auto embedding = parse_type(device.embedding_type);
    if (!embedding) return fail("plan: the device does not say what type embedding and output were timed in");
    return weighed_model(*inventory, types, *embedding);
}

/// The devices named, each with the names that `model` has for its types, as one.
Result<Profile> join_devices(const PlanFlags& flags, const ModelProfile& model, std::vector<DeviceProfile> devices)
{
    for (std::size_t d = 0; d < devices.size(); ++d) {
        auto joined = join(model, std::move(devices[d]));
        if (!joined) {
            joined.error().message += std::format(" ({})", flags.devices[d].string());
            return joined;
        }
        devices[d] = std::move(joined->device);
    }
    auto fleet = fleet_of(devices, flags.device_weights);
    if (!fleet) return std::unexpected(fleet.error());
    return Profile{.model = model, .device = std::move(*fleet)};
}

/// The profile named; with `--device`, what that says of the device, and of the profile, or the shape, what is true of the model.
Result<Profile> read_parts(const PlanFlags& flags, const std::filesystem::path& path, const std::filesystem::path& layers_path)
{
    if (flags.devices.empty()) return read_profile(path);
    std::vector<DeviceProfile> devices;
    for (const auto& file : flags.devices) {
        auto device = read_device_profile(file);
        if (!device) return std::unexpected(device.error());
        devices.push_back(std::move(*device));
    }
    if (!flags.shape.empty()) {
        const auto model = weigh_shape(flags.shape, layers_path, devices.front());
        return model ? join_devices(flags, *model, std::move(devices)) : std::unexpected(model.error());
    }
    auto profile = read_profile(path);
    const auto model = profile ? Result<ModelProfile>(std::move(profile->model)) : read_model_profile(path);
    if (!model) return std::unexpected(profile.error());
    return join_devices(flags, *model, std::move(devices));
}

/// What only makes sense together.
Result<> check_devices(const PlanFlags& flags)
{
    if (!flags.shape.empty() && flags.devices.empty())
        return usage_error("plan: --shape says nothing of speed: add --device FILE, as bench writes it");
    if (!flags.shape.empty() && flags.request.method != Method::front)
        return usage_error("plan: --shape has no perplexity, which --method {} needs: add --method front",
                           method_name(flags.request.method));
    if (flags.device_weights.empty()) return {};
    if (flags.device_weights.size() != flags.devices.size())
        return usage_error("plan: {} --device-weights for {} --device", flags.device_weights.size(), flags.devices.size());
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (criteria()[c].of_device && (flags.request.limits.most[c] < kUnlimited || flags.max_ttft_ms))
            return usage_error(
                "plan: a weighted mean of devices keeps no limit of time or energy: leave out --device-weights, and limits "
                "hold for the slowest device");
    return {};
}

/// What libllama reports here of a model of this shape.
Result<ContextMemory> context_of_shape(const PlanFlags& flags, const RunSettings& run)
{
    const auto shape = read_shape(flags.shape);
    if (!shape) return std::unexpected(shape.error());
    const auto scratch = ScratchFolder::create(std::filesystem::temp_directory_path());
    if (!scratch) return std::unexpected(scratch.error());
    const auto file = scratch->path() / "model.gguf";
    if (const auto inventory = open_shape(*shape, flags.shape, file); !inventory) return std::unexpected(inventory.error());
    Monitor silent;
    return llama_runtime()->context_memory(file, run, flags.settings.context, silent);
}

/// What counts as memory beside the weights: what the device reported when it was timed, or else what libllama reports of the shape,
/// or else what the header tells.
Result<ContextMemory> context_of(const PlanFlags& flags, const ContextMemory& timed, std::uint64_t kv_bytes_per_token)
{
    RunSettings run = flags.settings.run;
    const bool same = run.cache.keys == timed.cache_type_k && run.cache.values == timed.cache_type_v;
    if (flags.cache_types_given && !same)
        return usage_error("plan: times are those with a KV cache of {} and {}, not of {} and {}: time it with these",
                           timed.cache_type_k, timed.cache_type_v, run.cache.keys, run.cache.values);
    if (flags.settings.context == 0) return ContextMemory{};
    if (flags.settings.context == timed.tokens) return timed;
    if (limits_places(flags.request.limits))
        return usage_error("plan: what a context of {} tokens takes on GPUs is not known: run chose with {}",
                           flags.settings.context, timed.tokens);
    run.cache.keys = timed.cache_type_k;
    run.cache.values = timed.cache_type_v;
    if (!flags.shape.empty()) return context_of_shape(flags, run);
    if (timed.cache_type_k != kCacheType || timed.cache_type_v != kCacheType)
        return usage_error("plan: the memory of a context of {} tokens is not known: time it with --kv-context {}",
                           flags.settings.context, flags.settings.context);
    return f16_context(flags.settings.context, kv_bytes_per_token);
}

/// --max-ttft, now that it is known how long the prompt was.
Result<> settle_first_token(PlanFlags& flags, const Profile& profile)
{
    if (!flags.max_ttft_ms) return {};
    const std::size_t tokens = profile.device.workload.prompt;
    if (tokens == 0)
        return usage_error(
            "plan: --max-ttft: the profile has no time of a prompt, or not of how many tokens: measure with "
            "--workload PROMPT:GENERATE");
    limit_first_token(flags.request, flags, tokens);
    return check_method(flags.request);
}

/// --mix-kv: what the types of the KV cache cost must be known, and of that context. Without it they are not chosen.
Result<> settle_cache(const PlanFlags& flags, Profile& profile)
{
    if (!flags.settings.mix_cache) {
        profile.cache.reset();
        return {};
    }
    if (flags.request.method != Method::front) return usage_error("plan: --mix-kv is for the front method");
    if (!flags.devices.empty())
        return usage_error("plan: --mix-kv takes the times of the profile's own device: leave out --device");
    if (!profile.cache || profile.cache->tokens != flags.settings.context)
        return usage_error(
            "plan: what the types of a KV cache of {} tokens cost is not known: measure it with profile --shape "
            "--mix-kv --kv-context {}",
            flags.settings.context, flags.settings.context);
    return {};
}

Result<> run_plan(PlanFlags flags)
{
    if (auto possible = check_mix_cache(flags); !possible) return possible;
    const auto weights = parse_weights(flags.weights.value_or(std::string(kUsualWeights)));
    if (!weights) return std::unexpected(weights.error());
    flags.request.weights = *weights;
    settle_method(flags.request, flags, usual_method(flags));
    if (auto possible = check_method(flags.request); !possible) return possible;
    if (flags.spread > 0 && flags.request.method != Method::front)
        return usage_error("--method {} has no front to spread plans over: add --method front",
                           method_name(flags.request.method));
    if (auto possible = check_devices(flags); !possible) return possible;
    const auto profile_path = flags.shape.empty() ? input_path(flags.profile, flags.workspace, "--profile", "profile.json")
                                                  : Result<std::filesystem::path>(flags.shape);
    if (!profile_path) return std::unexpected(profile_path.error());
    const bool front = flags.request.method == Method::front;
    const auto layers_path = front ? input_path(flags.sensitivity, flags.workspace, "--sensitivity", "sensitivity.json")
                                   : input_path(flags.scores, flags.workspace, "--scores", "scores.json");
    if (!layers_path) return std::unexpected(layers_path.error());
    if (flags.spread > 0 && flags.settings.context > 0)
        return usage_error("plan: --kv-context counts for one plan and its limits, --spread asks for several");
    if (flags.spread > 0 && !(flags.tensor_types.empty() && flags.layout.empty()))
        return usage_error("plan: --tensor-types and --layout are of one plan, --spread asks for several");
    for (const auto& output : {flags.output, flags.tensor_types, flags.layout}) {
        if (output.empty() || flags.spread > 0) continue;
        if (auto writable = check_output(output, flags.force, {*profile_path, *layers_path}); !writable) return writable;
    }
    auto profile = read_parts(flags, *profile_path, *layers_path);
    if (!profile) return std::unexpected(profile.error());
    if (auto possible = settle_cache(flags, *profile); !possible) return possible;
    if (auto possible = settle_first_token(flags, *profile); !possible) return possible;
    if (flags.spread > 0) {
        const auto sensitivity = read_sensitivity(*layers_path);
        return sensitivity ? plan_spread(flags, *profile, *sensitivity) : std::unexpected(sensitivity.error());
    }
    std::string calibration;  // what a plan has to do with a text where only shapes were profiled
    const auto count_context = [&](std::uint64_t kv_bytes_per_token) -> Result<> {
        auto context = context_of(flags, profile->device.context, kv_bytes_per_token);
        if (!context) return std::unexpected(context.error());
        flags.request.limits.context = std::move(*context);
        flags.request.limits.context.cache_is_chosen = flags.settings.mix_cache;
        return {};
    };
    const auto plan = [&]() -> Result<Plan> {
        if (front) {
            const auto sensitivity = read_sensitivity(*layers_path);
            if (!sensitivity) return std::unexpected(sensitivity.error());
            calibration = sensitivity->text;
            if (auto counted = count_context(sensitivity->kv_bytes_per_token); !counted)
                return std::unexpected(counted.error());
            return make_front_plan(*profile, *sensitivity, flags.request);
        }
        const auto scores = read_scores(*layers_path);
        if (!scores) return std::unexpected(scores.error());
        if (auto counted = count_context(0); !counted) return std::unexpected(counted.error());
        return make_plan(*profile, *scores, flags.request);
    }();
    if (!plan) return std::unexpected(plan.error());

    const std::string json = to_json(*plan);
    if (!flags.output.empty()) {
        if (auto written = write_text(flags.output, json); !written) return written;
    }
    if (!flags.tensor_types.empty()) {
        const auto patterns = tensor_type_file(*plan);
        if (!patterns) return std::unexpected(patterns.error());
        if (auto written = write_text(flags.tensor_types, *patterns); !written) return written;
    }
    if (!flags.layout.empty()) {
        auto layout = layout_of(*plan, profile->model.architecture, tool_version());
        if (!layout) return std::unexpected(layout.error());
        if (layout->text.empty()) layout->text = std::move(calibration);
        if (auto written = write_text(flags.layout, to_json(*layout)); !written) return written;
    }
    return print_result(flags.json ? json : format_plan(*plan), flags.json);
}

}  // namespace

void add_plan(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("plan", "Choose the distribution of types over layers, from files alone → plan.json");
    verb->footer(
        "Examples:\n"
        "  apreqel plan -C model-f16.gguf.apreqel --weights .2,.6,.2 -o plan.json\n"
        "  apreqel plan -C model-f16.gguf.apreqel --method front --spread 12 -o ladder");
    auto flags = std::make_shared<PlanFlags>();
    verb->add_option("--profile", flags->profile, "What each type measures [DIR/profile.json]")->type_name("FILE");
    verb->add_option("--shape", flags->shape, "In place of --profile: the model's shape, as inspect --output writes it")
        ->type_name("FILE")
        ->excludes("--profile");
    verb->add_option("--device", flags->devices,
                     "Speed of the types on another device, as bench writes it; given several times, of the slowest of them")
        ->type_name("FILE")
        ->allow_extra_args(false);
    verb->add_option("--device-weights", flags->device_weights,
                     "Instead of the slowest, the mean of what each --device takes relative to its fastest type, so weighted")
        ->type_name("NUMBER,…")
        ->delimiter(',');
    verb->add_option("--scores", flags->scores, "Contribution of each layer [DIR/scores.json]")->type_name("FILE");
    verb->add_option("--sensitivity", flags->sensitivity,
                     "What each type does to each layer, for --method front [DIR/sensitivity.json]")
        ->type_name("FILE");
    verb->add_option("-C,--workspace", flags->workspace, "Workspace to take profile and scores from")->type_name("DIR");
    add_weights(*verb, *flags);
    add_method(*verb, *flags, flags->request, "paper, or front where there is a sensitivity and are no scores");
    add_context(*verb, *flags);
    add_renamed(*verb, "--context", "--kv-context");
    add_cache_types(*verb, *flags);
    add_mix_cache(*verb, *flags);
    verb->add_option("--runners-up", flags->request.runners_up, "Next-best distributions to show")
        ->type_name("N")
        ->transform(whole_number(0, 1000))
        ->capture_default_str();
    verb->add_option(
            "--spread", flags->spread,
            "Instead of one plan, N plans that together cover most of the front, written to the folder --output; method front")
        ->type_name("N")
        ->transform(whole_number(1, 10000));
    add_output(*verb, *flags, "Write the plan here, as quantize --plan reads it");
    verb->add_option("--tensor-types", flags->tensor_types,
                     "Write the allocation here, as llama-quantize --tensor-type-file reads it")
        ->type_name("FILE");
    add_layout(*verb, flags->layout);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags, verb] {
        flags->cache_types_given = verb->count("--cache-type-k") + verb->count("--cache-type-v") > 0;
        chosen = [flags] { return run_plan(*flags); };
    });
}

}  // namespace apreqel
