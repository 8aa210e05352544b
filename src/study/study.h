// The stages of the method in their order. Each takes records and gives records; each keeps what it made in the
// workspace and uses it again when asked for the same.
#pragma once

#include "base/monitor.h"
#include "quantize/variant.h"
#include "records/format.h"
#include "runtime/runtime.h"
#include "study/workspace.h"

#include <apreqel/evaluation.h>
#include <apreqel/inventory.h>
#include <apreqel/plan.h>
#include <apreqel/sensitivity.h>

#include <filesystem>
#include <memory>
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
    bool remeasure = false;  ///< measure again what the workspace already holds
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
};

/// What each of the study's types would weigh. Nothing is quantized.
[[nodiscard]] Result<std::vector<TypeWeight>> weigh_types(const Inventory& inventory, const std::vector<Variant>& types,
                                                          const Variant& embedding_type);

/// The importance matrix of the study's model on its calibration text, written to `output`.
[[nodiscard]] Result<ImportanceMatrix> make_importance(const Study& study, const ImportanceSettings& settings,
                                                       const std::filesystem::path& output);

/// Gives the study's inventory the workspace's own importance matrix, collected first if it is not there yet. → imatrix.gguf
[[nodiscard]] Result<> use_own_importance(Study& study);

/// → scores.json
[[nodiscard]] Result<Scores> score(const Study& study);

/// → variants/, profile.json
[[nodiscard]] Result<Profile> profile(const Study& study);

/// The mixed model of `plan`, spliced from the workspace's variants as far as they exist. `foreign`: variants the plan may name
/// that were made elsewhere. Error: the plan does not fit the model.
[[nodiscard]] Result<> quantize(const Inventory& inventory, const Plan& plan, const Workspace& workspace,
                                const std::filesystem::path& output, unsigned threads, Monitor& monitor,
                                std::span<const Variant> foreign = {});

/// The tensors that `quantize` cannot give the type of the plan.
[[nodiscard]] Result<std::vector<Fallback>> quantized_fallbacks(const Inventory& inventory, const Plan& plan,
                                                                std::span<const Variant> foreign = {});

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

struct SenseSettings {
    std::size_t chunks = 8;  ///< leading chunks of text each probe runs
    double minutes = 0;      ///< time for probes; 0: no limit
    bool fast = false;       ///< two types only
    Granularity granularity = Granularity::layer;
};

/// Every layer in every type of the study, one at a time → sensitivity.json
[[nodiscard]] Result<Sensitivity> sense(const Study& study, const SenseSettings& settings);

/// Everything: what the method needs, the plan, the mixed model at `output`, and all of it measured side by side. What is built
/// next and what is shipped is decided by `refine`.
[[nodiscard]] Result<RunResult> run(const Study& study, const PlanRequest& request, const SenseSettings& sensing,
                                    const std::filesystem::path& output);

struct EvaluationSettings {
    bool ablation = true;            ///< also with layers in other orders than the paper's
    bool front = true;               ///< also what the front method finds, of the same types and of all
    std::vector<Variant> palette{};  ///< more types, for the front method only
    SenseSettings sense{};
    bool keep_models = false;  ///< leave the mixed models in the workspace, mixes/
};

/// The paper's evaluation: 28 weight settings planned, spliced and measured beside the uniform variants. → study.json
[[nodiscard]] Result<Evaluation> evaluate(const Study& study, const EvaluationSettings& settings);

/// Error: a weight of the study's model is not a finite number. Reads it once, before the first long step that needs it.
[[nodiscard]] Result<> check_finite(const Study& study);

/// Error: one of `figures` is not a finite number. What was measured is checked before it is kept: every later command would
/// else take it up again.
[[nodiscard]] Result<> check_figures(std::string_view measured, std::initializer_list<double> figures);

/// Where the study's text comes from, for people.
[[nodiscard]] std::string text_source(const Study& study);

/// What measurements are compared with, for people: "full precision", or "source file" where that is quantized.
[[nodiscard]] std::string reference_name(const Study& study);

/// "apreqel 0.1.0, libllama 0.7.0, libggml 0.27.0". `libllama`: the version of the one that measured.
[[nodiscard]] std::string tool_version(std::string_view libllama = libllama_version());

}  // namespace apreqel
