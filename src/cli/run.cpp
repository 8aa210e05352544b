#include "base/printable.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/publish.h"
#include "cli/quantity.h"
#include "cli/verbs.h"
#include "report/table.h"
#include "study/forecast.h"
#include "study/offload.h"
#include "study/rivals.h"

#include <apreqel/contest.h>
#include <apreqel/evaluation.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace apreqel {
namespace {

/// Predicted beside measured, for every plan that was built.
std::string compare(const RunResult& result)
{
    std::vector<std::size_t> known;  // criteria that plans are weighed by
    const Metrics predicted = result.plan.chosen().estimate;
    for (std::size_t c = 0; c < kCriteria; ++c)
        if (!std::isnan(predicted[c]) && !criteria()[c].weight.empty()) known.push_back(c);
    std::vector<std::vector<std::string>> rows{{"plan"}};
    for (const std::size_t c : known)
        rows.front().append_range(
            std::vector{std::string(criteria()[c].heading), std::string("predicted"), std::string("off by")});
    const auto add = [&](const Measurement& model, const Metrics& expected) {
        const Metrics measured = metrics_of(model, result.reference.quality);
        rows.push_back({model.name});
        for (const std::size_t c : known) {
            rows.back().push_back(format_criterion(c, measured[c]));
            rows.back().push_back(format_criterion(c, expected[c]));
            rows.back().push_back(expected[c] > 0 ? std::format("{:+.2f} %", 100 * (measured[c] / expected[c] - 1)) : "—");
        }
    };
    add(result.mix, predicted);
    for (const TriedModel& tried : result.tried) add(tried.measured, tried.predicted);
    return format_table(rows);
}

/// A model beside a rival, in one line.
std::string describe(const Contest& contest, const std::string& rival)
{
    const Sampled& latency = contest.latency;
    std::string text =
        std::format("\nBeside {}: {:.3f} of its memory, {:.3f} [{:.3f}, {:.3f}] of its ms/token, {:.3f} of its KL divergence",
                    rival, contest.memory, latency.median, latency.low, latency.high, contest.divergence);
    if (contest.has_chunks)
        text += std::format(", −log p of the text {:+.4f} off full precision's, its {:+.4f} (± {:.4f} nats per token)",
                            contest.nll, contest.rival_nll, contest.nll_error);
    return text + std::format(": {}.\n", format_verdict(contest));
}

std::string describe(const RunResult& result, const std::filesystem::path& output, const Flags& flags)
{
    std::vector<std::vector<std::string>> rows{measurement_header("model")};
    std::vector<Measurement> measured = result.uniform;
    for (const TriedModel& tried : result.tried) measured.push_back(tried.measured);
    measured.push_back(result.mix);
    measured.push_back(result.reference);
    measured.append_range(result.rivals);
    for (const Measurement& measurement : measured) rows.push_back(measurement_row(measurement));
    const bool compared = result.mix.speed.latency_ms.median > 0 && result.mix.quality.kld_tokens > 0;
    std::string better = result.because.empty() ? "" : std::format("\nShipped: {}.\n", result.because);
    if (compared)
        for (const Measurement& rival : result.rivals)
            better += describe(contest(result.mix, rival, result.reference.quality), rival.name);
    const auto& objectives = result.plan.objectives;
    const Costs mix = columns_of(metrics_of(result.mix), objectives);
    for (const Measurement& uniform : result.uniform) {
        const bool same =
            std::ranges::all_of(result.plan.allocation, [&](const GroupType& l) { return l.type == uniform.name; });
        if (same || !dominates(columns_of(metrics_of(uniform), objectives), mix)) continue;
        better += std::format(
            "\nAll {} measured no worse in every criterion: take that one, or measure again on a quieter machine.\n",
            uniform.name);
    }
    return std::format("{}\nMeasured in one session on {}\ntext: {}\n\n{}\n{}\n{} runs in stock llama.cpp: {}\n",
                       format_plan(result.plan), printable_line(result.device), printable_line(result.text),
                       format_table(rows) + format_energy(measured), compare(result) + better, output.filename().string(),
                       llama_command(output, flags.settings.run, result.plan.request.limits.context.tokens, flags.rpc));
}

/// What a stranger would have downloaded.
constexpr std::string_view kUsualRival = "Q4_K_M";

/// What --rounding is one of.
constexpr std::string_view kFeedback = "gptq";
constexpr std::string_view kNearest = "nearest";

/// What is weighed where it is chosen what is on GPUs: memory is what it is, and the more there, the faster.
constexpr std::string_view kPlacingWeights = "latency=.5,accuracy=.5";

struct RunFlags : Flags {
    PlanRequest request;
    SenseSettings sensing;
    RunGoal goal;
    Publishing publishing;
    bool prompt_given = false;  ///< --prompt-tokens
    bool chunks_given = false;  ///< --chunks
    bool layers_given = false;  ///< --gpu-layers
    std::string rounding{kFeedback};
    bool rounding_given = false;  ///< --rounding
};

/// What measuring costs is what makes people wait: nothing is timed that decides nothing, and no more text is read than tells
/// plans apart.
void spare(RunFlags& flags)
{
    constexpr std::size_t kChunks = 8;
    const PlanRequest& request = flags.request;
    const bool prompts = request.weights[kPromptLatency] > 0 || request.limits.most[kPromptLatency] < kUnlimited;
    if (!flags.prompt_given && !prompts) flags.settings.speed.prompt = 0;
    if (!flags.chunks_given) flags.settings.quality.chunks = kChunks;
}

/// Who names neither rivals nor limits nor weights wants a better file than the one he would have downloaded; who names rivals
/// or limits, the best that is within them. A quantized model is one that was downloaded: who names nothing wants it smaller.
Result<> settle_goal(RunFlags& flags)
{
    PlanRequest& request = flags.request;
    settle_method(request, flags, Method::front);
    limit_first_token(request, flags, flags.settings.speed.prompt);
    const bool front = request.method == Method::front;
    if (!front && !flags.goal.rivals.empty()) return usage_error("run: --beat is for the front method");
    flags.goal.asked_for_rivals = !flags.goal.rivals.empty();
    const bool unasked = front && !flags.weights && flags.goal.rivals.empty() && !is_limited(request.limits);
    const bool smaller = unasked && flags.from_quantized;
    if (unasked && !smaller) flags.goal.rivals = {std::string(kUsualRival)};
    const std::string_view usual = limits_places(request.limits) ? kPlacingWeights
                                   : front && !smaller           ? "accuracy=1"
                                                                 : kUsualWeights;
    const auto weights = parse_weights(flags.weights.value_or(std::string(usual)));
    if (!weights) return std::unexpected(weights.error());
    request.weights = *weights;
    flags.settings.speed.energy |= asks_for_energy(request);
    return {};
}

/// The full-precision model is larger than any that is made of it: where GPUs are limited, and it is not said how much of it is to be
/// there, about as much as fits beside what computing takes.
Result<> fit_reference(RunFlags& flags)
{
    constexpr double kWeights = 0.75;  // of the memory there
    constexpr std::size_t kSteps =
        4;  // what was measured with the model so placed serves limits that are but a little different
    const double most = flags.request.limits.most[kGpuMemory];
    if (most == kUnlimited || flags.layers_given) return {};
    const auto inventory = open_model(flags);
    if (!inventory) return std::unexpected(inventory.error());
    const std::size_t layers = layers_within(*inventory, kWeights * most);
    const std::size_t step = std::max<std::size_t>(1, all_layers(*inventory) / kSteps);
    flags.settings.run.gpu_layers = static_cast<int>(layers / step * step);
    return {};
}

Result<> run_run(RunFlags flags)
{
    PlanRequest& request = flags.request;
    if (auto settled = settle_goal(flags); !settled) return settled;
    if (request.method == Method::paper) flags.usual_types = UsualTypes::paper;
    if (request.method == Method::front) {
        if (flags.imatrix.empty()) flags.imatrix = kOwnImportance;
        flags.goal.feedback = flags.feedback = flags.rounding == kFeedback;
        spare(flags);
    } else if (flags.goal.minutes > 0) {
        return usage_error("run: --minutes is for the front method; the paper's takes the time it takes");
    } else if (flags.rounding_given) {
        return usage_error("run: --rounding is for the front method; the paper's rounds to the nearest");
    }
    if (auto fits = fit_reference(flags); !fits) return fits;
    // A layout is for other models, and who names types wants no others.
    flags.goal.take_from_rivals = flags.publishing.layout.empty() && !flags.types;
    if (auto possible = check_method(request); !possible) return possible;
    if (auto possible = check_mix_cache(flags); !possible) return possible;
    if (flags.settings.mix_cache && request.method != Method::front)
        return usage_error("run: --mix-kv is for the front method");
    if (!flags.publishing.layout.empty() && !flags.variants.empty())
        return usage_error("run: --layout is for other models, and a --variant is a file of this one");
    auto output = place_output(flags, flags.publishing, 0, {flags.model});
    if (!output) return std::unexpected(output.error());
    Terminal terminal(flags.quiet);
    auto study = open_study(flags, terminal, [&](const Study& opened) -> Result<> {
        if (auto possible = check_run(opened, request); !possible) return possible;
        auto context = opened.context();
        if (!context) return std::unexpected(context.error());
        request.limits.context = std::move(*context);
        request.limits.context.cache_is_chosen = opened.settings.mix_cache;
        for (const std::string& rival : flags.goal.rivals)
            if (auto known = check_rival(rival); !known) return known;
        return request.method == Method::front ? forecast(opened, flags.goal) : Result<>();
    });
    if (!study) return std::unexpected(study.error());
    if (auto trusted = leave_out_wrong_types(*study, limits_places(request.limits)); !trusted) return trusted;
    if (request.method == Method::front) study->settings.mixes = request.mix_embedding ? Mixes::with_embedding : Mixes::layers;
    auto result = run(*study, request, flags.sensing, *output, flags.goal);
    if (!result) return std::unexpected(with_resume_hint(result.error(), *study));
    if (const auto& cache = result->plan.chosen().cache) flags.settings.run.cache = cache->types;
    if (result->plan.gpu_layers) flags.settings.run.gpu_layers = static_cast<int>(*result->plan.gpu_layers);
    if (auto published = publish(flags, flags.publishing, *study, *result, *output); !published) return published;
    if (auto printed = print_result(flags.json ? to_json(*result) : describe(*result, *output, flags), flags.json); !printed)
        return printed;
    if (result->limits_kept || (!result->rivals.empty() && !flags.goal.asked_for_rivals)) return {};
    return std::unexpected(Error{
        ErrorCode::infeasible,
        std::format("run: {} {}", output->string(),
                    result->rivals.empty() ? "does not keep the limits as measured" : "is not better in everything asked for"),
        "it is the nearest that was built: raise a limit, offer more --types, or close other programs"});
}

}  // namespace

