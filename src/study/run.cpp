#include "base/file.h"
#include "model/readiness.h"
#include "study/budget.h"
#include "study/keys.h"
#include "study/offload.h"
#include "study/rivals.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <apreqel/look.h>
#include <apreqel/refine.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace apreqel {
namespace {

/// Of the time that a run has, how much is for probing; the rest is for building and measuring what follows from it.
constexpr double kProbingShare = 0.5;

RunResult result_of(const Study& study, Attempt shipped, Measurement reference, const std::filesystem::path& output)
{
    const Platform platform = study.runtime->platform(study.timed_run());
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

/// Where its bytes are, if that is part of the plan.
std::optional<PlacedBytes> placed(const Plan& plan)
{
    if (!plan.gpu_layers) return std::nullopt;
    const Metrics& estimate = plan.chosen().estimate;
    return PlacedBytes{.gpu_bytes = static_cast<std::uint64_t>(std::llround(estimate[kGpuMemory])),
                       .main_bytes = static_cast<std::uint64_t>(std::llround(estimate[kMainMemory]))};
}

/// What is known of a plan that was not built: its memory is exact.
Measurement weigh(const Study& study, const Plan& plan)
{
    const auto& cache = plan.chosen().cache;
    const auto bytes = static_cast<std::uint64_t>(plan.chosen().estimate[kMemory]) - (cache ? cache->bytes : 0);
    return {.name = "plan",
            .memory_bytes = bytes,
            .bits_per_weight = 8 * static_cast<double>(bytes) / static_cast<double>(study.inventory.parameters()),
            .quality = {},
            .speed = {},
            .cache = cache,
            .placed = placed(plan)};
}

/// The mix that was built last. The next one takes the tensors from it that both have alike, and replaces it: candidates differ in
/// a few layers.
class LastMix {
public:
    explicit LastMix(const Study& study) : study_(study) {}
    LastMix(const LastMix&) = delete;
    LastMix& operator=(const LastMix&) = delete;
    ~LastMix() { remove(); }

    Result<std::filesystem::path> replace(const Plan& plan)
    {
        auto built = build_mix(study_, plan, study_.monitor, mixes_);
        if (!built) return built;
        if (!std::ranges::contains(mixes_, *built, &BuiltMix::path)) remove();
        mixes_ = {{*built, plan}};
        return built;
    }

private:
    void remove()
    {
        for (const BuiltMix& mix : mixes_) remove_mixes(study_, {mix.path});
    }

    const Study& study_;
    std::vector<BuiltMix> mixes_;  ///< one or none
};

/// A study that measures quality, too, with the KV cache that `plan` chose, if it did.
Study with_cache_of(const Plan& plan, const Study& study)
{
    Study with = study;
    with.settings.run.cache = cache_types(study, plan);
    with.settings.run.cache_in_quality = plan.chosen().cache.has_value();
    return with;
}

/// The quality of a plan, which is built for that. Where another model is `known`, a first look may do.
Result<Quality> quality_of(const Study& usual, const Plan& plan, const std::string& name, const Quality* known, LastMix& mix)
{
    const Study study = with_cache_of(plan, usual);
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());
    const Facts facts = Facts::of(study)
                            .with(Input::text, digest({*text}))
                            .with(Input::allocation, made_with(study.inventory, study.settings.types, plan.allocation) +
                                                         (plan.chosen().cache ? key_of(cache_types(study, plan)) : ""));
    const auto kept = [&](const Artifact& artifact) {
        return study.settings.remeasure ? std::nullopt
                                        : read_kept(facts.path(study.workspace, artifact), read_quality, study.monitor);
    };
    if (auto whole = kept(kPlanQuality)) return std::move(*whole);
    const std::size_t chunks = known ? look_of(known->chunk_kld.size()) : 0;
    auto look = kept(kPlanLook);
    if (chunks > 0 && !look) {
        const auto built = mix.replace(plan);
        if (!built) return std::unexpected(built.error());
        auto taken = look_at(study, {*built, name}, chunks);
        if (!taken) return taken;
        if (auto written = write_text(facts.path(study.workspace, kPlanLook), to_json(*taken)); !written)
            return std::unexpected(written.error());
        look = std::move(*taken);
    }
    if (look && chunks > 0)
        if (auto told = extrapolated(*look, *known)) return std::move(*told);
    const auto built = mix.replace(plan);
    if (!built) return std::unexpected(built.error());
    auto whole =
        look ? look_behind(study, {*built, name}, look->chunk_nll.size()).transform([&](const Quality& rest) {
            return together(*look, rest);
        })
             : measure_quality(study, {*built, name}).transform([](const Measurement& measured) { return measured.quality; });
    if (!whole) return whole;
    if (auto written = write_text(facts.path(study.workspace, kPlanQuality), to_json(*whole)); !written)
        return std::unexpected(written.error());
    return whole;
}

/// What was measured on the whole text before any attempt was; null: nothing, so that the first attempt is.
const Quality* known_quality(const Session& session)
{
    if (!session.rivals.empty()) return &session.rivals.front().quality;
    return session.attempts.empty() ? nullptr : &session.attempts.front().measurement.quality;
}

/// Whether only a first look was taken at it.
bool is_look(const Attempt& attempt, const Session& session)
{
    const Quality& quality = attempt.measurement.quality;
    return quality.tokens > 0 && quality.tokens < session.reference.tokens;
}

/// What a run of the front method has found so far.
struct Progress {
    std::optional<Profile> profile{};
    std::optional<Sensitivity> sensitivity{};
    Session session{};
    Measurement reference{};
    std::vector<std::string> rivals{};           ///< those of the session, as they were asked for
    std::vector<std::filesystem::path> timed{};  ///< what their speed is measured on beside shapes
    double quiet_ms = 0;                         ///< the least that a token of the first rival took
};

/// At the pace of the session's first rounds: that of the first rival there.
void level(Speed& speed, double pace)
{
    Sampled& latency = speed.latency_ms;
    for (double* figure : {&latency.median, &latency.low, &latency.high}) *figure *= pace;
    for (double& sample : latency.samples) sample *= pace;
    Sampled& prompt = speed.prompt_tokens_per_second;
    for (double* figure : {&prompt.median, &prompt.low, &prompt.high}) *figure /= pace;
    for (double& sample : prompt.samples) sample /= pace;
}

/// Times files, rivals first, in the same rounds. Where the first rival takes much longer than it did, the machine is busy with
/// something else, and then types that wait for each other's threads more often suffer more: these rounds compare nothing. So they are
/// run again, a few times; the quietest count.
Result<std::vector<Speed>> time_quietly(const Study& study, const std::vector<std::filesystem::path>& files,
                                        std::span<const CacheTypes> caches, Progress& found)
{
    constexpr double kBusy = 1.4;
    constexpr int kTries = 4;
    Study anew = study;
    std::vector<Speed> quietest;
    for (int tried = 0; tried < kTries; ++tried) {
        auto speeds = time_files(anew, files, caches);
        if (!speeds) return speeds;
        anew.settings.remeasure = true;
        const double token = speeds->front().latency_ms.median;
        if (quietest.empty() || token < quietest.front().latency_ms.median) quietest = std::move(*speeds);
        if (token <= kBusy * found.quiet_ms) break;
        if (tried == 0)
            study.monitor.warn(
                std::format("{} took {:.1f} times as long as before: the machine is busy, so that is timed again",
                            found.rivals.front(), token / found.quiet_ms));
    }
    found.quiet_ms = std::min(found.quiet_ms, quietest.front().latency_ms.median);
    return quietest;
}

/// Times an attempt, the file itself, in the same rounds as the rivals' files: real weights take up to a tenth longer than none, and
/// not in all types alike.
Result<> face_rivals(const Study& study, const RivalFiles& rivals, Attempt& attempt, LastMix& mix, Progress& found)
{
    auto files = rivals.make(found.rivals);
    if (!files) return std::unexpected(files.error());
    const auto built = mix.replace(attempt.plan);
    if (!built) return std::unexpected(built.error());
    std::vector<CacheTypes> caches(files->size(), study.settings.run.cache);
    files->push_back(*built);
    caches.push_back(cache_types(study, attempt.plan));
    auto speeds = time_quietly(study, *files, caches, found);
    if (!speeds) return std::unexpected(speeds.error());
    std::vector<Measurement>& known = found.session.rivals;
    const bool first = std::ranges::all_of(found.session.attempts, [](const Attempt& other) { return other.beside.empty(); });
    const double pace = first ? 1 : known.front().speed.latency_ms.median / speeds->front().latency_ms.median;
    for (Speed& speed : *speeds) level(speed, pace);
    attempt.measurement.speed = std::move(speeds->back());
    speeds->pop_back();
    if (first)
        for (std::size_t r = 0; r < known.size(); ++r) known[r].speed = (*speeds)[r];
    attempt.beside = std::move(*speeds);
    return {};
}

/// Times the shapes of all attempts in the same rounds.
Result<> time_attempts(const Study& study, Session& session)
{
    std::vector<const Plan*> all;
    for (const Attempt& attempt : session.attempts) all.push_back(&attempt.plan);
    auto speeds = time_plans(study, all);
    if (!speeds) return std::unexpected(speeds.error());
    for (std::size_t a = 0; a < all.size(); ++a) session.attempts[a].measurement.speed = std::move((*speeds)[a]);
    return {};
}

/// Measures what was planned last. Where time is short, plans that would take longer than is left are passed over; never the first
/// of all.
Result<> measure_plans(const Study& study, const RivalFiles& rivals, const Budget& budget, std::vector<Plan> plans,
                       LastMix& mix, Progress& found)
{
    Session& session = found.session;
    double longest = 0;
    for (Plan& plan : plans) {
        const auto left = budget.seconds_left();
        if (left && longest > 0 && *left < 2 * longest) break;
        Measurement measured = weigh(study, plan);
        measured.name = attempt_name(plan, session.attempts.size());
        auto quality = quality_of(study, plan, measured.name, known_quality(session), mix);
        if (!quality) return std::unexpected(quality.error());
        measured.quality = std::move(*quality);
        Attempt attempt{std::move(plan), std::move(measured)};
        if (!session.rivals.empty())
            if (auto timed = face_rivals(study, rivals, attempt, mix, found); !timed) return timed;
        session.attempts.push_back(std::move(attempt));
        if (left) longest = std::max(longest, *left - *budget.seconds_left());
    }
    return session.rivals.empty() ? time_attempts(study, session) : Result<>();
}

/// The rivals' memory and quality, and their speed at the pace of the profile: as that of the plan beside which they are timed
/// was predicted.
Result<> meet_rivals(const Study& study, const PlanRequest& request, const RunGoal& goal, Progress& found)
{
    for (const std::string& what : goal.rivals) {
        auto rival = open_rival(study, what);
        if (!rival && (goal.asked_for_rivals || rival.error().code == ErrorCode::interrupted))
            return std::unexpected(rival.error());
        if (!rival) {
            study.monitor.warn(std::format("not compared with {}: {}", what, rival.error().message));
            continue;
        }
        rival->measurement.cache = usual_cache(*found.profile);
        found.session.rivals.push_back(std::move(rival->measurement));
        found.timed.push_back(std::move(rival->timed));
        found.rivals.push_back(what);
    }
    if (found.timed.empty()) return {};
    PlanRequest any = request;
    any.nearest = true;
    const auto plan = make_front_plan(*found.profile, *found.sensitivity, any);
    if (!plan) return std::unexpected(plan.error());
    auto speeds = time_plans(study, {&*plan}, found.timed);
    if (!speeds) return std::unexpected(speeds.error());
    const double pace = plan->chosen().estimate[kLatency] / speeds->back().latency_ms.median;
    for (std::size_t r = 0; r < found.timed.size(); ++r) {
        found.session.rivals[r].speed = (*speeds)[r];
        found.session.rivals[r].speed.latency_ms.median *= pace;
    }
    found.quiet_ms = speeds->front().latency_ms.median * std::min(1.0, pace);
    return {};
}

/// Builds and measures what promises to be better, until nothing does. What is shipped has been measured on the whole text.
Result<Ship> search(const Study& study, const PlanRequest& request, const RivalFiles& rivals, const Budget& budget,
                    LastMix& mix, Progress& found)
{
    for (;;) {
        auto decision = refine(*found.profile, *found.sensitivity, request, found.session);
        if (!decision) return std::unexpected(decision.error());
        if (auto* ship = std::get_if<Ship>(&*decision)) {
            Attempt& best = found.session.attempts[ship->attempt];
            if (!is_look(best, found.session)) return std::move(*ship);
            auto whole = quality_of(study, best.plan, best.measurement.name, nullptr, mix);
            if (!whole) return std::unexpected(whole.error());
            best.measurement.quality = std::move(*whole);
            continue;
        }
        const std::size_t before = found.session.attempts.size();
        auto& plans = std::get<TryNext>(*decision).plans;
        if (auto measured = measure_plans(study, rivals, budget, std::move(plans), mix, found); !measured)
            return std::unexpected(measured.error());
        if (found.session.attempts.size() == before) return best_of(request, found.session);  // there is no time for more
    }
}

/// Where places are limited: the study with the number of layers on accelerators that is chosen, and with the types that go with it, and
/// the request with what a context then takes where.
Result<Profile> place(Study& study, PlanRequest& request, const Sensitivity& sensitivity)
{
    auto profile = choose_offload(study, sensitivity, request);
    if (!profile) return profile;
    study.settings.gpu_layers = profile->device.offload->layers;
    std::erase_if(study.settings.types, [&](const Variant& type) {
        return !std::ranges::contains(profile->model.types, type.name, &UniformVariant::type);
    });
    request.limits.context = profile->device.context;
    request.limits.context.cache_is_chosen = study.settings.mix_cache;
    if (!study.settings.mix_cache) return profile;
    auto mixed = outlook(study);
    if (mixed || mixed.error().code != ErrorCode::interrupted) return mixed;
    request.limits.context.cache_is_chosen = false;  // then with the usual cache
    return profile;
}

/// From nothing to what is to be shipped. Error: among others, that there is no more time; `found` tells how far it came.
Result<Ship> find_best(Study& study, PlanRequest& request, const SenseSettings& sensing, const RunGoal& goal,
                       const RivalFiles& rivals, const Budget& budget, LastMix& mix, Progress& found)
{
    const auto keep = [&](Result<Profile> profile) -> Result<> {
        if (!profile) return std::unexpected(profile.error());
        found.profile = std::move(*profile);
        found.reference.cache = usual_cache(*found.profile);
        return {};
    };
    const bool placing = limits_places(request.limits);
    if (!placing)
        if (auto kept = keep(outlook(study)); !kept) return std::unexpected(kept.error());
    SenseSettings probing = sensing;
    if (const auto left = budget.seconds_left()) probing.minutes = std::max(*left, 1.0) / 60 * kProbingShare;
    auto sensitivity = sense(study, probing);
    if (!sensitivity) return std::unexpected(sensitivity.error());
    found.sensitivity = std::move(*sensitivity);
    if (placing)
        if (auto kept = keep(place(study, request, *found.sensitivity)); !kept) return std::unexpected(kept.error());
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    found.reference = std::move(*reference);
    found.reference.cache = usual_cache(*found.profile);
    found.session.reference = found.reference.quality;
    if (auto met = meet_rivals(study, request, goal, found); !met) return std::unexpected(met.error());
    return search(study, request, rivals, budget, mix, found);
}

/// The best that was found when the time was up; the plan that is expected to be, if none was built.
Result<Ship> best_so_far(const Study& study, const PlanRequest& request, Progress& found)
{
    if (found.session.attempts.empty()) {
        auto plan = make_front_plan(*found.profile, *found.sensitivity, request);
        if (!plan) return std::unexpected(plan.error());
        Measurement known = weigh(study, *plan);
        found.session.attempts.push_back({std::move(*plan), std::move(known)});
    }
    Ship ship = best_of(request, found.session);
    ship.because += "; the time was up";
    if (is_look(found.session.attempts[ship.attempt], found.session)) ship.because += " after a first look at its quality";
    return ship;
}

/// The speeds of the output itself and of the rivals in its rounds.
Result<> time_output(const Study& study, const std::filesystem::path& output, Attempt& shipped, Session& session)
{
    for (std::size_t r = 0; r < shipped.beside.size(); ++r) session.rivals[r].speed = std::move(shipped.beside[r]);
    if (!session.rivals.empty()) return {};
    const CacheTypes cache = cache_types(study, shipped.plan);
    auto speeds = time_files(study, {output}, std::span(&cache, 1));
    if (!speeds) return std::unexpected(speeds.error());
    shipped.measurement.speed = std::move(speeds->front());
    return {};
}

/// → plan.json
Result<> keep_plan(const Study& study, const Plan& plan)
{
    return write_text(study.workspace.path("plan.json"), to_json(spelled_out(study.inventory, plan, study.settings.types)));
}

Result<RunResult> run_front(const Study& study, PlanRequest request, const SenseSettings& sensing, const RunGoal& goal,
                            const std::filesystem::path& output)
{
    Budget budget(study.monitor, goal.minutes);
    Study timed{study.inventory, study.workspace, study.settings, budget,
                study.runtime,   study.lock,      study.measured, study.finite};
    Progress found;
    found.reference = {.name = reference_name(study), .memory_bytes = study.inventory.size_bytes()};
    LastMix mix(timed);
    const RivalFiles rivals(timed, goal.rivals);
    if (goal.take_from_rivals) {
        const auto types = rivals.types();
        if (!types) return std::unexpected(types.error());
        timed.settings.types.append_range(*types);
    }
    auto ship = find_best(timed, request, sensing, goal, rivals, budget, mix, found);
    const bool early =
        !ship && ship.error().code == ErrorCode::interrupted && goal.minutes > 0 && found.sensitivity && found.profile;
    if (early) {
        budget.finish();
        ship = best_so_far(timed, request, found);
    }
    if (!ship) return std::unexpected(ship.error());
    Attempt shipped = std::move(found.session.attempts[ship->attempt]);
    found.session.attempts.erase(found.session.attempts.begin() + static_cast<std::ptrdiff_t>(ship->attempt));
    if (goal.minutes > 0) budget.finish();
    const auto built = mix.replace(shipped.plan);
    if (!built) return std::unexpected(built.error());
    if (!early)
        if (auto done = time_output(timed, *built, shipped, found.session); !done) return std::unexpected(done.error());
    if (auto written = ship_mix(study, *built, output); !written) return std::unexpected(written.error());
    if (auto kept = keep_plan(timed, shipped.plan); !kept) return std::unexpected(kept.error());
    RunResult result = result_of(timed, std::move(shipped), std::move(found.reference), output);
    result.because = std::move(ship->because);
    result.limits_kept = ship->limits_kept;
    if (!early) {  // the output itself is what has to keep them
        result.limits_kept = limit_excess(request.limits, metrics_of(result.mix, result.reference.quality)) <= 1;
        for (const Measurement& rival : found.session.rivals)
            result.limits_kept &= contest(result.mix, rival, result.reference.quality).won();
    }
    result.rivals = std::move(found.session.rivals);
    for (Attempt& attempt : found.session.attempts)
        result.tried.push_back({attempt.plan.chosen().estimate, std::move(attempt.measurement)});
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
    if (auto kept = keep_plan(study, *plan); !kept) return std::unexpected(kept.error());
    Attempt shipped{.plan = std::move(*plan), .measurement = std::move(measured->back())};
    measured->pop_back();
    RunResult result = result_of(study, std::move(shipped), std::move(*reference), output);
    result.uniform = std::move(*measured);
    result.because = "the paper's method";
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
    const bool prompts = request.weights[kPromptLatency] > 0 || request.limits.most[kPromptLatency] < kUnlimited;
    if (prompts && study.settings.speed.prompt == 0)
        return usage_error("run: prompt latency has a weight or a limit, so a prompt must be timed: --prompt-tokens is 0");
    if (asks_for_energy(request) && !study.settings.speed.energy)
        return usage_error("run: energy has a weight or a limit, so it must be measured: --energy");
    if (limits_places(request.limits) && !study.platform().has_accelerator)
        return std::unexpected(Error{ErrorCode::usage,
                                     "run: what is on a GPU is limited, and libggml finds none that it may use",
                                     "--max-memory SIZE limits the whole; --devices and --rpc say what may be used"});
    if (!limits_places(request.limits) && (request.weights[kGpuMemory] > 0 || request.weights[kMainMemory] > 0))
        return usage_error("run: what is on a GPU has a weight, which only --max-memory gpu=SIZE or cpu=SIZE lets choose");
    if (limits_places(request.limits) && request.limits.most[kGpuMemory] == kUnlimited)
        return usage_error("run: --max-memory cpu= says what main memory may hold; add gpu=, what GPUs may");
    if (limits_places(request.limits) && !study.settings.run.overrides.empty())
        return usage_error("run: --override-tensor says where tensors are, so that --max-memory gpu= cannot choose it");
    return check_energy(study);
}

Result<std::vector<PlanBeside>> plans_beside(const Study& study, const Profile& profile, const Sensitivity& sensitivity,
                                             const RunGoal& goal)
{
    const PlanRequest request{.method = Method::front, .weights = *parse_weights("accuracy=1"), .mix_embedding = true};
    auto reference = measure_reference(study);
    if (!reference) return std::unexpected(reference.error());
    Progress all{.profile = profile, .sensitivity = sensitivity, .session = {.attempts = {}, .reference = reference->quality}};
    if (auto met = meet_rivals(study, request, goal, all); !met) return std::unexpected(met.error());
    const Budget endless(study.monitor, 0);
    LastMix mix(study);
    const RivalFiles rivals(study, goal.rivals);
    std::vector<PlanBeside> plans;
    for (std::size_t r = 0; r < all.rivals.size(); ++r) {
        Progress found = all;
        found.session.rivals = {all.session.rivals[r]};
        found.rivals = {all.rivals[r]};
        found.timed = {all.timed[r]};
        const auto ship = search(study, request, rivals, endless, mix, found);
        if (!ship) return std::unexpected(ship.error());
        Attempt& best = found.session.attempts[ship->attempt];
        plans.push_back({.asked = all.rivals[r],
                         .rival = std::move(all.session.rivals[r]),
                         .plan = std::move(best.plan),
                         .quality = std::move(best.measurement.quality)});
    }
    return plans;
}

Result<RunResult> run(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                      const std::filesystem::path& output, const RunGoal& goal)
{
    const bool front = request.method == Method::front;
    if (auto possible = check_run(study, request); !possible) return std::unexpected(possible.error());
    for (const std::string& rival : goal.rivals)
        if (auto known = check_rival(rival); !known) return std::unexpected(known.error());
    if (auto enough = check_space_for(study, output); !enough) return std::unexpected(enough.error());
    if (auto enough = check_texts(study, {measuring(study), front ? probing(study) : scoring()}); !enough)
        return std::unexpected(enough.error());
    auto result = front ? run_front(study, request, sensing, goal, output) : run_paper(study, request, output);
    if (!result) return result;
    if (auto written = write_text(study.workspace.path("run.json"), to_json(*result)); !written)
        return std::unexpected(written.error());
    return result;
}

}  // namespace apreqel
