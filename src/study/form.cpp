#include "study/form.h"

#include "base/file.h"
#include "base/memory.h"
#include "quantize/convert.h"
#include "quantize/inputs.h"
#include "quantize/shape.h"
#include "study/keys.h"

#include <algorithm>
#include <array>
#include <execution>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

namespace apreqel {
namespace {

/// About this many weights are converted at a time, by one thread.
constexpr std::int64_t kPieceWeights = 1 << 17;

/// Of the prompt that forms are timed by. Half a probe: longer ones are as fast.
constexpr std::size_t kPromptTokens = 64;

/// Another form than the source's must be faster by this to be converted to.
constexpr double kWorthConverting = 1.1;

/// The form of most weights; f16 where that is a quantized type.
QuantType source_form(const Inventory& inventory)
{
    std::map<QuantType, std::int64_t> weights;
    for (const Tensor& tensor : inventory.tensors)
        if (tensor.place != TensorPlace::fixed) weights[tensor.type] += tensor.elements();
    const auto most = std::ranges::max_element(weights, {}, [](const auto& entry) { return entry.second; });
    return most != weights.end() && is_full_precision(most->first) ? most->first : *parse_type("f16");
}

bool is_all(const Inventory& inventory, QuantType form)
{
    return std::ranges::all_of(inventory.tensors,
                               [&](const Tensor& tensor) { return in_form(tensor, form).type == tensor.type; });
}

std::vector<QuantType> types_in(const Inventory& inventory, QuantType form)
{
    std::vector<QuantType> types;
    for (const Tensor& tensor : inventory.tensors) types.push_back(in_form(tensor, form).type);
    return types;
}

Result<QuantType> read_form(const std::filesystem::path& path)
{
    const auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    const auto form = parse_type(text->substr(0, text->find('\n')));
    if (!form || !is_full_precision(*form)) return fail("read {}: it names no full-precision type", path.string());
    return form;
}

/// A shape of the study's model in `form`, as long as it is needed.
struct ShapeFile {
    ShapeFile(const Study& study, QuantType form)
        : path(study.workspace.path("shape.gguf")),
          written(write_shape(study.inventory, {.path = path, .types = types_in(study.inventory, form), .notes = {}}))
    {
    }
    ShapeFile(const ShapeFile&) = delete;
    ShapeFile& operator=(const ShapeFile&) = delete;
    ~ShapeFile()
    {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }

