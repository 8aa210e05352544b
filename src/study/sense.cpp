#include "base/file.h"
#include "quantize/convert.h"
#include "quantize/write_models.h"
#include "runtime/weights.h"
#include "study/study.h"
#include "study/text.h"
#include "study/variants.h"

#include <algorithm>
#include <chrono>
#include <execution>
#include <numeric>
#include <optional>

namespace apreqel {
namespace {

/// About this many weights are converted at a time, by one thread.
constexpr std::int64_t kSlabWeights = 1 << 20;

/// Rows of one tensor, from the source to a type.
struct Slab {
    std::size_t tensor;
    QuantType type;
    std::int64_t first_row;
    std::int64_t rows;
};

/// Probes one layer at a time in one loaded model, whose weights are overwritten by the image of their quantized form and
/// then restored bit by bit.
class Prober {
public:
    Prober(const Study& study, const SenseSettings& settings, LoadedModel model, ModelWeights weights,
           std::vector<InputFile> sources, std::vector<Token> tokens)
        : study_(study),
          settings_(settings),
          model_(std::move(model)),
          weights_(std::move(weights)),
          sources_(std::move(sources)),
          tokens_(std::move(tokens)),
          logits_(study.workspace.path("sense.logits"))
    {
    }
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;
    ~Prober()
    {
        std::error_code ignored;
        std::filesystem::remove(logits_, ignored);
    }

    /// The full-precision model's logits, which every probe is compared with.
    Result<> record()
    {
        const auto recorded = record_reference(model_, tokens_, quality(0), logits_, "sense", unseen_);
        return recorded ? Result<>() : std::unexpected(recorded.error());
    }

    /// KL divergence with `tensors` in `types`.
    Result<Probe> probe(std::span<const std::size_t> tensors, std::span<const QuantType> types)
    {
        Probe probe;
        auto error = squared_error(tensors, types, true);
        if (!error) return std::unexpected(error.error());
        probe.squared_error = *error;
        auto measured = measure();
        if (auto restored = restore(tensors); !restored) return std::unexpected(restored.error());
        if (!measured) return std::unexpected(measured.error());
        probe.measured = true;
        probe.kld = std::max(measured->kld, 0.0);
        probe.kld_error = measured->kld_error;
        probe.tokens = measured->kld_tokens;
        return probe;
    }

    /// KL divergence as the weights stand.
    Result<Quality> measure()
    {
        return evaluate_quality(model_, tokens_, quality(settings_.precision), logits_, "sense", unseen_);
    }

    /// Σ‖W − Ŵ‖² / Σ‖W‖²; `apply`: and the weights become their image Ŵ.
    Result<double> squared_error(std::span<const std::size_t> tensors, std::span<const QuantType> types, bool apply)
    {
        const std::vector<Slab> slabs = cut(tensors, types);
        std::vector<RowConverter::Distortion> distortions(slabs.size());
        std::vector<std::optional<Error>> errors(slabs.size());
        std::vector<std::size_t> all(slabs.size());
        std::iota(all.begin(), all.end(), 0);
        std::for_each(std::execution::par, all.begin(), all.end(), [&](std::size_t s) {
            if (auto done = convert(slabs[s], distortions[s], apply); !done) errors[s] = done.error();
        });
        for (const auto& error : errors)
            if (error) return std::unexpected(*error);
        RowConverter::Distortion sum;
        for (const auto& distortion : distortions) {
            sum.error += distortion.error;
            sum.energy += distortion.energy;
        }
        return sum.energy > 0 ? sum.error / sum.energy : 0;
    }

private:
    [[nodiscard]] QualitySettings quality(double precision) const
    {
        return {.context = study_.settings.quality.context,
                .chunks = settings_.chunks,
                .kld_chunks = settings_.chunks,
                .kld_precision = precision};
    }

    [[nodiscard]] const Tensor& tensor(std::size_t t) const { return study_.inventory.tensors[t]; }

    [[nodiscard]] std::vector<Slab> cut(std::span<const std::size_t> tensors, std::span<const QuantType> types) const
    {
        std::vector<Slab> slabs;
        for (const std::size_t t : tensors) {
            if (types[t] == tensor(t).type) continue;
            const std::int64_t step = std::max<std::int64_t>(1, kSlabWeights / tensor(t).columns());
            for (std::int64_t row = 0; row < tensor(t).rows(); row += step)
                slabs.push_back({t, types[t], row, std::min(step, tensor(t).rows() - row)});
        }
        return slabs;
    }

    Result<> convert(const Slab& slab, RowConverter::Distortion& distortion, bool apply)
    {
        const Tensor& from = tensor(slab.tensor);
        const std::uint64_t row = row_bytes(from.type, from.columns());
        const std::uint64_t offset = static_cast<std::uint64_t>(slab.first_row) * row;
        std::vector<std::byte> stored(static_cast<std::size_t>(slab.rows) * row);
        if (auto read = sources_[from.file].read_at(from.offset + offset, stored); !read) return read;
        RowConverter converter;
        if (auto loaded = converter.load(from, stored, slab.first_row, slab.rows); !loaded) return loaded;
        const auto image = converter.image(slab.type, distortion);
        if (!image) return std::unexpected(image.error());
        if (apply) weights_.write(from.name, offset, *image);
        return {};
    }

