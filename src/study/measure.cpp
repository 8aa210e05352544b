#include "base/file.h"
#include "model/readiness.h"
#include "quantize/write_models.h"
#include "study/keys.h"
#include "study/profile.h"
#include "study/study.h"
#include "study/text.h"

#include <apreqel/statistics.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace apreqel {
namespace {

/// Scores models on one text, each once, and compares them with the full-precision model.
class QualityStage {
public:
    static Result<QualityStage> make(const Study& study)
    {
        auto text = evaluation_text(study);
        if (!text) return std::unexpected(text.error());
        return QualityStage(study, std::move(*text));
    }

    /// On a part of the text: `look` and `skip` are those of QualitySettings.
    Result<Quality> measure_part(const Inventory& inventory, const std::string& name, std::size_t look, std::size_t skip)
    {
        if (auto ready = record_reference(); !ready) return std::unexpected(ready.error());
        return run_quality(inventory, name, look, skip);
    }

    Result<Measurement> measure_model(const Inventory& inventory, const std::string& name)
    {
        const auto quality = measure_quality(inventory, name);
        if (!quality) return std::unexpected(quality.error());
        Measurement measurement = weigh(inventory, name);
        measurement.quality = *quality;
        return measurement;
    }

    /// What is known of a model without running it.
    static Measurement weigh(const Inventory& inventory, const std::string& name)
    {
        const std::uint64_t bytes = inventory.size_bytes();
        return {.name = name,
                .memory_bytes = bytes,
                .bits_per_weight = 8.0 * static_cast<double>(bytes) / static_cast<double>(inventory.parameters()),
                .quality = {},
                .speed = {}};
    }

private:
    Result<Quality> measure_quality(const Inventory& inventory, const std::string& name)
    {
        if (!study_.settings.remeasure || study_.measured->contains(path_of(inventory))) {
            if (auto kept = read_kept(path_of(inventory), read_quality, study_.monitor)) return *kept;
        }
        if (auto enough = check_texts(study_, {measuring(study_)}); !enough) return std::unexpected(enough.error());
        if (!is_reference(inventory) && study_.settings.quality.kld_chunks > 0)
            if (auto ready = record_reference(); !ready) return std::unexpected(ready.error());
        return run_and_keep(inventory, name);
    }

    /// What the models are compared with.
    Result<> record_reference()
    {
        const auto recorded = study_.workspace.holds(reference_, study_.monitor);
        if (!recorded) return std::unexpected(recorded.error());
        if (*recorded) return {};
        static_cast<void>(read_kept(path_of(study_.inventory), read_quality, study_.monitor));  // names it, if damaged
        const auto reference = run_and_keep(study_.inventory, reference_name(study_));
        return reference ? Result<>() : std::unexpected(reference.error());
    }

    Result<Quality> run_and_keep(const Inventory& inventory, const std::string& name)
    {
        auto quality = run_quality(inventory, name, 0, 0);
        if (!quality) return quality;
        if (auto written = write_text(path_of(inventory), to_json(*quality)); !written) return std::unexpected(written.error());
        study_.measured->insert(path_of(inventory));
        return quality;
    }

    [[nodiscard]] std::filesystem::path path_of(const Inventory& inventory) const
    {
        const RunSettings& run = study_.settings.run;
        const std::string cache = run.cache_in_quality && !is_reference(inventory) ? key_of(run.cache) : "";
        return facts_.with(Input::files, inventory.fingerprint + cache).path(study_.workspace, kQuality);
    }

    [[nodiscard]] bool is_reference(const Inventory& inventory) const
    {
        return inventory.fingerprint == study_.inventory.fingerprint;
    }

    /// `look` and `skip`: those of QualitySettings.
    Result<Quality> run_quality(const Inventory& inventory, const std::string& name, std::size_t look, std::size_t skip)
    {
        RunSettings run = study_.settings.run;
        run.cache_in_quality &= !is_reference(inventory);
        const auto model = study_.runtime->load(inventory.files.front(), run);
        if (!model) return std::unexpected(model.error());
        const auto tokens = (*model)->tokenize(text_);
        if (!tokens) return std::unexpected(tokens.error());
        const auto chunks = count_chunks(tokens->size(), study_.settings.quality);
        if (!chunks) return std::unexpected(chunks.error());

        study_.monitor.begin(name + (look > 0   ? ": a first look"
                                     : skip > 0 ? ": the rest of the text"
                                                : ": perplexity"),
                             static_cast<double>((look > 0 ? look : *chunks) - skip));
        const auto quality = evaluate(**model, *tokens, is_reference(inventory), look, skip);
        if (!quality) return quality;
        if (auto finite = check_figures(name, {quality->perplexity, quality->perplexity_error, quality->kld}); !finite)
            return std::unexpected(finite.error());
        study_.monitor.end(std::format("{:.4f} ± {:.4f}", quality->perplexity, quality->perplexity_error));
        return quality;
    }

