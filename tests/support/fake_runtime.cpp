#include "support/fake_runtime.h"

#include "base/file.h"
#include "quantize/write_models.h"

#include <apreqel/statistics.h>
#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <ranges>
#include <set>

namespace apreqel {
namespace {

/// What a model's logits are here: its weights, by tensor.
using TensorValues = std::map<std::string, std::vector<float>>;

std::vector<float> to_floats(const Tensor& tensor, std::span<const std::byte> stored)
{
    const std::uint64_t rows = stored.size() / row_bytes(tensor.type, tensor.columns());
    std::vector<float> values(rows * static_cast<std::size_t>(tensor.columns()));
    const auto* traits = ggml_get_type_traits(static_cast<ggml_type>(tensor.type.id));
    if (tensor.type.id == GGML_TYPE_F32)
        std::memcpy(values.data(), stored.data(), stored.size());
    else
        traits->to_float(stored.data(), values.data(), static_cast<std::int64_t>(values.size()));
    return values;
}

/// All weights that take a type.
Result<TensorValues> read_weights(const Inventory& inventory)
{
    TensorValues weights;
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place == TensorPlace::fixed) continue;
        const auto file = InputFile::open(inventory.files[tensor.file]);
        if (!file) return std::unexpected(file.error());
        std::vector<std::byte> stored(tensor.size_bytes);
        if (auto read = file->read_at(tensor.offset, stored); !read) return std::unexpected(read.error());
        weights.emplace(tensor.name, to_floats(tensor, stored));
    }
    return weights;
}

/// Later blocks matter more, and attention more than FFN.
double worth(const Tensor& tensor)
{
    const double block = tensor.name.starts_with("blk.") ? std::stod(tensor.name.substr(4)) : 0;
    return (1 + block) * (tensor.role.starts_with("attn") ? 2 : 1);
}

/// How much more a byte costs in some types than in others.
double cost(QuantType type) { return 1 + 0.05 * (type.id % 3); }

double bits_of(const std::string& type) { return bits_per_weight(*parse_type(type)); }

/// What rounding keys and values does: nothing in 16 bits.
double divergence_of(const CacheTypes& cache)
{
    return 1e-3 * (2 * std::exp2(-bits_of(cache.keys)) + std::exp2(-bits_of(cache.values)) - 3 * std::exp2(-16));
}

bool is_mixed(const Inventory& inventory)
{
    std::set<QuantType> types;
    for (const Group& layer : inventory.layers)
        for (const std::size_t t : layer.tensors) types.insert(inventory.tensors[t].type);
    return types.size() > 1;
}

std::uint64_t hash(std::string_view text)
{
    std::uint64_t value = 14695981039346656037U;  // FNV-1a: the same with every standard library
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return value;
}

/// The mean of a figure that differs from chunk to chunk, with its standard error and the sums of the chunks.
struct Spread {
    double mean;
    double error;
    std::vector<double> sums;
};

Spread spread(double value, std::size_t chunks, std::size_t tokens)
{
    Mean mean;
    std::vector<double> sums;
    for (std::size_t c = 0; c < chunks; ++c) {
        const double here = value * (c % 2 == 0 ? 1.01 : 0.99);
        mean.add(here);
        sums.push_back(here * static_cast<double>(tokens));
    }
    return {mean.mean(), mean.standard_error(), std::move(sums)};
}

class FakeModel : public RunnableModel {
public:
    /// `cache`: while its quality is evaluated.
    FakeModel(FakeRuntime& runtime, Inventory inventory, TensorValues weights, const CacheTypes& cache)
        : runtime_(runtime), inventory_(std::move(inventory)), weights_(std::move(weights)), cache_(divergence_of(cache))
    {
    }

    /// Words.
    Result<std::vector<Token>> tokenize(std::string_view text) override
    {
        if (auto begun = runtime_.begin("tokenize"); !begun) return std::unexpected(begun.error());
        std::vector<Token> tokens;
        for (std::size_t at = 0; (at = text.find_first_not_of(" \n", at)) != std::string_view::npos;) {
            const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
            tokens.push_back(static_cast<Token>(hash(text.substr(at, end - at)) % 1000));
            at = end;
        }
        return tokens;
    }

