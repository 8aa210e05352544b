#include "study/rivals.h"

#include "base/file.h"
#include "base/joined.h"
#include "quantize/shape.h"
#include "study/keys.h"
#include "study/text.h"

#include <algorithm>
#include <cctype>

namespace apreqel {
namespace {

bool is_file(const std::string& what)
{
    std::error_code ignored;
    return std::filesystem::is_regular_file(what, ignored);
}

/// Error: its tensors are not those of the study's model.
Result<> check_same_model(const Study& study, const Inventory& other)
{
    const Inventory& own = study.inventory;
    if (own.architecture != other.architecture)
        return usage_error("{}: a model of architecture {}, not {}", other.files.front().string(), other.architecture,
                           own.architecture);
    for (const Tensor& tensor : own.tensors) {
        const auto same = std::ranges::find(other.tensors, tensor.name, &Tensor::name);
        if (same == other.tensors.end() || same->shape != tensor.shape)
            return usage_error("{}: no quantization of {}: {} is missing or has another shape", other.files.front().string(),
                               study.model().string(), tensor.name);
    }
    return {};
}

Result<Rival> open_file(const Study& study, const std::filesystem::path& path)
{
    const auto inventory = read_inventory(path, true);
    if (!inventory) return std::unexpected(inventory.error());
    if (auto same = check_same_model(study, *inventory); !same) return std::unexpected(same.error());
    auto measured = measure_quality(study, {path, path.filename().string()});
    if (!measured) return std::unexpected(measured.error());
    return Rival{.measurement = std::move(*measured), .timed = path};
}

Facts facts_of_stock(const Study& study, std::string_view name)
{
    return Facts::of(study).with(Input::type, std::format("{} with {}", name, importance_digest(study.inventory)));
}

/// Makes the file, if it is not there.
Result<std::filesystem::path> build_stock(const Study& study, std::string_view name)
{
    auto path = facts_of_stock(study, name).path(study.workspace, kStock, name);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
    std::filesystem::create_directories(path.parent_path(), ignored);
    study.monitor.begin(std::format("quantize to {}, by libllama", name), 0);
    if (auto made = study.runtime->quantize_stock(study.inventory, name, path, study.settings.run); !made)
        return std::unexpected(made.error());
    study.monitor.end(std::format("{:.1f} MiB", static_cast<double>(std::filesystem::file_size(path, ignored)) / (1 << 20)));
    return path;
}

/// Measures the file type and leaves its shape at `shape`.
Result<Quality> measure_stock(const Study& study, std::string_view name, const std::filesystem::path& shape)
{
    const auto file = build_stock(study, name);
    if (!file) return std::unexpected(file.error());
    const auto inventory = read_inventory(*file, true);
    if (!inventory) return std::unexpected(inventory.error());
    ModelSpec spec{.path = shape, .types = {}, .notes = {}};
    for (const Tensor& tensor : inventory->tensors) spec.types.push_back(tensor.type);
    if (auto written = write_shape(*inventory, spec); !written) return std::unexpected(written.error());
    const auto measured = measure_quality(study, {*file, std::string(name)});
    if (!measured) return std::unexpected(measured.error());
    return measured->quality;
}

Result<Rival> open_stock(const Study& study, std::string_view name)
{
    const auto text = evaluation_text(study);
    if (!text) return std::unexpected(text.error());
    const Facts facts = facts_of_stock(study, name).with(Input::text, digest({*text}));
    const auto shape = facts.path(study.workspace, kStock, std::format("{}.shape", name));
    const auto artifact = facts.path(study.workspace, kStockQuality, name);
    auto quality = study.settings.remeasure && !study.measured->contains(artifact)
                       ? std::nullopt
                       : read_kept(artifact, read_quality, study.monitor);
    if (!quality || !std::filesystem::exists(shape)) {
        auto measured = measure_stock(study, name, shape);
        if (!measured) return std::unexpected(measured.error());
        quality = std::move(*measured);
        if (auto written = write_text(artifact, to_json(*quality)); !written) return std::unexpected(written.error());
        study.measured->insert(artifact);
    }
    const auto inventory = read_inventory(shape);
    if (!inventory) return std::unexpected(inventory.error());
    const std::uint64_t bytes = inventory->size_bytes();
    return Rival{
        .measurement = {.name = std::string(name),
                        .memory_bytes = bytes,
                        .bits_per_weight = 8 * static_cast<double>(bytes) / static_cast<double>(inventory->parameters()),
                        .quality = std::move(*quality),
                        .speed = {}},
        .timed = shape};
}

/// "as-Q4_K_M", or after the file. What is no part of a name becomes a dash.
std::string type_name_of(const std::string& rival)
{
    const auto stock = parse_stock(rival);
    std::string name = is_file(rival) || !stock ? std::filesystem::path(rival).stem().string() : std::string(*stock);
    std::ranges::replace_if(
        name, [](unsigned char c) { return c >= 0x80 || (std::isalnum(c) == 0 && c != '_' && c != '.'); }, '-');
    return std::string(kLent) + name;
}

}  // namespace

Result<> check_rival(const std::string& what)
{
    if (is_file(what)) return read_inventory(what).transform([](const Inventory&) {});
    if (parse_stock(what)) return {};
    return std::unexpected(Error{ErrorCode::usage, std::format("--beat {}: neither a file nor a file type of llama.cpp", what),
                                 "file types: " + joined(stock_names(), ", ")});
}

Result<Rival> open_rival(const Study& study, const std::string& what)
{
    if (is_file(what)) return open_file(study, what);
    const auto name = parse_stock(what);
    if (!name) return std::unexpected(name.error());
    return open_stock(study, *name);
}

RivalFiles::~RivalFiles()
{
    for (const std::string& rival : rivals_) {
        const auto name = parse_stock(rival);
        if (is_file(rival) || !name) continue;
        study_.workspace.remove(facts_of_stock(study_, *name).path(study_.workspace, kStock, *name));
    }
}

Result<std::vector<Variant>> RivalFiles::types() const
{
    std::vector<Variant> types;
    for (const std::string& rival : rivals_) {
        const auto file = make({rival});
        if (!file && file.error().code == ErrorCode::interrupted) return std::unexpected(file.error());
        if (!file) continue;  // said where it is measured
        auto type = read_foreign_variant(type_name_of(rival), file->front(), study_.inventory);
        if (!type && type.error().code == ErrorCode::interrupted) return std::unexpected(type.error());
        if (!type) study_.monitor.warn(std::format("run: nothing of {} is taken: {}", rival, type.error().message));
        if (!type || std::ranges::contains(types, *type)) continue;
        type->feedback = !study_.inventory.hessian.empty();
        types.push_back(std::move(*type));
    }
    return types;
}

Result<std::vector<std::filesystem::path>> RivalFiles::make(const std::vector<std::string>& rivals) const
{
    std::vector<std::filesystem::path> files;
    for (const std::string& rival : rivals) {
        if (is_file(rival)) {
            files.emplace_back(rival);
            continue;
        }
        const auto name = parse_stock(rival);
        if (!name) return std::unexpected(name.error());
        auto file = build_stock(study_, *name);
        if (!file) return std::unexpected(file.error());
        files.push_back(std::move(*file));
    }
    return files;
}

}  // namespace apreqel
