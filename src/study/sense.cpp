#include "base/file.h"
#include "quantize/convert.h"
#include "quantize/write_models.h"
#include "runtime/weights.h"
#include "model/readiness.h"
#include "quantize/check_weights.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>
#include <chrono>
#include <execution>
#include <memory>
#include <numeric>
#include <optional>

namespace apreqel {
namespace {

/// About this many weights are converted at a time, by one thread.
constexpr std::int64_t kSlabWeights = 1 << 20;

/// Rows of one tensor, to be quantized.
struct Slab {
    std::size_t tensor;
    QuantType type;
    const TensorOrigin* origin;
    std::int64_t first_row;
    std::int64_t rows;
};

/// Probes one layer at a time in one loaded model, whose weights are overwritten by the image of their quantized form and
/// then restored bit by bit.
class Prober {
public:
    /// Loads the model with its weights to be overwritten.
    static Result<std::unique_ptr<Prober>> open(const Study& study, const SenseSettings& settings,
                                                const std::vector<TensorGroup>& groups, const std::string& text)
    {
        auto model = LoadedModel::load(study.model(), study.settings.run, WeightAccess::writable);
        if (!model) return std::unexpected(model.error());
        auto tokens = model->tokenize(text);
        if (!tokens) return std::unexpected(tokens.error());
        std::vector<Tensor> wanted;
        for (const TensorGroup& group : groups)
            for (const std::size_t t : group.tensors) wanted.push_back(study.inventory.tensors[t]);
        auto weights = ModelWeights::find(*model, wanted);
        if (!weights) return std::unexpected(weights.error());
        std::vector<InputFile> sources;
        for (const auto& file : study.inventory.files) {
            auto opened = InputFile::open(file);
            if (!opened) return std::unexpected(opened.error());
            sources.push_back(std::move(*opened));
        }
        return std::make_unique<Prober>(study, settings, std::move(*model), std::move(*weights), std::move(sources),
                                        std::move(*tokens));
    }

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

