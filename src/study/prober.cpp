#include "study/prober.h"

#include <algorithm>
#include <execution>
#include <numeric>
#include <optional>

namespace apreqel {
namespace {

/// Rows of a tensor that its errors are taken from, where not from all.
constexpr std::int64_t kSampledWeights = 1 << 15;
constexpr std::int64_t kSampledRows = 16;
constexpr std::int64_t kSampledPieces = 4;

Result<std::vector<InputFile>> open_files(const Inventory& inventory)
{
    std::vector<InputFile> files;
    for (const auto& file : inventory.files) {
        auto opened = InputFile::open(file);
        if (!opened) return std::unexpected(opened.error());
        files.push_back(std::move(*opened));
    }
    return files;
}

/// Reads rows of a tensor, stored as `type`.
Result<std::vector<std::byte>> read_rows(const InputFile& file, const Tensor& tensor, const RowRange& rows)
{
    const std::uint64_t row = row_bytes(tensor.type, tensor.columns());
    std::vector<std::byte> stored(static_cast<std::size_t>(rows.count) * row);
    if (auto read = file.read_at(tensor.offset + static_cast<std::uint64_t>(rows.first) * row, stored); !read)
        return std::unexpected(read.error());
    return stored;
}

/// The rows that `converter` has loaded from `stored` as they are after quantization, stored as `form`. A tensor that keeps its type
/// stays as it is: quantized once more, it could differ.
Result<std::span<const std::byte>> image(const Tensor& tensor, const RowRange& rows, std::span<const std::byte> stored,
                                         QuantType type, const TensorOrigin& origin, QuantType form, RowConverter& converter,
                                         RowConverter::Distortion& distortion)
{
    if (is_rounded_with_feedback(tensor, type, origin)) return converter.image_with_feedback(type, form, distortion);
    if (!origin.foreign && type == tensor.type) return converter.image_of(type, stored, form, distortion);
    if (!origin.foreign) return converter.image(type, origin.importance, form, distortion);
    const Tensor& other = *std::ranges::find(origin.foreign->tensors, tensor.name, &Tensor::name);
    const auto file = InputFile::open(origin.foreign->files[other.file]);
    if (!file) return std::unexpected(file.error());
    const auto quantized = read_rows(*file, other, rows);
    if (!quantized) return std::unexpected(quantized.error());
    return converter.image_of(type, *quantized, form, distortion);
}

/// Sequences of `length` tokens from places of the text that are evenly spaced.
std::vector<std::vector<Token>> cut_sequences(std::span<const Token> tokens, std::size_t count, std::size_t length)
{
    length = std::min(length, tokens.size());
    std::vector<std::vector<Token>> sequences;
    for (std::size_t s = 0; s < count; ++s) {
        const auto piece = tokens.subspan(count > 1 ? s * (tokens.size() - length) / (count - 1) : 0, length);
        sequences.emplace_back(piece.begin(), piece.end());
    }
    return sequences;
}

Result<RowConverter::Distortion> sampled_distortion(const Tensor& tensor, std::size_t t, const InputFile& file,
                                                    const TypeAssignment& assignment)
{
    RowConverter::Distortion sum;
    const std::int64_t rows =
        std::min(tensor.rows(), std::max(kSampledRows, kSampledWeights / std::max<std::int64_t>(1, tensor.columns())));
    // To round one row with error feedback takes as long as to round many: so they are together in a few places.
    const std::int64_t pieces = tensor.hessian ? std::min(rows, kSampledPieces) : rows;
    const QuantType form = *parse_type("f32");  // what is stored is of no interest
    RowConverter converter;
    for (std::int64_t p = 0; p < pieces; ++p) {
        const std::int64_t count = (p + 1) * rows / pieces - p * rows / pieces;
        const RowRange piece{t, p * tensor.rows() / pieces, count};
        const auto stored = read_rows(file, tensor, piece);
        if (!stored) return std::unexpected(stored.error());
        if (auto loaded = converter.load(tensor, *stored, piece.first, count); !loaded) return std::unexpected(loaded.error());
        RowConverter::Distortion of_piece;
        const auto made = image(tensor, piece, *stored, assignment.types[t], assignment.origins[t], form, converter, of_piece);
        if (!made) return std::unexpected(made.error());
        if (tensor.hessian)
            if (auto weighed = converter.weigh_by_output(of_piece); !weighed) return std::unexpected(weighed.error());
        sum += of_piece;
    }
    // As much as all rows would weigh: tensors of a group are not sampled alike.
    const double share = static_cast<double>(tensor.rows()) / static_cast<double>(rows);
    return RowConverter::Distortion{sum.error * share, sum.energy * share, sum.weighted_error * share,
                                    sum.weighted_energy * share};
}

}  // namespace

Result<std::unique_ptr<Prober>> Prober::open(const Study& study, Probing probing, const std::string& text)
{
    auto model = load_in_form(study, probing.form);
    if (!model) return std::unexpected(model.error());
    auto tokens = (*model)->tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    auto sources = open_files(study.inventory);
    if (!sources) return std::unexpected(sources.error());
    return std::unique_ptr<Prober>(
        new Prober(study, std::move(probing), std::move(*model), std::move(*sources), std::move(*tokens)));
}

Prober::Prober(const Study& study, Probing probing, std::unique_ptr<RunnableModel> model, std::vector<InputFile> sources,
               std::vector<Token> tokens)
    : study_(study),
      probing_(std::move(probing)),
      model_(std::move(model)),
      sources_(std::move(sources)),
      tokens_(std::move(tokens))
{
}

Prober::~Prober()
{
    std::error_code ignored;
    std::filesystem::remove(probing_.reference, ignored);
}

Result<> Prober::record()
{
    const auto& [count, length] = probing_.sequences;
    if (count > 0) return model_->record_probe(cut_sequences(tokens_, 2 * count, length), unseen_);
    const auto recorded = model_->record_reference(tokens_, quality(), probing_.reference, probing_.identity, unseen_);
    return recorded ? check_figures(reference_name(study_), {recorded->perplexity}) : std::unexpected(recorded.error());
}

Result<Probe> Prober::probe(std::span<const std::size_t> tensors, const TypeAssignment& assignment, bool again)
{
    Probe probe;
    std::vector<Slab> slabs = cut(tensors, assignment);
    const auto error = convert(slabs, true);
    if (!error) return std::unexpected(error.error());
    if (error->energy > 0) probe.squared_error = error->error / error->energy;
    const auto measured = measure(again ? probing_.sequences.count : 0, probing_.sequences.count);
    for (const Slab& slab : slabs) {
        const std::uint64_t row = row_bytes(probing_.form, tensor(slab.rows.tensor).columns());
        model_->overwrite(tensor(slab.rows.tensor).name, static_cast<std::uint64_t>(slab.rows.first) * row, slab.original);
    }
    if (!measured) return std::unexpected(measured.error());
    probe.measured = true;
    probe.kld = std::max(measured->kld, 0.0);
    probe.kld_error = measured->kld_error;
    probe.tokens = measured->tokens;
    return probe;
}

Result<Divergence> Prober::measure_unchanged() { return measure(0, std::min<std::size_t>(probing_.sequences.count, 1)); }

Result<Divergence> Prober::measure_cache(const CacheTypes& cache)
{
    auto compared = model_->compare_probe(0, 2 * probing_.sequences.count, cache);
    if (!compared) return compared;
    if (auto finite = check_figures("a KV cache", {compared->kld, compared->kld_error}); !finite)
        return std::unexpected(finite.error());
    return compared;
}

Result<Divergence> Prober::measure(std::size_t first, std::size_t count)
{
    Divergence divergence;
    if (count > 0) {
        auto compared = model_->compare_probe(first, count, {});
        if (!compared) return compared;
        divergence = *compared;
    } else {
        const auto measured = model_->evaluate_quality(tokens_, quality(), probing_.reference, probing_.identity, unseen_);
        if (!measured) return std::unexpected(measured.error());
        divergence = {.kld = measured->kld, .kld_error = measured->kld_error, .tokens = measured->kld_tokens};
    }
    if (auto finite = check_figures("a probe", {divergence.kld, divergence.kld_error}); !finite)
        return std::unexpected(finite.error());
    return divergence;
}

Result<RowConverter::Distortion> Prober::distortion(std::span<const std::size_t> tensors, const TypeAssignment& assignment)
{
    std::vector<Slab> slabs = cut(tensors, assignment);
    return convert(slabs, false);
}

Result<RowConverter::Distortion> Prober::convert(std::vector<Slab>& slabs, bool apply)
{
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
    for (const auto& distortion : distortions) sum += distortion;
    return sum;
}

QualitySettings Prober::quality() const
{
    return {.context = study_.settings.quality.context, .chunks = probing_.chunks, .kld_chunks = probing_.chunks};
}

std::vector<Prober::Slab> Prober::cut(std::span<const std::size_t> tensors, const TypeAssignment& assignment) const
{
    std::vector<Slab> slabs;
    for (const RowRange& rows : cut_rows(study_.inventory, tensors))
        slabs.push_back({rows, assignment.types[rows.tensor], &assignment.origins[rows.tensor]});
    return slabs;
}

Result<> Prober::convert(Slab& slab, RowConverter::Distortion& distortion, bool apply)
{
    const Tensor& from = tensor(slab.rows.tensor);
    auto stored = read_rows(sources_[from.file], from, slab.rows);
    if (!stored) return std::unexpected(stored.error());
    const std::span<const std::byte> bytes(*stored);  // stay where they are when they are moved
    RowConverter converter;
    if (auto loaded = converter.load(from, bytes, slab.rows.first, slab.rows.count); !loaded) return loaded;
    if (apply && from.type == probing_.form) {
        slab.original = std::move(*stored);
    } else if (apply) {
        const auto original = converter.convert(probing_.form, false);
        if (!original) return std::unexpected(original.error());
        slab.original.assign(original->begin(), original->end());
    }
    const auto made = image(from, slab.rows, bytes, slab.type, *slab.origin, probing_.form, converter, distortion);
    if (!made) return std::unexpected(made.error());
    const std::uint64_t row = row_bytes(probing_.form, from.columns());
    if (apply) model_->overwrite(from.name, static_cast<std::uint64_t>(slab.rows.first) * row, *made);
    return {};
}

Result<std::vector<RowConverter::Distortion>> sampled_distortions(const Study& study, std::span<const std::size_t> tensors,
                                                                  std::span<const TypeAssignment* const> assignments)
{
    const auto files = open_files(study.inventory);
    if (!files) return std::unexpected(files.error());
    const std::size_t places = tensors.size() * assignments.size();
    std::vector<Result<RowConverter::Distortion>> distortions(places);
    std::vector<std::size_t> all(places);
    std::iota(all.begin(), all.end(), 0);
    std::for_each(std::execution::par, all.begin(), all.end(), [&](std::size_t i) {
        const std::size_t t = tensors[i % tensors.size()];
        const Tensor& tensor = study.inventory.tensors[t];
        const TypeAssignment& assignment = *assignments[i / tensors.size()];
        if (study.monitor.stop_requested())
            distortions[i] = std::unexpected(Error{ErrorCode::interrupted, "sense: interrupted"});
        else
            distortions[i] = sampled_distortion(tensor, t, (*files)[tensor.file], assignment);
    });
    std::vector<RowConverter::Distortion> sums(assignments.size());
    for (std::size_t i = 0; i < places; ++i) {
        if (!distortions[i]) return std::unexpected(distortions[i].error());
        sums[i / tensors.size()] += *distortions[i];
    }
    return sums;
}

}  // namespace apreqel