    QualityStage(const Study& study, std::string text)
        : study_(study),
          text_(std::move(text)),
          facts_(Facts::of(study).with(Input::text, digest({text_}))),
          reference_(facts_.path(study.workspace, kReference))
    {
    }

    Result<Quality> evaluate(RunnableModel& model, const std::vector<Token>& tokens, bool record, std::size_t look,
                             std::size_t skip)
    {
        const std::string_view words(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(Token));
        const std::string identity = digest({facts_.key(kReference), words});
        QualitySettings settings = study_.settings.quality;
        settings.look = look;
        settings.skip = skip;
        if (settings.kld_chunks == 0) return model.evaluate_quality(tokens, settings, std::nullopt, identity, study_.monitor);
        if (!record) return model.evaluate_quality(tokens, settings, reference_, identity, study_.monitor);
        auto quality = model.record_reference(tokens, settings, reference_, identity, study_.monitor);
        if (!quality) return quality;
        if (auto sealed = study_.workspace.seal(reference_, study_.monitor); !sealed) return std::unexpected(sealed.error());
        return quality;
    }

    const Study& study_;
    std::string text_;
    Facts facts_;
    std::filesystem::path reference_;
};

Result<Quality> measure_part(const Study& study, const ModelFile& file, std::size_t look, std::size_t skip)
{
    auto inventory = read_inventory(file.path);
    if (!inventory) return std::unexpected(inventory.error());
    auto stage = QualityStage::make(study);
    if (!stage) return std::unexpected(stage.error());
    return stage->measure_part(*inventory, file.name, look, skip);
}

/// Says which neighbours in latency the measurement cannot tell apart.
void warn_of_noise(const std::vector<Measurement>& measurements, Monitor& monitor)
{
    std::vector<const Measurement*> by_latency;
    for (const Measurement& measurement : measurements)
        if (measurement.quality.tokens > 0) by_latency.push_back(&measurement);  // else it is there for its speed only
    std::ranges::stable_sort(by_latency, {}, [](const Measurement* m) { return m->speed.latency_ms.median; });
    if (by_latency.size() < 2) return;
    if (const std::size_t rounds = by_latency.front()->speed.latency_ms.samples.size(); rounds < kFewestSamples) {
        monitor.warn(std::format("latency: {} rounds cannot tell any two models apart; at least {} --repetitions can", rounds,
                                 kFewestSamples));
        return;
    }
    constexpr std::size_t kShown = 5;
    std::size_t count = 0;
    std::string pairs;
    for (std::size_t i = 1; i < by_latency.size(); ++i) {
        const Measurement& faster = *by_latency[i - 1];
        const Measurement& slower = *by_latency[i];
        if (tell_apart(faster.speed.latency_ms.samples, slower.speed.latency_ms.samples)) continue;
        if (++count <= kShown) pairs += std::format("{}{} and {}", pairs.empty() ? "" : ", ", faster.name, slower.name);
    }
    if (count == 0) return;
    if (count > kShown) pairs += std::format(", and {} more pairs", count - kShown);
    monitor.warn(std::format("latency: too noisy to tell apart {}; close other programs, or measure more repetitions", pairs));
}

Result<std::vector<Speed>> measure_speeds(const Study& study, const std::vector<Inventory>& models,
                                          std::span<const CacheTypes> caches = {})
{
    std::string files;
    std::vector<std::filesystem::path> paths;
    for (const Inventory& model : models) {
        files += model.fingerprint + (caches.empty() ? "" : key_of(caches[paths.size()])) + " ";
        paths.push_back(model.files.front());
    }
    const auto artifact = Facts::of(study).with(Input::files, digest({files})).path(study.workspace, kSpeed);
    if (!study.settings.remeasure) {
        auto kept = read_kept(artifact, read_speeds, study.monitor);
        if (kept && kept->size() == models.size()) return std::move(*kept);
    }
    auto speeds = time_models(study, paths, caches);
    if (!speeds) return speeds;
    if (auto written = write_text(artifact, to_json(*speeds)); !written) return std::unexpected(written.error());
    return speeds;
}

}  // namespace

std::string reference_name(const Study& study) { return study.inventory.from_quantized() ? "source file" : "full precision"; }

