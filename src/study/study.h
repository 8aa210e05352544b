// The stages of the method in their order. Each takes records and gives records; each keeps what it made in the
// workspace and uses it again when asked for the same.
#pragma once

#include "base/monitor.h"
#include "quantize/palette.h"
#include "quantize/variant.h"
#include "records/format.h"
#include "runtime/runtime.h"
#include "study/workspace.h"

#include <apreqel/evaluation.h>
#include <apreqel/inventory.h>
#include <apreqel/layout.h>
#include <apreqel/plan.h>
#include <apreqel/sensitivity.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// The paper's palette, most precise last.
inline constexpr std::string_view kPaperTypes = "q3_K,q4_K,q5_K,q6_K,q8_0";
inline constexpr std::string_view kEmbeddingType = "q6_K";

/// What a profile measures beside the uniform types, to tell what each type costs where; the front method plans with it.
enum class Mixes { none, layers, with_embedding };

struct StudySettings {
    std::vector<Variant> types;         ///< to measure and choose from, in this order
    Variant embedding_type;             ///< of embedding and output tensors, in every variant
    std::filesystem::path text;         ///< evaluation text; empty: sampled from the model
    std::filesystem::path prompts;      ///< prompts to score layers on; empty: sampled from the model
    std::filesystem::path calibration;  ///< text for importance and sensitivity; empty: sampled from the model
    double gamma = 0.9;
    std::uint64_t seed = 1;  ///< of everything sampled
    Mixes mixes = Mixes::none;
    std::optional<QuantType>
        form{};                 ///< full-precision type that probes run in; nothing: the one this machine computes fastest
    bool remeasure = false;     ///< measure again what the workspace already holds
    std::uint64_t context = 0;  ///< tokens of a context that profiles tell the memory of; 0: of none
    bool mix_cache = false;     ///< the types of the KV cache of that context are chosen too
    std::optional<std::size_t> gpu_layers{};  ///< on accelerators while times are measured; nothing: those of `run`
    RunSettings run;
    QualitySettings quality;
    SpeedSettings speed;
};

/// A model under study: what it is, where its artifacts go, and how it is measured.
struct Study {
    Inventory inventory;
    Workspace workspace;
    StudySettings settings;
    Monitor& monitor;
    std::shared_ptr<Runtime> runtime = llama_runtime();
    std::shared_ptr<const WorkspaceLock> lock{};  ///< held as long as the study or a copy of it lives
    /// Qualities that it or a copy of it measured: what is measured again is so once.
    std::shared_ptr<std::set<std::filesystem::path>> measured = std::make_shared<std::set<std::filesystem::path>>();
    std::shared_ptr<bool> finite = std::make_shared<bool>(false);  ///< its weights were read once and found to be numbers

    [[nodiscard]] const std::filesystem::path& model() const { return inventory.files.front(); }
    [[nodiscard]] Platform platform() const { return runtime->platform(settings.run); }
    /// How models run while times are measured: as the result is to run.
    [[nodiscard]] RunSettings timed_run() const
    {
        RunSettings run = settings.run;
        if (settings.gpu_layers) run.gpu_layers = static_cast<int>(*settings.gpu_layers);
        return run;
    }
    /// What the model keeps in memory beside its weights at the context of the settings.
    [[nodiscard]] Result<ContextMemory> context() const
    {
        return runtime->context_memory(model(), timed_run(), settings.context, monitor);
    }
};

/// What each of the study's types would weigh. Nothing is quantized.
[[nodiscard]] Result<std::vector<TypeWeight>> weigh_types(const Inventory& inventory, const std::vector<Variant>& types,
                                                          const Variant& embedding_type);

/// A model's profile with what its header tells: bits, memory and fallbacks of `types`; no quality, no text.
/// Error: a tensor cannot be stored as one of the types.
[[nodiscard]] Result<ModelProfile> weighed_model(const Inventory& inventory, const std::vector<Variant>& types,
                                                 const Variant& embedding_type);