    Result<> restore(std::span<const std::size_t> tensors)
    {
        for (const std::size_t t : tensors) {
            std::vector<std::byte> stored(tensor(t).size_bytes);
            if (auto read = sources_[tensor(t).file].read_at(tensor(t).offset, stored); !read) return read;
            weights_.write(tensor(t).name, 0, stored);
        }
        return {};
    }

    /// Asks to stop where the study's monitor does, and shows nothing: a probe is a unit of its own step.
    struct Quiet : Monitor {
        explicit Quiet(const Monitor& watched) : watched_(watched) {}
        [[nodiscard]] bool stop_requested() const override { return watched_.stop_requested(); }
        const Monitor& watched_;
    };

    const Study& study_;
    SenseSettings settings_;
    LoadedModel model_;
    ModelWeights weights_;
    std::vector<InputFile> sources_;
    std::vector<Token> tokens_;
    std::filesystem::path logits_;
    Quiet unseen_{study_.monitor};
};

/// Everything but the probes.
Sensitivity outline(const Study& study)
{
    const Inventory& inventory = study.inventory;
    Sensitivity sensitivity{.model = inventory.fingerprint,
                            .model_name = inventory.name,
                            .text = text_source(study),
                            .version = tool_version(),
                            .embedding_type = type_name(study.settings.embedding_type),
                            .types = {},
                            .layers = {},
                            .separability = {}};
    for (const Layer& layer : inventory.layers) {
        sensitivity.layers.push_back({.layer = layer.name, .parameters = layer.parameters, .probes = {}});
    }
    for (const QuantType type : study.settings.types) {
        sensitivity.types.push_back(type_name(type));
        const std::vector<QuantType> types = assign_types(inventory, type, study.settings.embedding_type).types;
        std::uint64_t in_layers = 0;
        for (std::size_t l = 0; l < inventory.layers.size(); ++l) {
            Probe probe;
            for (const std::size_t t : inventory.layers[l].tensors) {
                const Tensor& tensor = inventory.tensors[t];
                probe.memory_bytes += static_cast<std::uint64_t>(tensor.rows()) * row_bytes(types[t], tensor.columns());
            }
            in_layers += probe.memory_bytes;
            sensitivity.layers[l].probes.push_back(probe);
        }
        sensitivity.fixed_bytes = tensor_bytes(inventory, types) - in_layers;
    }
    // Keys and values have as many columns as their projections have rows; a fused projection has those of the queries too,
    // which are as wide as the model.
    for (const Tensor& tensor : inventory.tensors) {
        if (tensor.place != TensorPlace::layer) continue;
        std::int64_t columns = 0;
        if (tensor.role == "attn_k" || tensor.role == "attn_v") columns = tensor.rows();
        if (tensor.role == "attn_qkv") columns = tensor.rows() - tensor.columns();
        sensitivity.kv_bytes_per_token += 2 * static_cast<std::uint64_t>(std::max<std::int64_t>(columns, 0));
    }
    return sensitivity;
}

/// Takes what an earlier run with the same key measured, and its other types whole.
void take_over(const Sensitivity& earlier, Sensitivity& sensitivity)
{
    if (earlier.layers.size() != sensitivity.layers.size()) return;
    sensitivity.embedding_kld = earlier.embedding_kld;
    sensitivity.noise_floor = earlier.noise_floor;
    sensitivity.separability = earlier.separability;
    for (std::size_t from = 0; from < earlier.types.size(); ++from) {
        const auto place = std::ranges::find(sensitivity.types, earlier.types[from]);
        const auto to = static_cast<std::size_t>(place - sensitivity.types.begin());
        if (place == sensitivity.types.end()) sensitivity.types.push_back(earlier.types[from]);
        for (std::size_t l = 0; l < sensitivity.layers.size(); ++l) {
            auto& probes = sensitivity.layers[l].probes;
            if (to == probes.size()) probes.emplace_back();
            if (!probes[to].measured) probes[to] = earlier.layers[l].probes[from];
        }
    }
}

/// Layer and type of every probe, in the order they are made: each type through all layers, so that a budget that ends
/// early leaves every layer with a measurement; the least precise types first, as they tell most. `fast`: two types.
std::vector<std::pair<std::size_t, std::size_t>> probe_order(const Study& study, bool fast)
{
    std::vector<std::size_t> types(study.settings.types.size());
    std::iota(types.begin(), types.end(), 0);
    std::ranges::stable_sort(types, {}, [&](std::size_t q) { return bits_per_weight(study.settings.types[q]); });
    if (fast && types.size() > 2) types = {types.front(), types[types.size() / 2]};
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (const std::size_t q : types)
        for (std::size_t l = 0; l < study.inventory.layers.size(); ++l) order.emplace_back(l, q);
    return order;
}

}  // namespace

Result<Sensitivity> sense(const Study& study, const SenseSettings& settings)
{
    const Inventory& inventory = study.inventory;
    if (auto precise = check_full_precision(inventory); !precise) return std::unexpected(precise.error());
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());

