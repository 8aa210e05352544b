// Every flag of the command line, described once and registered by the verbs that have it.
#pragma once

#include "cli/terminal.h"
#include "study/study.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace apreqel {

/// What --imatrix says where the matrix is not a file but to be collected.
inline constexpr std::string_view kOwnImportance = "auto";
/// And where there is to be none.
inline constexpr std::string_view kWithoutImportance = "none";

/// The types that are chosen from where --types names none.
enum class UsualTypes {
    unused,   ///< the verb does not choose
    paper,    ///< the paper's, whether they fit or not
    fitting,  ///< those that fit the model
};

/// What matters where --weights does not say.
inline constexpr std::string_view kUsualWeights = "balanced";

/// What was typed. `parse` functions below turn it into what it means.
struct Flags {
    std::filesystem::path model;
    std::filesystem::path workspace;
    std::filesystem::path output;
    bool json = false;
    bool quiet = false;
    bool force = false;
    std::filesystem::path imatrix;      ///< or kOwnImportance, kWithoutImportance
    std::vector<std::string> variants;  ///< NAME=FILE
    bool from_quantized = false;        ///< a quantized model is taken as the reference
    bool feedback = false;              ///< types without a suffix are rounded with error feedback
    bool weigh_types = true;            ///< types without a suffix are quantized with the importance matrix, if there is one
    UsualTypes usual_types = UsualTypes::unused;
    std::optional<std::string> types;           ///< empty: the usual ones
    std::optional<std::string> embedding_type;  ///< empty: kEmbeddingType, or kSource where the model is quantized
    std::optional<std::string> nextn_type;      ///< empty: that of read_inventory
    std::optional<Method> method;               ///< empty: the verb decides
    std::optional<bool> mix_embedding;          ///< the same
    std::optional<std::string> weights;         ///< the same
    std::optional<double> max_ttft_ms;          ///< time for a prompt, of which the limit of its tokens follows
    std::vector<std::string> rpc;               ///< HOST:PORT
    StudySettings settings;
};

void add_model(CLI::App& verb, Flags& flags);
void add_from_quantized(CLI::App& verb, Flags& flags);  ///< --from-quantized
void add_output(CLI::App& verb, Flags& flags, const std::string& description);
void add_workspace(CLI::App& verb, Flags& flags);
void add_common(CLI::App& verb, Flags& flags);        ///< --json, --quiet
void add_imatrix_file(CLI::App& verb, Flags& flags);  ///< --imatrix
void add_importance(CLI::App& verb, Flags& flags);    ///< --imatrix, --calibration
void add_calibration(CLI::App& verb, Flags& flags, const std::string& description);
void add_variants(CLI::App& verb, Flags& flags);                   ///< --variant
void add_palette(CLI::App& verb, Flags& flags, UsualTypes usual);  ///< --types, --embedding-type, --nextn-type
void add_nextn_type(CLI::App& verb, Flags& flags);
void add_types(CLI::App& verb, Flags& flags, UsualTypes usual);  ///< these, --imatrix, --calibration, --variant
void add_weights(CLI::App& verb, Flags& flags);
void add_method(CLI::App& verb, Flags& flags, PlanRequest& request,
                const std::string& usual);                  ///< --method, --normalization, --mix-embedding, limits
void add_running(CLI::App& verb, Flags& flags);             ///< --threads, --gpu-layers, --devices, --rpc, …
void add_context(CLI::App& verb, Flags& flags);             ///< --kv-context
void add_cache_types(CLI::App& verb, Flags& flags);         ///< --cache-type-k, --cache-type-v
void add_mix_cache(CLI::App& verb, Flags& flags);           ///< --mix-kv
void add_sampling(CLI::App& verb, Flags& flags);            ///< --seed
void add_scoring(CLI::App& verb, Flags& flags);             ///< --prompts, --gamma
void add_text(CLI::App& verb, Flags& flags);                ///< --text
void add_chunking(CLI::App& verb, Flags& flags);            ///< --context, --remeasure
void add_sensing(CLI::App& verb, SenseSettings& settings);  ///< --granularity, --thorough, --probe-chunks, --minutes
void add_speed(CLI::App& verb, Flags& flags);               ///< --repetitions, --generate, …, --cache-type-k, …
void add_measuring(CLI::App& verb, Flags& flags);           ///< --text, --context, --chunks, …, and these