/// The importance matrix of the study's model on its calibration text, written to `output`.
[[nodiscard]] Result<ImportanceMatrix> make_importance(const Study& study, const ImportanceSettings& settings,
                                                       const std::filesystem::path& output);

/// Gives the study's inventory the workspace's own importance matrix, collected first if it is not there yet. → imatrix.gguf
[[nodiscard]] Result<> use_own_importance(Study& study);

/// Gives it the workspace's own second moments of the inputs of its layers, which error feedback needs. → hessian.gguf
/// `with_importance`: and an importance matrix, of the same run of the text where it has no experts. → imatrix.gguf
[[nodiscard]] Result<> use_own_hessian(Study& study, bool with_importance = false);

/// → scores.json
[[nodiscard]] Result<Scores> score(const Study& study);

/// → variants/, profile.json
[[nodiscard]] Result<Profile> profile(const Study& study);

/// What can be known before anything is quantized: the exact memory of every type, no quality, and latencies that were timed
/// on the shapes of types and mixes (`write_shape`), in as many rounds and tokens as it takes. With `settings.mix_cache` that of
/// the KV cache's types too. → profile.json
[[nodiscard]] Result<Profile> outlook(const Study& study);

/// What the types of the KV cache of `settings.context` tokens cost: bytes as libllama reports them, KL divergence on the calibration
/// text, times on a shape. Types that the model cannot have are left out. → profile/cache.json
[[nodiscard]] Result<CacheProfile> cache_profile(const Study& study);

/// An outlook of a study whose model is a shape (`open_shape`): what a device can tell of a model that it does not have. Types are
/// called without their importance matrix, which there is none of. Nothing is kept.
[[nodiscard]] Result<Profile> bench(const Study& study);

/// A mixed model that was made.
struct BuiltMix {
    std::filesystem::path path;
    Plan plan;
};

/// The mixed model of `plan`, spliced from the workspace's variants as far as they exist. `foreign`: variants the plan may name
/// that were made elsewhere. `mixes`: models to splice from too. Error: the plan does not fit the model.
[[nodiscard]] Result<> quantize(const Inventory& inventory, const Plan& plan, const Workspace& workspace,
                                const std::filesystem::path& output, unsigned threads, Monitor& monitor,
                                std::span<const Variant> foreign = {}, std::span<const BuiltMix> mixes = {});

/// `plan` without the types of `types` that are but lent by a file made elsewhere (Variant::feedback): their layers have the types of
/// that file's tensors by name, so that it can be quantized without that file, and be a layout. A layer stays as it is where names
/// cannot tell.
[[nodiscard]] Plan spelled_out(const Inventory& inventory, Plan plan, std::span<const Variant> types);

/// The shape of the file that `quantize` would write: see write_shape.
[[nodiscard]] Result<> write_plan_shape(const Inventory& inventory, const Plan& plan, const std::filesystem::path& output,
                                        std::span<const Variant> foreign = {});

/// The tensors that `quantize` cannot give the type of the plan.
[[nodiscard]] Result<std::vector<Fallback>> quantized_fallbacks(const Inventory& inventory, const Plan& plan,
                                                                std::span<const Variant> foreign = {});

/// `layout` as a plan of this model. `foreign`: as for `quantize`. Error: it does not fit: another architecture, another number
/// of blocks, groups that one of the two has not, or a tensor that cannot hold the type its layer has there.
[[nodiscard]] Result<Plan> apply_layout(const Inventory& inventory, const Layout& layout,
                                        std::span<const Variant> foreign = {});

/// Bits per weight of the file `quantize` would write: its tensors, over all weights.
[[nodiscard]] Result<double> quantized_bits(const Inventory& inventory, const Plan& plan,
                                            std::span<const Variant> foreign = {});