    Result<std::vector<std::string>> sample_texts(const SampleSettings& settings, Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("sample", &monitor); !begun) return std::unexpected(begun.error());
        std::vector<std::string> texts(settings.sequences);
        for (std::size_t s = 0; s < texts.size(); ++s)
            for (std::size_t t = 0; t < settings.tokens; ++t)
                texts[s] += std::to_string((settings.seed * 31 + s * 7 + t) % 997) + " ";
        return texts;
    }

    Result<std::vector<LayerScore>> score_layers(const Inventory& inventory, std::span<const std::vector<Token>> prompts,
                                                 double gamma, Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("score", &monitor); !begun) return std::unexpected(begun.error());
        std::uint64_t tokens = 0;
        for (const auto& prompt : prompts) tokens += prompt.size();
        std::vector<LayerScore> scores;
        for (std::size_t l = 0; l < inventory.layers.size(); ++l) {
            const std::uint64_t rewards = tokens * (l + 1) / (inventory.layers.size() + 1);
            scores.push_back({.layer = inventory.layers[l].name,
                              .score = 2 * static_cast<double>(rewards) - static_cast<double>(tokens),
                              .rewards = rewards,
                              .penalties = tokens - rewards,
                              .mean_similarity = runtime_.figure(gamma)});
        }
        return scores;
    }

    Result<ImportanceMatrix> collect_importance(const Inventory& inventory, std::span<const Token> tokens,
                                                const ImportanceSettings& settings, Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("collect", &monitor); !begun) return std::unexpected(begun.error());
        return importance(inventory, tokens, settings);
    }

    static ImportanceMatrix importance(const Inventory& inventory, std::span<const Token> tokens,
                                       const ImportanceSettings& settings)
    {
        ImportanceMatrix matrix{
            .tensors = {}, .text = {}, .context = settings.context, .chunks = tokens.size() / settings.context};
        for (const Tensor& tensor : inventory.tensors) {
            if (tensor.place != TensorPlace::layer) continue;
            const auto matrices = static_cast<std::size_t>(tensor.shape[2]);
            InputSums sums{.tensor = tensor.name, .squares = {}, .inputs = std::vector<std::uint64_t>(matrices, tokens.size())};
            for (std::size_t c = 0; c < matrices * static_cast<std::size_t>(tensor.columns()); ++c)
                sums.squares.push_back(static_cast<double>(tokens.size()) * static_cast<double>(1 + c % 5));
            matrix.tensors.push_back(std::move(sums));
        }
        return matrix;
    }

    /// Every weight has an input of its own.
    Result<std::vector<SharedInput>> find_shared_inputs(const Inventory& inventory, Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("find inputs", &monitor); !begun) return std::unexpected(begun.error());
        std::vector<SharedInput> inputs;
        for (std::size_t t = 0; t < inventory.tensors.size(); ++t)
            if (inventory.tensors[t].place == TensorPlace::layer && inventory.tensors[t].shape[2] == 1 &&
                !spans_of(inventory.tensors[t].columns()).empty())
                inputs.push_back({t});
        return inputs;
    }

    /// Of inputs that have nothing to do with each other: errors are fed back to no other weight.
    Result<std::vector<InputMoments>> collect_moments(const Inventory& inventory, std::span<const SharedInput> inputs,
                                                      std::span<const Token> tokens, const ImportanceSettings& settings,
                                                      std::string_view /*part*/, ImportanceMatrix* matrix,
                                                      Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("moments", &monitor); !begun) return std::unexpected(begun.error());
        if (matrix != nullptr) *matrix = importance(inventory, tokens, settings);
        std::vector<InputMoments> all;
        for (const SharedInput& input : inputs) {
            const std::int64_t columns = inventory.tensors[input.front()].columns();
            InputMoments& moments = all.emplace_back(span_elements(columns));
            float* next = moments.data();
            for (const Span& span : spans_of(columns)) {
                for (std::int64_t c = 0; c < span.width; ++c) next[c * span.width + c] = static_cast<float>(1 + c % 5);
                next += span.width * span.width;
            }
        }
        return all;
    }

    Result<Quality> record_reference(std::span<const Token> tokens, const QualitySettings& settings,
                                     const std::filesystem::path& expected, std::string_view identity,
                                     Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("record", &monitor); !begun) return std::unexpected(begun.error());
        std::string bytes(identity);
        for (const auto& [name, values] : weights_)
            bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
        if (auto written = write_text(expected, bytes); !written) return std::unexpected(written.error());
        return quality(tokens, settings, std::nullopt);
    }

    Result<Quality> evaluate_quality(std::span<const Token> tokens, const QualitySettings& settings,
                                     const std::optional<std::filesystem::path>& expected, std::string_view identity,
                                     Monitor& monitor) override
    {
        const std::string file = inventory_.files.front().filename().string();
        if (auto begun = runtime_.begin(found_ ? "probe" : "evaluate " + file, &monitor); !begun)
            return std::unexpected(begun.error());
        if (!expected) return quality(tokens, settings, std::nullopt);
        const auto reference = read_text(*expected);
        if (!reference) return std::unexpected(reference.error());
        if (!reference->starts_with(identity)) return fail("fake: the reference is of something else");
        const double factor = is_mixed(inventory_) ? runtime_.world.mixed_divergence : 1;
        TensorValues whole = weights_;  // the reference has its tensors in the order of their names
        std::size_t at = identity.size();
        for (auto& [name, values] : whole) {
            std::memcpy(values.data(), reference->data() + at, values.size() * sizeof(float));
            at += values.size() * sizeof(float);
        }
        return quality(tokens, settings, factor * divergence(whole) + cache_);
    }

    Result<> record_probe(std::vector<std::vector<Token>> sequences, Monitor& monitor) override
    {
        monitor_ = &monitor;
        if (auto begun = runtime_.begin("record", monitor_); !begun) return begun;
        sequences_ = std::move(sequences);
        for (const auto& sequence : sequences_) runtime_.tokens += sequence.size();
        reference_ = weights_;
        return {};
    }

    Result<Divergence> compare_probe(std::size_t first, std::size_t count, const CacheTypes& cache) override
    {
        if (auto begun = runtime_.begin("probe", monitor_); !begun) return std::unexpected(begun.error());
        const double kld = divergence(reference_) + divergence_of(cache);
        Divergence found{.kld = runtime_.figure(kld), .kld_error = 0, .tokens = 0};
        const std::string& odd = runtime_.world.odd_at_first;
        const auto is_changed = [&](const auto& entry) {
            return entry.first.starts_with(odd) && entry.second != reference_.at(entry.first);
        };
        if (first == 0 && !odd.empty() && std::ranges::any_of(weights_, is_changed)) found.kld *= 10;
        for (std::size_t s = first; s < first + count; ++s) {
            found.tokens += sequences_[s].size() - kUncompared;
            runtime_.tokens += sequences_[s].size();
        }
        return found;
    }

    Result<> find_weights(std::span<const Tensor> tensors, Monitor& monitor) override
    {
        if (auto begun = runtime_.begin("find", &monitor); !begun) return begun;
        for (const Tensor& tensor : tensors)
            if (tensor.place != TensorPlace::fixed && !weights_.contains(tensor.name))
                return fail("fake: no tensor {}", tensor.name);
        found_ = true;
        return {};
    }

    void overwrite(const std::string& name, std::uint64_t offset, std::span<const std::byte> bytes) override
    {
        const Tensor& tensor = *std::ranges::find(inventory_.tensors, name, &Tensor::name);
        if (tensor.place == TensorPlace::fixed) return;
        const std::uint64_t row = offset / row_bytes(tensor.type, tensor.columns());
        std::ranges::copy(to_floats(tensor, bytes),
                          weights_.at(name).begin() + static_cast<std::ptrdiff_t>(row) * tensor.columns());
    }

