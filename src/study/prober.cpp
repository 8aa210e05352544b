#include "study/prober.h"

#include <algorithm>
#include <execution>
#include <numeric>
#include <optional>

namespace apreqel {
namespace {

/// About this many weights are converted at a time, by one thread.
constexpr std::int64_t kSlabWeights = 1 << 20;

}  // namespace

Result<std::unique_ptr<Prober>> Prober::open(const Study& study, const SenseSettings& settings, std::span<const Group> groups,
                                             const std::string& text, std::filesystem::path logits, std::string identity)
{
    auto model = study.runtime->load(study.model(), study.settings.run, WeightAccess::writable);
    if (!model) return std::unexpected(model.error());
    auto tokens = (*model)->tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    std::vector<Tensor> wanted;
    for (const Group& group : groups)
        for (const std::size_t t : group.tensors) wanted.push_back(study.inventory.tensors[t]);
    if (auto found = (*model)->find_weights(wanted, study.monitor); !found) return std::unexpected(found.error());
    std::vector<InputFile> sources;
    for (const auto& file : study.inventory.files) {
        auto opened = InputFile::open(file);
        if (!opened) return std::unexpected(opened.error());
        sources.push_back(std::move(*opened));
    }
    return std::unique_ptr<Prober>(new Prober(study, settings, std::move(*model), std::move(sources), std::move(*tokens),
                                              std::move(logits), std::move(identity)));
}

Prober::Prober(const Study& study, const SenseSettings& settings, std::unique_ptr<RunnableModel> model,
               std::vector<InputFile> sources, std::vector<Token> tokens, std::filesystem::path logits, std::string identity)
    : study_(study),
      settings_(settings),
      model_(std::move(model)),
      sources_(std::move(sources)),
      tokens_(std::move(tokens)),
      logits_(std::move(logits)),
      identity_(std::move(identity))
{
}

Prober::~Prober()
{
    std::error_code ignored;
    std::filesystem::remove(logits_, ignored);
}

Result<> Prober::record()
{
    const auto recorded = model_->record_reference(tokens_, quality(), logits_, identity_, unseen_);
    return recorded ? check_figures(reference_name(study_), {recorded->perplexity}) : std::unexpected(recorded.error());
}

Result<Probe> Prober::probe(std::span<const std::size_t> tensors, const TypeAssignment& assignment)
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

Result<Quality> Prober::measure()
{
    auto measured = model_->evaluate_quality(tokens_, quality(), logits_, identity_, unseen_);
    if (!measured) return measured;
    if (auto finite = check_figures("a probe", {measured->kld, measured->kld_error}); !finite)
        return std::unexpected(finite.error());
    return measured;
}

Result<double> Prober::squared_error(std::span<const std::size_t> tensors, const TypeAssignment& assignment, bool apply)
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

QualitySettings Prober::quality() const
{
    return {.context = study_.settings.quality.context, .chunks = settings_.chunks, .kld_chunks = settings_.chunks};
}

std::vector<Prober::Slab> Prober::cut(std::span<const std::size_t> tensors, const TypeAssignment& assignment) const
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

Result<> Prober::convert(const Slab& slab, RowConverter::Distortion& distortion, bool apply)
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
    if (apply) model_->overwrite(from.name, offset, *image);
    return {};
}

Result<std::span<const std::byte>> Prober::foreign_image(const Slab& slab, RowConverter& converter,
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

Result<> Prober::restore(std::span<const std::size_t> tensors)
{
    for (const std::size_t t : tensors) {
        std::vector<std::byte> stored(tensor(t).size_bytes);
        if (auto read = sources_[tensor(t).file].read_at(tensor(t).offset, stored); !read) return read;
        model_->overwrite(tensor(t).name, 0, stored);
    }
    return {};
}

}  // namespace apreqel