void add_run(CLI::App& app, Action& chosen)
{
    CLI::App* verb = app.add_subcommand("run", "All stages: measure, plan, quantize, and measure what was promised");
    verb->footer(
        "Examples:\n"
        "  apreqel run model-f16.gguf -o mixed.gguf                                    better than Q4_K_M, if it can be had\n"
        "  apreqel run model-f16.gguf --beat downloaded.gguf -o mixed.gguf             better than that file\n"
        "  apreqel run model-f16.gguf --max-memory 4GiB --min-speed 25 -o mixed.gguf\n"
        "  apreqel run model-f16.gguf --max-memory gpu=8GiB,cpu=16GiB --kv-context 8192 -o mixed.gguf\n"
        "  apreqel run model-f16.gguf --method paper --weights balanced -o mixed.gguf");
    auto flags = std::make_shared<RunFlags>();
    add_model(*verb, *flags);
    add_from_quantized(*verb, *flags);
    add_output(*verb, *flags, "The mixed-precision GGUF to write, or a folder: then it gets a name");
    add_publishing(*verb, flags->publishing);
    add_layout(*verb, flags->publishing.layout);
    verb->get_option("--output")->required();
    add_weights(*verb, *flags);
    add_method(*verb, *flags, flags->request, "front");
    add_context(*verb, *flags);
    add_mix_cache(*verb, *flags);
    add_sensing(*verb, flags->sensing);
    verb->remove_option(verb->get_option("--minutes"));  // here it is for the whole
    verb->get_option("--weights")->default_str("accuracy alone; with --method paper " + std::string(kUsualWeights));
    verb->add_option(
            "--beat", flags->goal.rivals,
            "Be no larger, no slower and closer to full precision than this file, or this file type of llama.cpp; several "
            "times [Q4_K_M, where neither weights nor limits are given]")
        ->type_name("FILE|TYPE")
        ->allow_extra_args(false);
    verb->add_option("--minutes", flags->goal.minutes,
                     "Write the best found in this time, or when interrupted; method front [until nothing better is in sight]")
        ->type_name("N")
        ->transform(quantity(kNoUnits, 0, 1e9));
    add_types(*verb, *flags, UsualTypes::fitting);
    verb->get_option("--types")->default_str(std::format("those that fit the model; with --method paper {}", kPaperTypes));
    verb->get_option("--imatrix")->default_str("auto; with --method paper none");
    verb->add_option(
            "--rounding", flags->rounding,
            "How types without a suffix are rounded: gptq, so that what rounding one weight does to its layer's output is made "
            "good by others, on the calibration text; or each weight to its nearest; method front")
        ->type_name("gptq|nearest")
        ->check(CLI::IsMember({std::string(kFeedback), std::string(kNearest)}).description(""))
        ->capture_default_str();
    add_scoring(*verb, *flags);
    add_measuring(*verb, *flags);
    add_sampling(*verb, *flags);
    add_running(*verb, *flags);
    add_workspace(*verb, *flags);
    add_common(*verb, *flags);
    verb->callback([&chosen, flags, verb] {
        flags->prompt_given = is_prompt_given(*verb);
        flags->chunks_given = verb->count("--chunks") > 0;
        flags->layers_given = verb->count("--gpu-layers") > 0;
        flags->rounding_given = verb->count("--rounding") > 0;
        chosen = [flags] { return run_run(*flags); };
    });
}

}  // namespace apreqel
