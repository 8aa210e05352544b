// What runs models, as the stages of a study see it: libllama, or in tests a world made of numbers.
#pragma once

#include "base/monitor.h"
#include "model/hessian.h"
#include "model/importance.h"
#include "runtime/products.h"
#include "runtime/settings.h"

#include <apreqel/contribution.h>
#include <apreqel/criterion.h>
#include <apreqel/inventory.h>
#include <apreqel/measurement.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What computes, and where: all that a measurement can depend on beside the model, the text and the settings.
struct Platform {
    std::string libllama;    ///< its version
    std::string device;      ///< for people: processor, accelerators and threads
    std::string machine;     ///< tells this machine from any other; not for people
    std::string offloading;  ///< how many blocks go to which accelerators
    unsigned threads = 1;
    bool has_accelerator = false;  ///< that may be used
};

/// How far the weights as they stand are from those of the reference.
struct Divergence {
    double kld = 0;        ///< mean over the positions compared, nats
    double kld_error = 0;  ///< its standard error
    std::uint64_t tokens = 0;
};

/// A model that is ready to run. Every function fails if the model cannot do that, and stops when its monitor asks to. What
/// they compute is said where libllama does it: in the header of this folder that has a function of the same name.
class RunnableModel {
public:
    virtual ~RunnableModel() = default;

    [[nodiscard]] virtual Result<std::vector<Token>> tokenize(std::string_view text) = 0;
    [[nodiscard]] virtual Result<std::vector<std::string>> sample_texts(const SampleSettings& settings, Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<std::vector<LayerScore>> score_layers(const Inventory& inventory,
                                                                       std::span<const std::vector<Token>> prompts,
                                                                       double gamma, Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<ImportanceMatrix> collect_importance(const Inventory& inventory, std::span<const Token> tokens,
                                                                      const ImportanceSettings& settings, Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<std::vector<SharedInput>> find_shared_inputs(const Inventory& inventory, Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<std::vector<InputMoments>> collect_moments(
        const Inventory& inventory, std::span<const SharedInput> inputs, std::span<const Token> tokens,
        const ImportanceSettings& settings, std::string_view part, ImportanceMatrix* importance, Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<Quality> record_reference(std::span<const Token> tokens, const QualitySettings& settings,
                                                           const std::filesystem::path& expected, std::string_view identity,
                                                           Monitor& monitor) = 0;
    [[nodiscard]] virtual Result<Quality> evaluate_quality(std::span<const Token> tokens, const QualitySettings& settings,
                                                           const std::optional<std::filesystem::path>& expected,
                                                           std::string_view identity, Monitor& monitor) = 0;

    /// Runs `sequences` with the weights as they stand, and keeps what `compare_probe` compares with, in memory. `monitor` is
    /// asked as long as the model lives.
    [[nodiscard]] virtual Result<> record_probe(std::vector<std::vector<Token>> sequences, Monitor& monitor) = 0;
    /// Runs `count` of these sequences again, from the `first` on, with a KV cache of these types.
    [[nodiscard]] virtual Result<Divergence> compare_probe(std::size_t first, std::size_t count, const CacheTypes& cache) = 0;

    /// Finds the weights of `tensors`, which `overwrite` may change from then on, in a model loaded as WeightAccess::writable.
    /// Norms and the like that the model does not use are passed over.
    [[nodiscard]] virtual Result<> find_weights(std::span<const Tensor> tensors, Monitor& monitor) = 0;

    /// Replaces bytes of a tensor that was found, from `offset` on. Safe from several threads for bytes that do not overlap.
    virtual void overwrite(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

class Runtime {
public:
    virtual ~Runtime() = default;

    [[nodiscard]] virtual Platform platform(const RunSettings& settings) = 0;

    /// Error: the file cannot be loaded.
    [[nodiscard]] virtual Result<std::unique_ptr<RunnableModel>> load(const std::filesystem::path& path,
                                                                      const RunSettings& settings,
                                                                      WeightAccess access = WeightAccess::fixed) = 0;

    /// Seconds that the model at `path` takes for a prompt of `tokens` tokens, loaded as WeightAccess::writable: the least of a few.
    [[nodiscard]] virtual Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings,
                                                     std::size_t tokens, Monitor& monitor) = 0;

    /// The speed of each of `models`, measured in the same rounds. `caches`: types of the KV cache of each; empty: those of `run`.
    [[nodiscard]] virtual Result<std::vector<Speed>> measure_speed(std::span<const std::filesystem::path> models,
                                                                   std::span<const CacheTypes> caches, const RunSettings& run,
                                                                   const SpeedSettings& settings, Monitor& monitor) = 0;

    /// What GPUs cannot be trusted with: see runtime/products.h.
    [[nodiscard]] virtual Result<std::vector<WrongType>> find_wrong_types(const RunSettings& settings,
                                                                          std::span<const RowFormat> formats) = 0;

    /// Error: the energy of a token cannot be measured here, and why.
    [[nodiscard]] virtual Result<> check_energy(const RunSettings& run) = 0;

    /// What the model at `path`, or one of its shape, keeps in memory beside its weights with a context of `tokens` tokens: see
    /// runtime/context_memory.h.
    [[nodiscard]] virtual Result<ContextMemory> context_memory(const std::filesystem::path& path, const RunSettings& settings,
                                                               std::uint64_t tokens, Monitor& monitor) = 0;

    /// The model as llama.cpp quantizes it to a file type, written at `output`: see runtime/stock.h.
    [[nodiscard]] virtual Result<> quantize_stock(const Inventory& source, std::string_view name,
                                                  const std::filesystem::path& output, const RunSettings& settings) = 0;
};

/// libllama.
[[nodiscard]] std::shared_ptr<Runtime> llama_runtime();

/// Error: settings name a device, a buffer or a type of KV cache that there is none of here, and what there is.
[[nodiscard]] Result<> check_settings(const RunSettings& settings);

/// The file types of llama.cpp: "Q4_K_M" and all others that llama-quantize offers for quantizing.
[[nodiscard]] std::vector<std::string_view> stock_names();

/// The name as llama-quantize spells it, of one in any case. Error: no such file type.
[[nodiscard]] Result<std::string_view> parse_stock(std::string_view name);

/// Versions of the libraries this program is linked with. libggml quantizes, whatever runs the models.
[[nodiscard]] std::string libllama_version();
[[nodiscard]] std::string libggml_version();

}  // namespace apreqel