/// All weights of a projector (`read_projector`) in one type: what it would weigh, and the file.
[[nodiscard]] Result<TypeWeight> projector_quantized_to(const Inventory& projector, QuantType type);
[[nodiscard]] Result<> quantize_projector(const Inventory& projector, QuantType type, const std::filesystem::path& output,
                                          unsigned threads, Monitor& monitor);

/// Bytes of the file `quantize` would write.
[[nodiscard]] Result<std::uint64_t> quantized_bytes(const Inventory& inventory, const Plan& plan,
                                                    std::span<const Variant> foreign = {});

/// A GGUF file to measure, and what to call it.
struct ModelFile {
    std::filesystem::path path;
    std::string name;
    bool speed_only = false;
};

/// Any GGUF files, measured side by side and compared with the study's model.
[[nodiscard]] Result<std::vector<Measurement>> measure(const Study& study, const std::vector<ModelFile>& files);

/// The study's model itself: memory and quality, not speed.
[[nodiscard]] Result<Measurement> measure_reference(const Study& study);

/// The same of any GGUF file.
[[nodiscard]] Result<Measurement> measure_quality(const Study& study, const ModelFile& file);

/// Its quality on the `chunks` leading chunks of the text, and on the others; not kept.
[[nodiscard]] Result<Quality> look_at(const Study& study, const ModelFile& file, std::size_t chunks);
[[nodiscard]] Result<Quality> look_behind(const Study& study, const ModelFile& file, std::size_t chunks);

/// The speeds of GGUF files, in the same rounds, which end when the order is settled. `caches`: as for time_models.
[[nodiscard]] Result<std::vector<Speed>> time_files(const Study& study, const std::vector<std::filesystem::path>& paths,
                                                    std::span<const CacheTypes> caches = {});

/// The types of the KV cache of a model of this plan: those that it chose, or the study's.
[[nodiscard]] CacheTypes cache_types(const Study& study, const Plan& plan);

/// The same of models of these plans. Their shapes are timed: none is built. `with`: models to time
/// beside them, first in the result.
[[nodiscard]] Result<std::vector<Speed>> time_plans(const Study& study, const std::vector<const Plan*>& plans,
                                                    const std::vector<std::filesystem::path>& with = {});

struct SenseSettings {
    bool thorough = false;   ///< probes every group in every type, on `chunks` chunks; else one type tells of the others
    std::size_t chunks = 8;  ///< leading chunks of text each thorough probe runs
    double minutes = 0;      ///< time for probes; 0: no limit
    Granularity granularity = Granularity::layer;
    std::optional<SensitivityShard> joined{};  ///< what others probed, see `join`
};

/// What every group suffers in every type of the study → sensitivity.json. Thorough, each is probed. Else each group is probed in
/// one type, and what it suffers in the others follows from the errors of its weights; where some that are held out show that
/// this is not as exact as promised, groups are probed in a second type. Some 20,000 tokens of text for up to 64 groups.
[[nodiscard]] Result<Sensitivity> sense(const Study& study, const SenseSettings& settings);

/// That share of what comes next: first of the probes that are made in any case, and with `settings.joined`, of those that these
/// ask for. Error: nothing is left to spread; a limit of time.
[[nodiscard]] Result<SensitivityShard> sense_shard(const Study& study, const SenseSettings& settings, Share share);

/// Error: what can be known of a run from the model's header and the settings, but for the types, says that it cannot be done.
[[nodiscard]] Result<> check_run(const Study& study, const PlanRequest& request);

/// What a run of the front method is to do.
struct RunGoal {
    /// How long it may look for the best; 0: until nothing better is in sight. When the time is up, or somebody asks to stop
    /// before, the best found so far is written, as soon as there is any.
    double minutes = 0;
    /// GGUF files, or names of llama.cpp's file types, that the result is to be better than: no larger, no slower, and closer to
    /// full precision.
    std::vector<std::string> rivals{};
    bool take_from_rivals = true;  ///< what they have is one more type of every layer
    bool feedback = false;         ///< its types are rounded with error feedback
    bool asked_for_rivals = true;  ///< else those that cannot be had are left out with a warning
};

