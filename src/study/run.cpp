#include "base/file.h"
#include "model/readiness.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <apreqel/refine.h>

#include <utility>

namespace apreqel {
namespace {

RunResult result_of(const Study& study, Attempt shipped, Measurement reference, const std::filesystem::path& output)
{
    const Platform platform = study.platform();
    RunResult result{.plan = std::move(shipped.plan),
                     .reference = std::move(reference),
                     .uniform = {},
                     .mix = std::move(shipped.measurement),
                     .device = platform.device,
                     .text = text_source(study),
                     .version = tool_version(platform.libllama)};
    result.mix.name = output.filename().string();
    return result;
}

/// The mix becomes the output; with it goes what the workspace knew of it.
Result<> ship_mix(const Study& study, const std::filesystem::path& mix, const std::filesystem::path& output)
{
    if (auto moved = move_file(mix, output); !moved) return moved;
    remove_mixes(study, {mix});
    return {};
}

/// What is known of a plan without its speed. It is built for that, and removed, as only one of those tried will be kept.
Result<Measurement> measure_plan(const Study& study, const Plan& plan, const std::string& name)
{
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());
    const auto artifact = Facts::of(study)
                              .with(Input::text, digest({*text}))
                              .with(Input::allocation, made_with(study.inventory, study.settings.types, plan.allocation))
                              .path(study.workspace, kPlanQuality);
    const double bytes = plan.chosen().estimate[kMemory];  // exact
    Measurement measured{.name = name,
                         .memory_bytes = static_cast<std::uint64_t>(bytes),
                         .bits_per_weight = 8 * bytes / static_cast<double>(study.inventory.parameters())};
    if (!study.settings.remeasure) {
        if (auto kept = read_kept(artifact, read_quality, study.monitor)) {
            measured.quality = std::move(*kept);
            return measured;
        }
    }
    const auto built = build_mix(study, plan, study.monitor);
    if (!built) return std::unexpected(built.error());
    auto whole = measure_quality(study, {*built, name});
    remove_mixes(study, {*built});
    if (!whole) return std::unexpected(whole.error());
    measured.quality = std::move(whole->quality);
    if (auto written = write_text(artifact, to_json(measured.quality)); !written) return std::unexpected(written.error());
    return measured;
}

/// Measures what was planned last; then the shapes of all attempts are timed in the same rounds.
Result<> measure_plans(const Study& study, std::vector<Plan> plans, Session& session)
{
    for (Plan& plan : plans) {
        auto measured = measure_plan(study, plan, attempt_name(plan, session.attempts.size()));
        if (!measured) return std::unexpected(measured.error());
        session.attempts.push_back({std::move(plan), std::move(*measured)});
    }
    std::vector<const Plan*> all;
    for (const Attempt& attempt : session.attempts) all.push_back(&attempt.plan);
    const auto speeds = time_plans(study, all);
    if (!speeds) return std::unexpected(speeds.error());
    for (std::size_t a = 0; a < all.size(); ++a) session.attempts[a].measurement.speed = (*speeds)[a];
    return {};
}

/// Builds, measures and plans again until something is to be shipped.
Result<Ship> search(const Study& study, const PlanRequest& request, const Profile& profile, const Sensitivity& sensitivity,
                    Session& session)
{
    for (;;) {
        auto decision = refine(profile, sensitivity, request, session);
        if (!decision) return std::unexpected(decision.error());
        if (auto* ship = std::get_if<Ship>(&*decision)) return std::move(*ship);
        if (auto measured = measure_plans(study, std::move(std::get<TryNext>(*decision).plans), session); !measured)
            return std::unexpected(measured.error());
    }
}

Result<RunResult> run_front(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                            const std::filesystem::path& output)
{
    const auto sensitivity = sense(study, sensing);
    if (!sensitivity) return std::unexpected(sensitivity.error());
    const auto profile = outlook(study);
    if (!profile) return std::unexpected(profile.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    Session session{.attempts = {}, .reference = reference->quality};
    auto ship = search(study, request, *profile, *sensitivity, session);
    if (!ship) return std::unexpected(ship.error());
    Attempt shipped = std::move(session.attempts[ship->attempt]);
    session.attempts.erase(session.attempts.begin() + static_cast<std::ptrdiff_t>(ship->attempt));
    const auto built = build_mix(study, shipped.plan, study.monitor);
    if (!built) return std::unexpected(built.error());
    // What was compared was the speed of its shape: here is its own, beside it.
    const auto speeds = time_plans(study, {&shipped.plan}, *built);
    if (!speeds) return std::unexpected(speeds.error());
    shipped.measurement.speed = speeds->front();
    if (auto written = ship_mix(study, *built, output); !written) return std::unexpected(written.error());
    RunResult result = result_of(study, std::move(shipped), std::move(*reference), output);
    result.because = std::move(ship->because);
    result.limits_kept = ship->limits_kept;
    for (std::size_t a = 0; a < session.attempts.size(); ++a)
        result.tried.push_back({session.attempts[a].plan.chosen().estimate, std::move(session.attempts[a].measurement)});
    return result;
}

/// The paper's plan, measured in the rounds of the uniform variants.
Result<RunResult> run_paper(const Study& study, const PlanRequest& request, const std::filesystem::path& output)
{
    const auto profiled = profile(study);
    if (!profiled) return std::unexpected(profiled.error());
    const auto scores = score(study);
    if (!scores) return std::unexpected(scores.error());
    auto plan = make_plan(*profiled, *scores, request);
    if (!plan) return std::unexpected(plan.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    if (auto built = build_variants(study); !built) return std::unexpected(built.error());  // a profile is kept without them
    const auto mix = build_mix(study, *plan, study.monitor);
    if (!mix) return std::unexpected(mix.error());
    std::vector<ModelFile> files = variant_files(study);
    files.push_back({*mix, output.filename().string()});
    auto measured = measure(study, files);
    if (!measured) return std::unexpected(measured.error());
    if (auto written = ship_mix(study, *mix, output); !written) return std::unexpected(written.error());
    Attempt shipped{.plan = std::move(*plan), .measurement = std::move(measured->back())};
    measured->pop_back();
    RunResult result = result_of(study, std::move(shipped), std::move(*reference), output);
    result.uniform = std::move(*measured);
    result.because = "the paper's method";
    return result;
}

}  // namespace

Result<RunResult> run(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                      const std::filesystem::path& output)
{
    const bool front = request.method == Method::front;
    if (front && study.settings.quality.kld_chunks == 0)
        return usage_error("run: the front method chooses by KL divergence, so chunks must be compared with full precision");
    if (auto ready = check_ready(study.inventory, "run", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (!front)
        if (auto ready = check_ready(study.inventory, "run", {Task::score}); !ready) return std::unexpected(ready.error());
    if (request.limits.context > 0 && study.inventory.kv_bytes_per_token == 0)
        return usage_error("run: the size of this model's KV cache is not known, so it cannot be counted as memory");
    const bool prompts = request.weights[kPromptLatency] > 0 || request.limits.most[kPromptLatency] < kUnlimited;
    if (prompts && study.settings.speed.prompt == 0)
        return usage_error("run: prompt latency has a weight or a limit, so a prompt must be timed: --prompt-tokens is 0");
    if (auto enough = check_space_for(study, output); !enough) return std::unexpected(enough.error());
    if (auto enough = check_texts(study, {measuring(study), front ? probing(study) : scoring()}); !enough)
        return std::unexpected(enough.error());
    auto result = front ? run_front(study, request, sensing, output) : run_paper(study, request, output);
    if (!result) return result;
    for (const auto& [name, json] : {std::pair("plan.json", to_json(result->plan)), std::pair("run.json", to_json(*result))})
        if (auto written = write_text(study.workspace.path(name), json); !written) return std::unexpected(written.error());
    return result;
}

}  // namespace apreqel