    /// KL divergence with `tensors` as assigned.
    Result<Probe> probe(std::span<const std::size_t> tensors, const TypeAssignment& assignment)
    {
        Probe probe;
        auto error = squared_error(tensors, assignment, true);
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
    Result<double> squared_error(std::span<const std::size_t> tensors, const TypeAssignment& assignment, bool apply)
    {
        const std::vector<Slab> slabs = cut(tensors, assignment);
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

    [[nodiscard]] std::vector<Slab> cut(std::span<const std::size_t> tensors, const TypeAssignment& assignment) const
    {
        std::vector<Slab> slabs;
        for (const std::size_t t : tensors) {
            const TensorOrigin& origin = assignment.origins[t];
            if (assignment.types[t] == tensor(t).type && !origin.foreign) continue;
            const std::int64_t step = std::max<std::int64_t>(1, kSlabWeights / tensor(t).columns());
            for (std::int64_t row = 0; row < tensor(t).rows(); row += step)
                slabs.push_back({t, assignment.types[t], &origin, row, std::min(step, tensor(t).rows() - row)});
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
        const auto image = slab.origin->foreign ? foreign_image(slab, converter, distortion)
                                                : converter.image(slab.type, slab.origin->importance, distortion);
        if (!image) return std::unexpected(image.error());
        if (apply) weights_.write(from.name, offset, *image);
        return {};
    }

    Result<std::span<const std::byte>> foreign_image(const Slab& slab, RowConverter& converter,
                                                     RowConverter::Distortion& distortion) const
    {
        const Inventory& foreign = *slab.origin->foreign;
        const Tensor& other = *std::ranges::find(foreign.tensors, tensor(slab.tensor).name, &Tensor::name);
        const auto file = InputFile::open(foreign.files[other.file]);
        if (!file) return std::unexpected(file.error());
        const std::uint64_t row = row_bytes(slab.type, other.columns());
        std::vector<std::byte> quantized(static_cast<std::size_t>(slab.rows) * row);
        if (auto read = file->read_at(other.offset + static_cast<std::uint64_t>(slab.first_row) * row, quantized); !read)
            return std::unexpected(read.error());
        return converter.image_of(slab.type, quantized, distortion);
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

/// What is probed in every type: the model's groups, and after them the embedding.
std::vector<TensorGroup> probed_groups(const Inventory& inventory, Granularity granularity)
{
    std::vector<TensorGroup> groups = layer_groups(inventory, granularity);
    groups.push_back(embedding_group(inventory));
    return groups;
}

/// What is known of a probed group.
LayerSensitivity& group_of(Sensitivity& sensitivity, std::size_t group)
{
    return group < sensitivity.layers.size() ? sensitivity.layers[group] : sensitivity.embedding;
}

/// The model with all its groups in `variant`, the embedding too.
TypeAssignment assign_all(const Inventory& inventory, const std::vector<TensorGroup>& groups, const Variant& variant)
{
    std::vector<GroupVariant> all;
    for (const TensorGroup& group : groups) {
        const bool ours = group.name != kEmbedding || !variant.foreign;
        if (ours) all.push_back({group, variant});
    }
    return assign_types(inventory, all);
}

/// Everything but the probes.
Sensitivity outline(const Study& study, const std::vector<TensorGroup>& groups)
{
    const Inventory& inventory = study.inventory;
    Sensitivity sensitivity{.model = inventory.fingerprint,
                            .model_name = inventory.name,
                            .text = calibration_source(study),
                            .version = tool_version(),
                            .embedding_type = type_name(study.settings.embedding_type),
                            .types = {},
                            .layers = {},
                            .separability = {}};
    for (const TensorGroup& group : groups)
        sensitivity.layers.push_back({.layer = group.name, .parameters = group.parameters, .probes = {}});
    sensitivity.embedding = std::move(sensitivity.layers.back());
    sensitivity.layers.pop_back();
    const auto bytes_of = [&](const TensorGroup& group, const std::vector<QuantType>& types) {
        std::uint64_t bytes = 0;
        for (const std::size_t t : group.tensors) {
            const Tensor& tensor = inventory.tensors[t];
            bytes += static_cast<std::uint64_t>(tensor.rows()) * row_bytes(types[t], tensor.columns());
        }
        return bytes;
    };
    for (const Variant& variant : study.settings.types) {
        sensitivity.types.push_back(variant.name);
        const std::vector<QuantType> types = assign_all(inventory, groups, variant).types;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            Probe probe;
            const bool possible = groups[g].name != kEmbedding || !variant.foreign;
            if (possible) probe.memory_bytes = bytes_of(groups[g], types);
            group_of(sensitivity, g).probes.push_back(probe);
        }
    }
    const QuantType embedding = study.settings.embedding_type;
    const std::vector<QuantType> types = assign_types(inventory, embedding, embedding).types;
    sensitivity.embedding_bytes = bytes_of(groups.back(), types);
    sensitivity.fixed_bytes = tensor_bytes(inventory, types);
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) sensitivity.fixed_bytes -= bytes_of(groups[g], types);
    if (const auto readiness = readiness_of(inventory))
        sensitivity.kv_bytes_per_token = readiness->kv_bytes_per_token.value_or(0);
    return sensitivity;
}

/// Takes what an earlier run with the same key measured, and its other types whole.
void take_over(Sensitivity& earlier, Sensitivity& sensitivity)
{
    if (earlier.layers.size() != sensitivity.layers.size()) return;
    sensitivity.embedding_kld = earlier.embedding_kld;
    sensitivity.noise_floor = earlier.noise_floor;
    sensitivity.separability = earlier.separability;
    for (std::size_t from = 0; from < earlier.types.size(); ++from) {
        const auto place = std::ranges::find(sensitivity.types, earlier.types[from]);
        const auto to = static_cast<std::size_t>(place - sensitivity.types.begin());
        if (place == sensitivity.types.end()) sensitivity.types.push_back(earlier.types[from]);
        for (std::size_t g = 0; g <= sensitivity.layers.size(); ++g) {
            auto& probes = group_of(sensitivity, g).probes;
            if (to == probes.size()) probes.emplace_back();
            if (!probes[to].measured && from < group_of(earlier, g).probes.size())
                probes[to] = group_of(earlier, g).probes[from];
        }
    }
}

/// Group and type of a probe.
struct Place {
    std::size_t group;
    std::size_t type;
};

/// Every probe in the order they are made: each type through all groups, so that a budget that ends early leaves every group
/// with a measurement; the least precise types first, as they tell most. `fast`: two types.
std::vector<Place> probe_order(const Study& study, std::size_t groups, bool fast)
{
    std::vector<std::size_t> types(study.settings.types.size());
    std::iota(types.begin(), types.end(), 0);
    std::ranges::stable_sort(types, {}, [&](std::size_t q) { return bits_per_weight(study.settings.types[q]); });
    if (fast && types.size() > 2) types = {types.front(), types[types.size() / 2]};
    std::vector<Place> order;
    for (const std::size_t q : types)
        for (std::size_t g = 0; g < groups; ++g) order.push_back({g, q});
    return order;
}

}  // namespace

Result<Sensitivity> sense(const Study& study, const SenseSettings& settings)
{
    const Inventory& inventory = study.inventory;
    if (auto precise = check_full_precision(inventory); !precise) return std::unexpected(precise.error());
    if (auto ready = check_ready(inventory, "sense", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (auto finite = check_weights(inventory, thread_count(study.settings.run), study.monitor); !finite)
        return std::unexpected(finite.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());

    const std::vector<TensorGroup> groups = probed_groups(inventory, settings.granularity);
    Sensitivity sensitivity = outline(study, groups);
    std::string key =
        std::format("model {}, text {}, context {}, chunks {}, precision {}, embedding {}, granularity {}, {}",
                    inventory.fingerprint, digest({*text}), study.settings.quality.context, settings.chunks, settings.precision,
                    sensitivity.embedding_type, static_cast<int>(settings.granularity), backend_version());
    for (const Variant& variant : study.settings.types) key += variant_key(inventory, variant);
    const auto path = study.workspace.path("sensitivity.json");
    const auto partial = study.workspace.keyed("sense/probes.json", key);
    auto order = probe_order(study, groups.size(), settings.fast);
    const auto possible = [&](std::size_t g, std::size_t q) { return group_of(sensitivity, g).probes[q].memory_bytes > 0; };
    std::erase_if(order, [&](const Place& place) { return !possible(place.group, place.type); });
    if (!study.settings.remeasure) {
        for (const auto& file : {path, partial}) {
            if (read_key(file) != key) continue;
            if (auto kept = read_sensitivity(file)) take_over(*kept, sensitivity);
        }
    }
    const auto probe_at = [&](std::size_t g, std::size_t q) -> Probe& { return group_of(sensitivity, g).probes[q]; };
    const bool complete =
        std::ranges::all_of(order, [&](const Place& place) { return probe_at(place.group, place.type).measured; });
    bool known = true;
    for (std::size_t g = 0; g < groups.size(); ++g)
        for (std::size_t q = 0; q < sensitivity.types.size(); ++q)
            known = known && (!possible(g, q) || probe_at(g, q).squared_error > 0);
    if (complete && known) {
        if (auto written = write_text(path, to_json(sensitivity, key)); !written) return std::unexpected(written.error());
        return sensitivity;
    }

    const auto opened = Prober::open(study, settings, groups, *text);
    if (!opened) return std::unexpected(opened.error());
    Prober& prober = **opened;

    const auto start = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 60; };
    study.monitor.begin("sensitivity", static_cast<double>(order.size() + 2));
    if (auto recorded = prober.record(); !recorded) return std::unexpected(recorded.error());
    const auto unchanged = prober.measure();
    if (!unchanged) return std::unexpected(unchanged.error());
    sensitivity.noise_floor = unchanged->kld;
    study.monitor.advance(1);
    std::vector<TypeAssignment> assignments;
    for (const Variant& variant : study.settings.types) assignments.push_back(assign_all(inventory, groups, variant));
    const QuantType fixed = study.settings.embedding_type;
    const auto embedding = prober.probe(groups.back().tensors, assign_types(inventory, fixed, fixed));
    if (!embedding) return std::unexpected(embedding.error());
    sensitivity.embedding_kld = embedding->kld;
    std::size_t done = 2;
    std::size_t left_out = 0;
    for (const auto& [g, q] : order) {
        study.monitor.advance(static_cast<double>(done++));
        if (probe_at(g, q).measured) continue;
        if (settings.minutes > 0 && spent() > settings.minutes) {
            ++left_out;
            continue;
        }
        auto probe = prober.probe(groups[g].tensors, assignments[q]);
        if (!probe) return std::unexpected(probe.error());
        probe->memory_bytes = probe_at(g, q).memory_bytes;
        probe_at(g, q) = *probe;
        if (auto written = write_text(partial, to_json(sensitivity, key)); !written) return std::unexpected(written.error());
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
        for (std::size_t q = 0; q < assignments.size(); ++q) {
            if (probe_at(g, q).measured || !possible(g, q)) continue;
            const auto error = prober.squared_error(groups[g].tensors, assignments[q], false);
            if (!error) return std::unexpected(error.error());
            probe_at(g, q).squared_error = *error;
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
