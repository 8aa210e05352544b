#include "base/file.h"
#include "model/readiness.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <apreqel/refine.h>

#include <algorithm>
#include <optional>

namespace apreqel {
namespace {

/// Measures the attempts and the uniform types in the same rounds.
Result<> measure(const Study& study, const std::string& name, const std::vector<std::filesystem::path>& attempts,
                 Session& session)
{
    if (auto built = build_variants(study); !built) return built;  // a profile is kept without them
    std::vector<ModelFile> files = variant_files(study);
    const std::size_t uniform = files.size();
    for (std::size_t a = 0; a < attempts.size(); ++a)
        files.push_back({attempts[a], a == 0 ? name : std::format("{}, plan {}", name, a + 1)});
    auto measurements = measure(study, files);
    if (!measurements) return std::unexpected(measurements.error());
    const auto mixes = measurements->begin() + static_cast<std::ptrdiff_t>(uniform);
    for (std::size_t a = 0; a < attempts.size(); ++a) session.attempts[a].measurement = mixes[static_cast<std::ptrdiff_t>(a)];
    session.uniform.assign(measurements->begin(), mixes);
    return {};
}

/// What the method chooses by.
struct Evidence {
    Profile profile;
    std::optional<Scores> scores;
    std::optional<Sensitivity> sensitivity;
};

Result<Evidence> gather(const Study& study, const PlanRequest& request, const SenseSettings& sensing)
{
    auto profiled = profile(study);
    if (!profiled) return std::unexpected(profiled.error());
    Evidence evidence{.profile = std::move(*profiled), .scores = {}, .sensitivity = {}};
    if (request.method == Method::front) {
        auto sensed = sense(study, sensing);
        if (!sensed) return std::unexpected(sensed.error());
        evidence.sensitivity = std::move(*sensed);
    } else {
        auto scored = score(study);
        if (!scored) return std::unexpected(scored.error());
        evidence.scores = std::move(*scored);
    }
    return evidence;
}

RunResult result_of(Ship ship, Session session, Measurement reference, const ModelProfile& model, const std::string& device,
                    const std::string& name)
{
    RunResult result{.plan = std::move(ship.plan),
                     .reference = std::move(reference),
                     .uniform = std::move(session.uniform),
                     .mix = std::move(ship.measurement),
                     .instead = ship.uniform,
                     .because = std::move(ship.because),
                     .limits_kept = ship.limits_kept,
                     .device = device,
                     .text = model.text,
                     .version = model.version};
    for (std::size_t a = 0; a < session.attempts.size(); ++a) {
        if (a == ship.attempt && ship.uniform.empty()) continue;
        result.tried.push_back(std::move(session.attempts[a].measurement));
        result.tried.back().name = std::format("plan {}", a + 1);
    }
    result.mix.name = name;
    return result;
}

}  // namespace

Result<> check_run(const Study& study, const PlanRequest& request)
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
    return {};
}

Result<RunResult> run(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                      const std::filesystem::path& output)
{
    const bool front = request.method == Method::front;
    if (auto possible = check_run(study, request); !possible) return std::unexpected(possible.error());
    if (auto enough = check_space_for(study, output); !enough) return std::unexpected(enough.error());
    if (auto enough = check_texts(study, {measuring(study), front ? probing(study) : scoring()}); !enough)
        return std::unexpected(enough.error());
    const auto evidence = gather(study, request, sensing);
    if (!evidence) return std::unexpected(evidence.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());

    Session session{.attempts = {}, .uniform = {}, .reference = reference->quality};
    std::vector<std::filesystem::path> files;
    std::optional<Ship> shipped;
    while (!shipped) {
        auto decision = refine(evidence->profile, evidence->scores ? &*evidence->scores : nullptr,
                               evidence->sensitivity ? &*evidence->sensitivity : nullptr, request, session);
        if (!decision) return std::unexpected(decision.error());
        if (auto* next = std::get_if<TryNext>(&*decision)) {
            auto built = build_mix(study, next->plan, study.monitor);
            if (!built) return std::unexpected(built.error());
            files.push_back(std::move(*built));
            session.attempts.push_back({std::move(next->plan), {}});
            if (auto measured = measure(study, output.filename().string(), files, session); !measured)
                return std::unexpected(measured.error());
        } else {
            shipped = std::move(std::get<Ship>(*decision));
        }
    }
    if (auto written = quantize(study.inventory, shipped->plan, study.workspace, output, study.platform().threads,
                                study.monitor, study.settings.types);
        !written) {
        return std::unexpected(written.error());
    }
    remove_mixes(study, files);
    const Profile& profile = evidence->profile;
    RunResult result = result_of(std::move(*shipped), std::move(session), std::move(*reference), profile.model,
                                 profile.device.device, output.filename().string());
    if (auto written = write_text(study.workspace.path("plan.json"), to_json(result.plan)); !written)
        return std::unexpected(written.error());
    if (auto written = write_text(study.workspace.path("run.json"), to_json(result)); !written)
        return std::unexpected(written.error());
    return result;
}

}  // namespace apreqel