/// Everything: what the method needs, the plans worth building, the best of them at `output`, and all of it measured. What is built
/// next and what is shipped is decided by `refine`. One model beside the output is on the disk at any time; the paper's method keeps
/// its uniform variants.
[[nodiscard]] Result<RunResult> run(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                                    const std::filesystem::path& output, const RunGoal& goal = {});

/// A rival, and the plan that a run of the front method would ship to be better than it.
struct PlanBeside {
    std::string asked;  ///< the rival, as it was asked for
    Measurement rival;  ///< memory and quality
    Plan plan;
    Quality quality;  ///< of the plan
};

/// For each of the rivals that can be had, the most accurate plan of the front that is no larger and no slower, or what comes
/// nearest: by what was measured of the plans that `refine` has built, one at a time. `goal`: what is left out where it cannot be had,
/// and what is an error. What is measured of a plan is kept in the workspace.
[[nodiscard]] Result<std::vector<PlanBeside>> plans_beside(const Study& study, const Profile& profile,
                                                           const Sensitivity& sensitivity, const RunGoal& goal);

struct EvaluationSettings {
    bool ablation = true;            ///< also with layers in other orders than the paper's
    bool front = true;               ///< also what the front method finds, of the same types and of all
    std::vector<Variant> palette{};  ///< more types, for the front method only
    SenseSettings sense{};
    bool keep_models = false;  ///< leave the mixed models in the workspace, mixes/
    /// As for RunGoal: measured in the rounds of the models, with what the front method has beside each.
    std::vector<std::string> rivals{};
    bool asked_for_rivals = true;
};

/// Error: what can be known of an evaluation from the model's header and the settings says that it cannot be done.
[[nodiscard]] Result<> check_evaluation(const Study& study, const EvaluationSettings& settings);

/// The paper's evaluation: 28 weight settings planned, spliced and measured beside the uniform variants. → study.json
[[nodiscard]] Result<Evaluation> evaluate(const Study& study, const EvaluationSettings& settings);

/// Error: a weight of the study's model is not a finite number. Reads it once, before the first long step that needs it.
[[nodiscard]] Result<> check_finite(const Study& study);

/// Error: one of `figures` is not a finite number. What was measured is checked before it is kept: every later command would
/// else take it up again.
[[nodiscard]] Result<> check_figures(std::string_view measured, std::initializer_list<double> figures);

/// Leaves out of the study's types what a GPU of its settings has no product of, or a wrong one (runtime/products.h), and warns of
/// it by name: nothing is worth timing there. `layers_are_chosen`: any number of layers may come to be on a GPU, whatever the settings
/// say. Error: none is left.
[[nodiscard]] Result<> leave_out_wrong_types(Study& study, bool layers_are_chosen = false);

/// Error: the study measures the energy of tokens, and this machine does not tell it.
[[nodiscard]] Result<> check_energy(const Study& study);

/// The speeds of `models` with the study's settings, in the same rounds; nothing is kept. `caches`: types of the KV cache of each;
/// empty: those of the settings. Errors: also those of check_figures.
[[nodiscard]] Result<std::vector<Speed>> time_models(const Study& study, std::span<const std::filesystem::path> models,
                                                     std::span<const CacheTypes> caches = {});

/// Where the study's text comes from, for people.
[[nodiscard]] std::string text_source(const Study& study);

/// What measurements are compared with, for people: "full precision", or "source file" where that is quantized.
[[nodiscard]] std::string reference_name(const Study& study);

/// "apreqel 0.1.0, libllama 0.7.0, libggml 0.27.0". `libllama`: the version of the one that measured.
[[nodiscard]] std::string tool_version(std::string_view libllama = libllama_version());

}  // namespace apreqel