    Sensitivity sensitivity = outline(study);
    const std::string key = std::format("model {}, text {}, context {}, chunks {}, precision {}, embedding {}, {}",
                                        inventory.fingerprint, digest({*text}), study.settings.quality.context, settings.chunks,
                                        settings.precision, sensitivity.embedding_type, backend_version()) +
                            importance_key(inventory);
    const auto path = study.workspace.path("sensitivity.json");
    const auto partial = study.workspace.keyed("sense/probes.json", key);
    const auto order = probe_order(study, settings.fast);
    if (!study.settings.remeasure) {
        for (const auto& file : {path, partial}) {
            if (read_key(file) != key) continue;
            if (const auto kept = read_sensitivity(file)) take_over(*kept, sensitivity);
        }
    }
    const auto measured = [&](std::size_t l, std::size_t q) { return sensitivity.layers[l].probes[q].measured; };
    const bool complete = std::ranges::all_of(order, [&](const auto& probe) { return measured(probe.first, probe.second); });
    const bool known = std::ranges::all_of(sensitivity.layers, [&](const LayerSensitivity& layer) {
        return std::ranges::all_of(layer.probes, [](const Probe& probe) { return probe.squared_error > 0; });
    });
    if (complete && known) return sensitivity;

    auto model = LoadedModel::load(study.model(), study.settings.run, WeightAccess::writable);
    if (!model) return std::unexpected(model.error());
    const auto tokens = model->tokenize(*text);
    if (!tokens) return std::unexpected(tokens.error());
    std::vector<Tensor> wanted;
    std::vector<std::size_t> embeddings;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        if (inventory.tensors[t].place == TensorPlace::fixed) continue;
        wanted.push_back(inventory.tensors[t]);
        if (inventory.tensors[t].place == TensorPlace::embedding) embeddings.push_back(t);
    }
    auto weights = ModelWeights::find(*model, wanted);
    if (!weights) return std::unexpected(weights.error());
    std::vector<InputFile> sources;
    for (const auto& file : inventory.files) {
        auto opened = InputFile::open(file);
        if (!opened) return std::unexpected(opened.error());
        sources.push_back(std::move(*opened));
    }
    Prober prober(study, settings, std::move(*model), std::move(*weights), std::move(sources), *tokens);

    const auto start = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 60; };
    study.monitor.begin("sensitivity", static_cast<double>(order.size() + 2));
    if (auto recorded = prober.record(); !recorded) return std::unexpected(recorded.error());
    const auto unchanged = prober.measure();
    if (!unchanged) return std::unexpected(unchanged.error());
    sensitivity.noise_floor = unchanged->kld;
    study.monitor.advance(1);
    std::vector<std::vector<QuantType>> types;
    for (const QuantType type : study.settings.types)
        types.push_back(assign_types(inventory, type, study.settings.embedding_type).types);
    const auto embedding = prober.probe(embeddings, types.front());
    if (!embedding) return std::unexpected(embedding.error());
    sensitivity.embedding_kld = embedding->kld;
    std::size_t done = 2;
    std::size_t left_out = 0;
    for (const auto& [l, q] : order) {
        study.monitor.advance(static_cast<double>(done++));
        if (measured(l, q)) continue;
        if (settings.minutes > 0 && spent() > settings.minutes) {
            ++left_out;
            continue;
        }
        auto probe = prober.probe(inventory.layers[l].tensors, types[q]);
        if (!probe) return std::unexpected(probe.error());
        probe->memory_bytes = sensitivity.layers[l].probes[q].memory_bytes;
        sensitivity.layers[l].probes[q] = *probe;
        if (auto written = write_text(partial, to_json(sensitivity, key)); !written) return std::unexpected(written.error());
    }
    for (std::size_t l = 0; l < inventory.layers.size(); ++l) {
        for (std::size_t q = 0; q < types.size(); ++q) {
            if (measured(l, q)) continue;
            const auto error = prober.squared_error(inventory.layers[l].tensors, types[q], false);
            if (!error) return std::unexpected(error.error());
            sensitivity.layers[l].probes[q].squared_error = *error;
        }
    }
    if (auto filled = fill_in(sensitivity); !filled) return std::unexpected(filled.error());
    study.monitor.end(std::format("{} probes", order.size() - left_out));
    if (left_out > 0)
        study.monitor.warn(std::format("sense: {} probes are filled in, the time was up; the same command goes on", left_out));
    if (auto written = write_text(path, to_json(sensitivity, key)); !written) return std::unexpected(written.error());
    return sensitivity;
}

}  // namespace apreqel