private:
    [[nodiscard]] double divergence(const TensorValues& reference) const
    {
        double sum = 0;
        for (const Tensor& tensor : inventory_.tensors) {
            if (tensor.place == TensorPlace::fixed) continue;
            const std::vector<float>& values = weights_.at(tensor.name);
            const std::vector<float>& whole = reference.at(tensor.name);
            if (values == whole) continue;  // most of them in a probe
            double error = 0;
            double energy = 0;
            for (std::size_t i = 0; i < values.size(); ++i) {
                error += std::pow(double{values[i]} - whole[i], 2);
                energy += double{whole[i]} * whole[i];
            }
            const bool curved = tensor.name.contains(runtime_.world.exponent_of);
            sum += worth(tensor) * std::pow(error / energy, curved ? runtime_.world.exponent : 1);
        }
        return sum;
    }

    /// Perplexity by the types of the file.
    Result<Quality> quality(std::span<const Token> tokens, const QualitySettings& settings, std::optional<double> kld) const
    {
        auto chunks = count_chunks(tokens.size(), settings);
        if (!chunks) return std::unexpected(chunks.error());
        const std::size_t compared = std::min(*chunks, settings.kld_chunks) - settings.skip;
        if (settings.look > 0) *chunks = std::min(*chunks, settings.look);
        *chunks -= settings.skip;
        double nll = std::log(20);
        for (const Tensor& tensor : inventory_.tensors)
            if (is_quantized(tensor.type)) nll += worth(tensor) * std::exp2(-2 * bits_per_weight(tensor.type));
        const std::size_t scored = settings.context - 1 - settings.context / 2;
        Spread surprise = spread(nll, *chunks, scored);
        Quality quality{.perplexity = runtime_.figure(std::exp(surprise.mean)),
                        .perplexity_error = std::exp(surprise.mean) * surprise.error,
                        .tokens = *chunks * scored,
                        .chunk_nll = std::move(surprise.sums)};
        if (!kld) return quality;
        Spread apart = spread(*kld, std::min(*chunks, compared), scored);
        quality.kld = runtime_.figure(apart.mean);
        quality.kld_error = apart.error;
        quality.same_top = std::exp(-apart.mean);
        quality.kld_tokens = apart.sums.size() * scored;
        quality.chunk_kld = std::move(apart.sums);
        return quality;
    }

    FakeRuntime& runtime_;
    Inventory inventory_;
    TensorValues weights_;
    double cache_;            ///< KL divergence that its KV cache adds
    TensorValues reference_;  ///< of the probes
    std::vector<std::vector<Token>> sequences_;
    Monitor* monitor_ = nullptr;
    bool found_ = false;
};

}  // namespace