/// Error: the types of the KV cache are to be chosen, and are named too, or it is not said how much it has to hold.
[[nodiscard]] Result<> check_mix_cache(const Flags& flags);

/// True if the command line says how long a prompt to time.
[[nodiscard]] bool is_prompt_given(const CLI::App& verb);

/// Turns --max-ttft into a limit of the prompt latency; `tokens` of the prompt that is timed, 0: none is.
void limit_first_token(PlanRequest& request, const Flags& flags, std::size_t tokens);

/// The flag that `verb` had as `old`: a usage error that says what it is called `now`.
void add_renamed(CLI::App& verb, const std::string& old, const std::string& now);

/// What was asked for: `usual` is the method where none is named. The front method chooses the type of embedding and output
/// too, unless that is named or it is told not to.
void settle_method(PlanRequest& request, const Flags& flags, Method usual);

/// True if there is any limit.
[[nodiscard]] bool is_limited(const Limits& limits);

/// A usage error if a limit is given to a method that knows none.
[[nodiscard]] Result<> check_method(const PlanRequest& request);

/// True if types are quantized with an importance matrix, one that is to be collected too.
[[nodiscard]] bool has_importance(const Flags& flags);

/// The types named, or the usual ones of this model. Errors: those of parse_types.
[[nodiscard]] Result<std::vector<Variant>> types_of(const Flags& flags, const Inventory& model);

/// `types` as a quantized model can have them: those that make a tensor smaller, and kSource. Others are as they were.
/// Error: none does.
[[nodiscard]] Result<std::vector<Variant>> with_source(std::vector<Variant> types, const Inventory& model, Monitor& monitor);

/// The type named, or the usual one, as this model stores it. Error: no target for quantization.
[[nodiscard]] Result<Variant> embedding_type_of(const Flags& flags, const Inventory& model);

/// Types by name, separated by commas, spaces around them do not matter; `suffix`: of those that have none. Errors: unknown, listed
/// twice, not a target for quantization.
[[nodiscard]] Result<std::vector<Variant>> parse_types(const std::string& names, bool has_importance,
                                                       std::string_view suffix = {});

/// What types without a suffix are to have.
[[nodiscard]] std::string_view suffix_of(const Flags& flags);

/// The variants of `model` named by --variant.
[[nodiscard]] Result<std::vector<Variant>> open_variants(const Flags& flags, const Inventory& model);

/// The model, with its importance matrix if that is a file.
[[nodiscard]] Result<Inventory> open_model(const Flags& flags);

/// Reads the model and makes its workspace; collects its importance matrix and its Hessians if they are asked for, after `check`,
/// which the study reaches without types. Says so where the paper's types do not fit the model.
[[nodiscard]] Result<Study> open_study(const Flags& flags, Monitor& monitor,
                                       const std::function<Result<>(const Study&)>& check = {});

/// An error if `output` cannot be written later: it exists and --force is not given, it is one of the `inputs`, or its
/// folder is not there. Asked before long work begins.
[[nodiscard]] Result<> check_output(const std::filesystem::path& output, bool force,
                                    const std::vector<std::filesystem::path>& inputs = {});

/// A sensitivity for people: what sense and merge print.
[[nodiscard]] std::string describe(const Sensitivity& sensitivity);

/// The hint that follows an interruption.
[[nodiscard]] Error with_resume_hint(Error error, const Study& study);

}  // namespace apreqel