    std::filesystem::path path;
    Result<> written;
};

/// Seconds of a prompt in `form`.
Result<double> time_form(const Study& study, QuantType form)
{
    const ShapeFile shape(study, form);
    if (!shape.written) return std::unexpected(shape.written.error());
    return study.runtime->time_prompt(shape.path, study.settings.run, kPromptTokens, study.monitor);
}

/// Copies all of the source's weights into a model that was loaded from a shape.
Result<> fill(const Study& study, QuantType form, RunnableModel& model)
{
    const Inventory& inventory = study.inventory;
    const auto sources = open_sources(inventory);
    if (!sources) return std::unexpected(sources.error());
    std::vector<std::size_t> all(inventory.tensors.size());
    std::iota(all.begin(), all.end(), 0);
    std::vector<RowRange> pieces = cut_rows(inventory, all);
    const auto copy = [&](const RowRange& piece) -> Result<> {
        const Tensor& tensor = inventory.tensors[piece.tensor];
        const QuantType wanted = in_form(tensor, form).type;
        const std::uint64_t row = row_bytes(tensor.type, tensor.columns());
        std::vector<std::byte> stored(static_cast<std::size_t>(piece.count) * row);
        const std::uint64_t place = tensor.offset + static_cast<std::uint64_t>(piece.first) * row;
        if (auto read = sources->files[tensor.file].read_at(place, stored); !read) return read;
        const std::uint64_t offset = static_cast<std::uint64_t>(piece.first) * row_bytes(wanted, tensor.columns());
        if (wanted == tensor.type) {
            model.overwrite(tensor.name, offset, stored);
            return {};
        }
        RowConverter converter;
        if (auto loaded = converter.load(tensor, stored, piece.first, piece.count); !loaded) return loaded;
        const auto converted = converter.convert(wanted, false);
        if (!converted) return std::unexpected(converted.error());
        model.overwrite(tensor.name, offset, *converted);
        return {};
    };
    std::vector<std::optional<Error>> errors(pieces.size());
    std::for_each(std::execution::par, pieces.begin(), pieces.end(), [&](const RowRange& piece) {
        const auto p = static_cast<std::size_t>(&piece - pieces.data());
        if (study.monitor.stop_requested())
            errors[p] = Error{ErrorCode::interrupted, "sense: interrupted"};
        else if (auto done = copy(piece); !done)
            errors[p] = done.error();
    });
    for (const auto& error : errors)
        if (error) return std::unexpected(*error);
    return {};
}

}  // namespace

Tensor in_form(Tensor tensor, QuantType form)
{
    const bool inert = tensor.place == TensorPlace::inert && !is_full_precision(tensor.type);
    if (tensor.place == TensorPlace::fixed || inert) return tensor;
    tensor.type = form;
    tensor.size_bytes = static_cast<std::uint64_t>(tensor.rows()) * row_bytes(form, tensor.columns());
    return tensor;
}

Result<QuantType> fastest_form(const Study& study, std::uint64_t least)
{
    if (study.settings.form) return *study.settings.form;
    const Inventory& inventory = study.inventory;
    const QuantType source = source_form(inventory);
    if (inventory.parameters() < least) return source;
    const auto path = Facts::of(study).path(study.workspace, kForm);
    if (const auto kept = read_kept(path, read_form, study.monitor)) return *kept;

    constexpr std::array<std::string_view, 3> kForms{"f16", "bf16", "f32"};
    QuantType fastest = source;
    double best = std::numeric_limits<double>::infinity();
    std::string figures;
    const std::uint64_t memory = available_memory().value_or(std::numeric_limits<std::uint64_t>::max());
    study.monitor.begin("full-precision form", kForms.size());
    for (std::size_t f = 0; f < kForms.size(); ++f) {
        const QuantType form = *parse_type(kForms[f]);
        study.monitor.advance(static_cast<double>(f));
        if (form != source && tensor_bytes(inventory, types_in(inventory, form)) > memory / 2) continue;
        const auto seconds = time_form(study, form);
        if (!seconds && seconds.error().code == ErrorCode::interrupted) return std::unexpected(seconds.error());
        if (!seconds) continue;  // what this machine cannot run is not fast
        figures += std::format("{}{} {:.0f}", figures.empty() ? "" : ", ", kForms[f], kPromptTokens / *seconds);
        const double handicapped = form == source ? *seconds : *seconds * kWorthConverting;
        if (handicapped >= best) continue;
        best = handicapped;
        fastest = form;
    }
    study.monitor.end(std::format("{} ({} tokens/s)", type_name(fastest), figures));
    if (auto written = write_text(path, std::format("{}\n{} tokens/s\n", type_name(fastest), figures)); !written)
        return std::unexpected(written.error());
    return fastest;
}

Result<double> seconds_per_token(const Study& study, QuantType form)
{
    return time_form(study, form).transform([](double seconds) { return seconds / kPromptTokens; });
}

Result<std::unique_ptr<RunnableModel>> load_in_form(const Study& study, QuantType form)
{
    std::vector<Tensor> tensors;
    for (const Tensor& tensor : study.inventory.tensors) tensors.push_back(in_form(tensor, form));
    const auto open = [&](const std::filesystem::path& path) -> Result<std::unique_ptr<RunnableModel>> {
        auto model = study.runtime->load(path, study.settings.run, WeightAccess::writable);
        if (!model) return model;
        if (auto found = (*model)->find_weights(tensors, study.monitor); !found) return std::unexpected(found.error());
        return model;
    };
    if (is_all(study.inventory, form)) return open(study.model());
    const ShapeFile shape(study, form);
    if (!shape.written) return std::unexpected(shape.written.error());
    auto model = open(shape.path);
    if (!model) return model;
    if (auto filled = fill(study, form, **model); !filled) return std::unexpected(filled.error());
    return model;
}

std::vector<RowRange> cut_rows(const Inventory& inventory, std::span<const std::size_t> tensors)
{
    std::vector<RowRange> pieces;
    for (const std::size_t t : tensors) {
        const Tensor& tensor = inventory.tensors[t];
        const std::int64_t step = std::max<std::int64_t>(1, kPieceWeights / std::max<std::int64_t>(1, tensor.columns()));
        for (std::int64_t row = 0; row < tensor.rows(); row += step)
            pieces.push_back({t, row, std::min(step, tensor.rows() - row)});
    }
    return pieces;
}

}  // namespace apreqel