std::size_t FakeRuntime::done(std::string_view call) const
{
    return static_cast<std::size_t>(
        std::ranges::count_if(done_, [&](const std::string& made) { return made.starts_with(call); }));
}

void FakeRuntime::start_again()
{
    calls.clear();
    done_.clear();
    faults = {};
    tokens = 0;
    stopping = false;
}

Platform FakeRuntime::platform(const RunSettings& settings)
{
    Platform platform = here;
    if (settings.threads > 0) platform.threads = settings.threads;
    return platform;
}

Result<std::unique_ptr<RunnableModel>> FakeRuntime::load(const std::filesystem::path& path, const RunSettings& settings,
                                                         WeightAccess access)
{
    if (auto begun = begin("load " + path.filename().string()); !begun) return std::unexpected(begun.error());
    auto inventory = read_inventory(path);
    if (!inventory) return std::unexpected(inventory.error());
    auto weights = access == WeightAccess::none ? Result<TensorValues>(std::in_place) : read_weights(*inventory);
    if (!weights) return std::unexpected(weights.error());
    return std::make_unique<FakeModel>(*this, std::move(*inventory), std::move(*weights),
                                       settings.cache_in_quality ? settings.cache : CacheTypes{});
}

Result<double> FakeRuntime::time_prompt(const std::filesystem::path& path, const RunSettings& /*settings*/, std::size_t length,
                                        Monitor& monitor)
{
    if (auto begun = begin("time", &monitor); !begun) return std::unexpected(begun.error());
    const auto inventory = read_inventory(path);
    if (!inventory) return std::unexpected(inventory.error());
    const std::string form = type_name(inventory->tensors[inventory->layers.front().tensors.front()].type);
    return figure((form == world.fast_form ? 1 : 2) * static_cast<double>(length));
}

