#include "runtime/context_memory.h"
#include "runtime/contribution.h"
#include "runtime/importance.h"
#include "runtime/moments.h"
#include "runtime/probing.h"
#include "runtime/quality.h"
#include "runtime/runtime.h"
#include "runtime/sample.h"
#include "runtime/session.h"
#include "runtime/speed.h"
#include "runtime/stock.h"
#include "runtime/weights.h"

namespace apreqel {
namespace {

class LlamaModel : public RunnableModel {
public:
    explicit LlamaModel(LoadedModel model) : model_(std::move(model)) {}

    Result<std::vector<Token>> tokenize(std::string_view text) override { return model_.tokenize(text); }

    Result<std::vector<std::string>> sample_texts(const SampleSettings& settings, Monitor& monitor) override
    {
        return apreqel::sample_texts(model_, settings, monitor);
    }

    Result<std::vector<LayerScore>> score_layers(const Inventory& inventory, std::span<const std::vector<Token>> prompts,
                                                 double gamma, Monitor& monitor) override
    {
        return apreqel::score_layers(model_, inventory, prompts, gamma, monitor);
    }

    Result<ImportanceMatrix> collect_importance(const Inventory& inventory, std::span<const Token> tokens,
                                                const ImportanceSettings& settings, Monitor& monitor) override
    {
        return apreqel::collect_importance(model_, inventory, tokens, settings, monitor);
    }

    Result<std::vector<SharedInput>> find_shared_inputs(const Inventory& inventory, Monitor& monitor) override
    {
        return apreqel::find_shared_inputs(model_, inventory, monitor);
    }

    Result<std::vector<InputMoments>> collect_moments(const Inventory& inventory, std::span<const SharedInput> inputs,
                                                      std::span<const Token> tokens, const ImportanceSettings& settings,
                                                      std::string_view part, ImportanceMatrix* importance,
                                                      Monitor& monitor) override
    {
        return apreqel::collect_moments(model_, inventory, inputs, tokens, settings, part, importance, monitor);
    }

    Result<Quality> record_reference(std::span<const Token> tokens, const QualitySettings& settings,
                                     const std::filesystem::path& expected, std::string_view identity,
                                     Monitor& monitor) override
    {
        return apreqel::record_reference(model_, tokens, settings, expected, identity, monitor);
    }

    Result<Quality> evaluate_quality(std::span<const Token> tokens, const QualitySettings& settings,
                                     const std::optional<std::filesystem::path>& expected, std::string_view identity,
                                     Monitor& monitor) override
    {
        return apreqel::evaluate_quality(model_, tokens, settings, expected, identity, monitor);
    }

    Result<> record_probe(std::vector<std::vector<Token>> sequences, Monitor& monitor) override
    {
        auto recorded = ProbeRun::record(model_, std::move(sequences), monitor);
        if (!recorded) return std::unexpected(recorded.error());
        probes_ = std::move(*recorded);
        return {};
    }

    Result<Divergence> compare_probe(std::size_t first, std::size_t count, const CacheTypes& cache) override
    {
        return probes_.compare(first, count, cache);
    }

    Result<> find_weights(std::span<const Tensor> tensors, Monitor& monitor) override
    {
        auto found = ModelWeights::find(model_, tensors, monitor);
        if (!found) return std::unexpected(found.error());
        weights_ = std::move(*found);
        return {};
    }

    void overwrite(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes) override
    {
        weights_.write(tensor, offset, bytes);
    }

private:
    LoadedModel model_;
    ModelWeights weights_;
    ProbeRun probes_;
};

class LlamaRuntime : public Runtime {
public:
    Platform platform(const RunSettings& settings) override
    {
        return {.libllama = libllama_version(),
                .device = device_name(settings),
                .machine = machine_identity(),
                .offloading = offloading(settings),
                .threads = thread_count(settings),
                .has_accelerator = !accelerator_buffers(settings).empty()};
    }

    Result<std::unique_ptr<RunnableModel>> load(const std::filesystem::path& path, const RunSettings& settings,
                                                WeightAccess access) override
    {
        auto loaded = LoadedModel::load(path, settings, access);
        if (!loaded) return std::unexpected(loaded.error());
        return std::make_unique<LlamaModel>(std::move(*loaded));
    }

    Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings, std::size_t tokens,
                               Monitor& monitor) override
    {
        return apreqel::time_prompt(path, settings, tokens, monitor);
    }

    Result<std::vector<Speed>> measure_speed(std::span<const std::filesystem::path> models, std::span<const CacheTypes> caches,
                                             const RunSettings& run, const SpeedSettings& settings, Monitor& monitor) override
    {
        return apreqel::measure_speed(models, caches, run, settings, monitor);
    }

    Result<std::vector<WrongType>> find_wrong_types(const RunSettings& settings, std::span<const RowFormat> formats) override
    {
        return apreqel::find_wrong_types(settings, formats);
    }

    Result<> check_energy(const RunSettings& run) override { return apreqel::check_energy(run); }

    Result<ContextMemory> context_memory(const std::filesystem::path& path, const RunSettings& settings, std::uint64_t tokens,
                                         Monitor& monitor) override
    {
        return apreqel::context_memory(path, settings, tokens, monitor);
    }

    Result<> quantize_stock(const Inventory& source, std::string_view name, const std::filesystem::path& output,
                            const RunSettings& settings) override
    {
        return apreqel::quantize_stock(source, name, output, thread_count(settings));
    }
};

}  // namespace

std::shared_ptr<Runtime> llama_runtime() { return std::make_shared<LlamaRuntime>(); }

}  // namespace apreqel