Result<> check_figures(std::string_view measured, std::initializer_list<double> figures)
{
    if (std::ranges::all_of(figures, [](double figure) { return std::isfinite(figure); })) return {};
    return fail("measure {}: what was measured is not a finite number", measured);
}

Result<> check_energy(const Study& study)
{
    return study.settings.speed.energy ? study.runtime->check_energy(study.settings.run) : Result<>();
}

Result<std::vector<Speed>> time_models(const Study& study, std::span<const std::filesystem::path> models,
                                       std::span<const CacheTypes> caches)
{
    auto speeds = study.runtime->measure_speed(models, caches, study.timed_run(), study.settings.speed, study.monitor);
    if (!speeds) return speeds;
    for (const Speed& speed : *speeds) {
        const auto finite = check_figures(
            "latency", {speed.latency_ms.median, speed.prompt_tokens_per_second.median, speed.energy.joules.median});
        if (!finite) return std::unexpected(finite.error());
    }
    return speeds;
}

Result<Measurement> measure_reference(const Study& study)
{
    auto stage = QualityStage::make(study);
    if (!stage) return std::unexpected(stage.error());
    return stage->measure_model(study.inventory, reference_name(study));
}

Result<Measurement> measure_quality(const Study& study, const ModelFile& file)
{
    auto inventory = read_inventory(file.path);
    if (!inventory) return std::unexpected(inventory.error());
    auto stage = QualityStage::make(study);
    if (!stage) return std::unexpected(stage.error());
    return stage->measure_model(*inventory, file.name);
}

Result<Quality> look_at(const Study& study, const ModelFile& file, std::size_t chunks)
{
    return measure_part(study, file, chunks, 0);
}

Result<Quality> look_behind(const Study& study, const ModelFile& file, std::size_t chunks)
{
    return measure_part(study, file, 0, chunks);
}

Result<std::vector<Speed>> time_files(const Study& study, const std::vector<std::filesystem::path>& paths,
                                      std::span<const CacheTypes> caches)
{
    std::vector<Inventory> models;
    for (const auto& path : paths) {
        auto inventory = read_inventory(path);
        if (!inventory) return std::unexpected(inventory.error());
        models.push_back(std::move(*inventory));
    }
    Study brief = study;
    brief.settings.speed = as_needed(study.settings.speed);
    return measure_speeds(brief, models, caches);
}

CacheTypes cache_types(const Study& study, const Plan& plan)
{
    const auto& cache = plan.chosen().cache;
    return cache ? cache->types : study.settings.run.cache;
}

Result<std::vector<Speed>> time_plans(const Study& study, const std::vector<const Plan*>& plans,
                                      const std::vector<std::filesystem::path>& with)
{
    std::vector<std::filesystem::path> paths = with;
    std::vector<CacheTypes> caches(with.size(), study.settings.run.cache);
    for (const Plan* plan : plans) {
        caches.push_back(cache_types(study, *plan));
        paths.push_back(study.workspace.path(std::format("shapes/plan-{}.gguf", paths.size() - with.size() + 1)));
        if (auto written = write_plan_shape(study.inventory, *plan, paths.back(), study.settings.types); !written)
            return std::unexpected(written.error());
    }
    auto speeds = time_files(study, paths, caches);
    for (const auto& shape : std::span(paths).subspan(with.size())) study.workspace.remove(shape);
    return speeds;
}

Result<std::vector<Measurement>> measure(const Study& study, const std::vector<ModelFile>& files)
{
    if (auto possible = check_energy(study); !possible) return std::unexpected(possible.error());
    std::vector<Inventory> models;
    for (const ModelFile& file : files) {
        auto inventory = read_inventory(file.path);
        if (!inventory) return std::unexpected(inventory.error());
        if (auto ready = check_ready(*inventory, "measure", {Task::load, Task::text}); !ready)
            return std::unexpected(ready.error());
        models.push_back(std::move(*inventory));
    }
    auto stage = QualityStage::make(study);
    if (!stage) return std::unexpected(stage.error());
    std::vector<Measurement> measurements;
    for (std::size_t m = 0; m < models.size(); ++m) {
        auto measurement = files[m].speed_only ? QualityStage::weigh(models[m], files[m].name)
                                               : stage->measure_model(models[m], files[m].name);
        if (!measurement) return std::unexpected(measurement.error());
        measurements.push_back(std::move(*measurement));
    }
    const auto speeds = measure_speeds(study, models);
    if (!speeds) return std::unexpected(speeds.error());
    for (std::size_t m = 0; m < models.size(); ++m) measurements[m].speed = (*speeds)[m];
    warn_of_noise(measurements, study.monitor);
    return measurements;
}

}  // namespace apreqel