Result<std::vector<Speed>> FakeRuntime::measure_speed(std::span<const std::filesystem::path> models,
                                                      std::span<const CacheTypes> caches, const RunSettings& run,
                                                      const SpeedSettings& settings, Monitor& monitor)
{
    if (auto begun = begin("speed of " + models.front().filename().string(), &monitor); !begun)
        return std::unexpected(begun.error());
    const bool slow =
        faults.slow_from > 0 && calls.size() >= faults.slow_from && (faults.slow_to == 0 || calls.size() <= faults.slow_to);
    const double slowness = slow ? 2 : 1;
    if (settings.energy && !world.counts_energy) return std::unexpected(check_energy({}).error());
    std::vector<std::vector<double>> latencies;
    std::vector<double> joules;
    for (const auto& path : models) {
        const auto inventory = read_inventory(path);
        if (!inventory) return std::unexpected(inventory.error());
        double latency = 0.1;
        for (const Tensor& tensor : inventory->tensors)
            latency += 1e-4 * static_cast<double>(tensor.size_bytes) * cost(tensor.type);
        joules.push_back(1e-6 * static_cast<double>(inventory->size_bytes()));
        if (is_mixed(*inventory)) latency *= world.mixed_latency;
        const CacheTypes& cache = caches.empty() ? run.cache : caches[latencies.size()];
        latency += 1e-4 * static_cast<double>(settings.depth) * (bits_of(cache.keys) + bits_of(cache.values)) / 32;
        std::mt19937_64 random(settings.seed ^ hash(inventory->fingerprint));
        latencies.emplace_back();
        for (std::size_t r = 0; r < settings.repetitions; ++r) {
            const double noise = world.noise * (static_cast<double>(random() >> 11) * 0x1p-53 - 0.5);
            latencies.back().push_back(figure(latency * slowness * (1 + noise)));
        }
    }
    rounds = std::min(kFewestSamples, settings.repetitions);
    const auto settled = [&] {
        std::vector<std::vector<double>> so_far = latencies;
        for (std::vector<double>& samples : so_far) samples.resize(rounds);
        return settings.precision > 0 && known_to(so_far, settings.precision);
    };
    while (rounds < settings.repetitions && !settled()) ++rounds;
    std::vector<Speed> speeds;
    for (std::vector<double>& samples : latencies) {
        samples.resize(rounds);
        std::vector<double> of_prompt;
        if (settings.prompt > 0)
            for (const double sample : samples) of_prompt.push_back(5000 / sample);
        speeds.push_back({.latency_ms = summarize(samples), .prompt_tokens_per_second = summarize(of_prompt)});
        speeds.back().latency_ms.raw = samples;
        speeds.back().prompt_tokens_per_second.raw = of_prompt;
        if (!settings.energy) continue;
        const std::vector<double> energies(samples.size(), joules[speeds.size() - 1]);
        speeds.back().energy = {.joules = summarize(energies), .idle_watts = 5, .source = "fake"};
    }
    return speeds;
}

Result<std::vector<WrongType>> FakeRuntime::find_wrong_types(const RunSettings& /*settings*/,
                                                             std::span<const RowFormat> formats)
{
    std::vector<WrongType> found;
    std::ranges::copy_if(wrong, std::back_inserter(found),
                         [&](const WrongType& type) { return std::ranges::contains(formats, type.type, &RowFormat::type); });
    return found;
}

Result<> FakeRuntime::check_energy(const RunSettings& /*run*/)
{
    return world.counts_energy ? Result<>() : fail("energy: nothing on this machine tells it");
}

Result<ContextMemory> FakeRuntime::context_memory(const std::filesystem::path& /*path*/, const RunSettings& settings,
                                                  std::uint64_t length, Monitor& monitor)
{
    ContextMemory memory{.tokens = length, .cache_type_k = settings.cache.keys, .cache_type_v = settings.cache.values};
    if (length == 0) return memory;
    if (auto begun = begin("context", &monitor); !begun) return std::unexpected(begun.error());
    if (settings.cache.keys == world.impossible_cache || settings.cache.values == world.impossible_cache)
        return fail("fake: no KV cache of {}", world.impossible_cache);
    memory.cache_bytes =
        length * (bits_of(settings.cache.keys) > 9 ? 2 : 1) - (bits_of(settings.cache.values) > 9 ? 0 : length / 4);
    memory.buffer_bytes = 10;
    return memory;
}

Result<> FakeRuntime::quantize_stock(const Inventory& source, std::string_view name, const std::filesystem::path& output,
                                     const RunSettings& /*settings*/)
{
    if (auto begun = begin(std::format("stock {}", name)); !begun) return begun;
    const auto type = parse_type(name);
    if (!type) return std::unexpected(type.error());
    Monitor silent;
    const ModelSpec spec{.path = output, .types = assign_types(source, *type, *type).types, .notes = {}};
    return write_models(source, std::span(&spec, 1), {}, 1, silent);
}

Result<> FakeRuntime::begin(std::string call, const Monitor* monitor)
{
    calls.push_back(std::move(call));
    if (calls.size() == faults.fail_at) return fail("fake: {} fails", calls.back());
    if (calls.size() == faults.stop_at) stopping = true;
    if (monitor != nullptr && monitor->stop_requested())
        return std::unexpected(Error{ErrorCode::interrupted, "fake: interrupted"});
    done_.push_back(calls.back());
    return {};
}

double FakeRuntime::figure(double value) const
{
    return calls.size() == faults.nan_at ? std::numeric_limits<double>::quiet_NaN() : value;
}

bool FakeMonitor::stop_requested() const
{
    ++asked;
    return runtime_.stopping || (asked_at > 0 && asked >= asked_at);
}

}  // namespace apreqel
