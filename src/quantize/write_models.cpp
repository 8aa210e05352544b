#include "quantize/write_models.h"

#include "quantize/convert.h"
#include "quantize/layout.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kChunkWeights = 256 << 10;  // 1 MiB as F32: source, weights and result stay in the cache of one core
constexpr std::uint64_t kCopyBytes = 64 << 20;     // between two of them the user can stop

struct Donor {
    InputFile file;
    std::unordered_map<std::string, StoredTensor> tensors;
    bool importance = false;  ///< quantized with the importance matrix
};

/// What a tensor is quantized to.
struct Encoding {
    QuantType type;
    bool importance = false;
    auto operator<=>(const Encoding&) const = default;
};

/// The open files of a model made elsewhere.
using Foreign = std::map<const Inventory*, std::vector<InputFile>>;

struct Output {
    const ModelSpec* spec = nullptr;
    HeaderLayout layout;
    OutputFile file;
};

/// Bytes taken over as they are.
struct Copy {
    const InputFile* from = nullptr;
    std::uint64_t from_offset = 0;
    std::size_t output = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

/// Rows read once, converted to each type, and written to all outputs that want it.
struct Conversion {
    std::size_t tensor = 0;
    std::int64_t first_row = 0;
    std::int64_t rows = 0;
    const std::map<Encoding, std::vector<std::size_t>>* outputs_by_encoding = nullptr;
};

/// A piece of work: a copy, unless there are rows to convert.
struct Task {
    Copy copy;
    Conversion conversion;
    std::uint64_t bytes = 0;  ///< written
};

Result<std::vector<InputFile>> open_sources(const Inventory& inventory, std::optional<Container>& first)
{
    std::vector<InputFile> files;
    std::size_t next = 0;
    for (const fs::path& path : inventory.files) {
        auto file = InputFile::open(path);
        if (!file) return std::unexpected(file.error());
        auto container = Container::read(*file);
        if (!container) return std::unexpected(container.error());
        for (const StoredTensor& stored : container->tensors()) {
            const bool same = next < inventory.tensors.size() && inventory.tensors[next].name == stored.name &&
                              inventory.tensors[next].shape == stored.shape && inventory.tensors[next].type == stored.type &&
                              inventory.tensors[next].offset == stored.offset;
            if (!same) return fail("read {}: it changed since it was first read", path.string());
            ++next;
        }
        if (!first) first = std::move(*container);
        files.push_back(std::move(*file));
    }
    if (next != inventory.tensors.size())
        return fail("read {}: it changed since it was first read", inventory.files.front().string());
    return files;
}

Result<std::vector<Donor>> open_donors(const Inventory& inventory, std::span<const fs::path> paths)
{
    std::vector<Donor> donors;
    for (const fs::path& path : paths) {
        auto file = InputFile::open(path);
        if (!file) return std::unexpected(file.error());
        const auto container = Container::read(*file);
        if (!container) return std::unexpected(container.error());
        if (container->text(kSourceKey) != inventory.fingerprint) {
            return fail("read {}: not made by this program from {}", path.string(), inventory.files.front().string());
        }
        const auto importance = container->text(kImportanceKey);
        if (importance && *importance != inventory.importance) continue;
        Donor donor{std::move(*file), {}, importance.has_value()};
        for (const StoredTensor& tensor : container->tensors()) donor.tensors.emplace(tensor.name, tensor);
        donors.push_back(std::move(donor));
    }
    return donors;
}

Result<Foreign> open_foreign(std::span<const ModelSpec> specs)
{
    Foreign foreign;
    for (const ModelSpec& spec : specs) {
        for (const TensorOrigin& origin : spec.origins) {
            if (!origin.foreign || foreign.contains(origin.foreign.get())) continue;
            std::vector<InputFile> files;
            for (const fs::path& path : origin.foreign->files) {
                auto file = InputFile::open(path);
                if (!file) return std::unexpected(file.error());
                files.push_back(std::move(*file));
            }
            foreign.emplace(origin.foreign.get(), std::move(files));
        }
    }
    return foreign;
}

Result<> check_paths(const Inventory& inventory, std::span<const ModelSpec> specs)
{
    for (std::size_t i = 0; i < specs.size(); ++i) {
        const fs::path& path = specs[i].path;
        std::error_code ignored;  // a path that does not exist yet is no source
        for (const fs::path& source : inventory.files) {
            if (fs::equivalent(path, source, ignored)) return usage_error("write {}: it is the model to read", path.string());
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (specs[j].path.lexically_normal() == path.lexically_normal())
                return usage_error("write {}: asked for twice", path.string());
        }
    }
    return {};
}

class Writer {
public:
    Writer(const Inventory& inventory, std::vector<InputFile> sources, std::vector<Donor> donors, Foreign foreign)
        : inventory_(inventory),
          sources_(std::move(sources)),
          donors_(std::move(donors)),
          foreign_(std::move(foreign)),
          conversions_(inventory.tensors.size())
    {
    }

    Result<> create_outputs(std::span<const ModelSpec> specs, const Container& source)
    {
        for (const ModelSpec& spec : specs) {
            auto file = OutputFile::create(spec.path);
            if (!file) return std::unexpected(file.error());
            outputs_.push_back({&spec, lay_out(inventory_, source, spec), std::move(*file)});
            Output& output = outputs_.back();
            if (auto reserved = output.file.reserve(output.layout.file_bytes); !reserved) return reserved;
            if (auto written = output.file.write_at(0, std::as_bytes(std::span(output.layout.bytes))); !written) return written;
            // The padding after the last tensor, where reserving did not make it.
            constexpr std::byte kZero{};
            if (auto written = output.file.write_at(output.layout.file_bytes - 1, std::span(&kZero, 1)); !written)
                return written;
        }
        return {};
    }

    Result<> plan_tasks()
    {
        for (std::size_t i = 0; i < inventory_.tensors.size(); ++i) {
            const Tensor& tensor = inventory_.tensors[i];
            for (std::size_t o = 0; o < outputs_.size(); ++o) {
                const QuantType wanted = outputs_[o].spec->types[i];
                const TensorOrigin origin = outputs_[o].spec->origin(i);
                const bool importance = origin.importance && tensor.importance;
                if (origin.foreign) {
                    const Tensor& other = *std::ranges::find(origin.foreign->tensors, tensor.name, &Tensor::name);
                    add_copy(foreign_.at(origin.foreign.get())[other.file], other.offset, o, i);
                } else if (wanted == tensor.type) {
                    add_copy(sources_[tensor.file], tensor.offset, o, i);
                } else if (const auto found = find_donor(tensor, wanted, importance)) {
                    add_copy(*found->first, found->second, o, i);
                } else if (is_full_precision(tensor.type)) {
                    conversions_[i][{wanted, importance}].push_back(o);
                } else {
                    return usage_error("quantize {}: it is {} already: quantizing twice adds up errors", tensor.name,
                                       type_name(tensor.type));
                }
            }
            if (!conversions_[i].empty()) add_conversions(i);
        }
        return {};
    }

    /// Threads take tasks in file order, so that the disk is read front to back. The calling thread works too and is the
    /// only one that talks to the monitor.
    Result<> run(unsigned threads, Monitor& monitor)
    {
        std::uint64_t total = 0;
        for (const Task& task : tasks_) total += task.bytes;
        monitor.begin(outputs_.size() == 1 ? std::format("write {}", outputs_[0].spec->path.filename().string())
                                           : std::format("write {} models", outputs_.size()),
                      static_cast<double>(total));
        {
            std::vector<std::jthread> workers;
            for (unsigned i = 1; i < std::min<std::size_t>(threads, tasks_.size()); ++i)
                workers.emplace_back([this] { work(nullptr); });
            work(&monitor);
        }
        if (error_) return std::unexpected(*error_);
        monitor.advance(static_cast<double>(total));
        monitor.end("");
        return {};
    }

    Result<> commit()
    {
        for (const Output& output : outputs_) {
            if (auto audited = audit(output); !audited) return audited;
        }
        for (Output& output : outputs_) {
            if (auto committed = output.file.commit(); !committed) return committed;
        }
        return {};
    }

private:
    std::optional<std::pair<const InputFile*, std::uint64_t>> find_donor(const Tensor& tensor, QuantType wanted,
                                                                         bool importance) const
    {
        for (const Donor& donor : donors_) {
            if (tensor.importance && donor.importance != importance) continue;
            const auto found = donor.tensors.find(tensor.name);
            if (found == donor.tensors.end() || found->second.type != wanted || found->second.shape != tensor.shape) continue;
            return std::pair(&donor.file, found->second.offset);
        }
        return std::nullopt;
    }

    void add_copy(const InputFile& from, std::uint64_t from_offset, std::size_t output, std::size_t tensor)
    {
        const Tensor& shape = inventory_.tensors[tensor];
        const std::uint64_t size =
            static_cast<std::uint64_t>(shape.rows()) * row_bytes(outputs_[output].spec->types[tensor], shape.columns());
        for (std::uint64_t done = 0; done < size; done += kCopyBytes) {
            const std::uint64_t bytes = std::min(kCopyBytes, size - done);
            tasks_.push_back(
                {.copy = {&from, from_offset + done, output, outputs_[output].layout.offsets[tensor] + done, bytes},
                 .conversion = {},
                 .bytes = bytes});
        }
    }

    void add_conversions(std::size_t index)
    {
        const Tensor& tensor = inventory_.tensors[index];
        std::uint64_t written_per_row = 0;
        for (const auto& [encoding, outputs] : conversions_[index])
            written_per_row += outputs.size() * row_bytes(encoding.type, tensor.columns());
        const std::int64_t step = std::max<std::int64_t>(1, kChunkWeights / tensor.columns());
        for (std::int64_t row = 0; row < tensor.rows(); row += step) {
            const std::int64_t rows = std::min(step, tensor.rows() - row);
            tasks_.push_back({.copy = {},
                              .conversion = {index, row, rows, &conversions_[index]},
                              .bytes = static_cast<std::uint64_t>(rows) * written_per_row});
        }
    }

    void work(Monitor* monitor)
    {
        RowConverter converter;
        std::vector<std::byte> stored;
        while (!stopped_) {
            const std::size_t index = next_++;
            if (index >= tasks_.size()) return;
            const Task& task = tasks_[index];
            const Result<> done = task.conversion.rows > 0 ? convert(task.conversion, converter, stored) : copy(task.copy);
            if (!done) return stop(done.error());
            written_ += task.bytes;
            if (monitor == nullptr) continue;
            monitor->advance(static_cast<double>(written_));
            if (monitor->stop_requested()) return stop({ErrorCode::interrupted, "write: stopped, nothing is left behind"});
        }
    }

    void stop(Error error)
    {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::move(error);
        stopped_ = true;
    }

    Result<> copy(const Copy& copy)
    {
        return outputs_[copy.output].file.copy_at(copy.offset, *copy.from, copy.from_offset, copy.bytes);
    }

    Result<> convert(const Conversion& conversion, RowConverter& converter, std::vector<std::byte>& stored)
    {
        const Tensor& tensor = inventory_.tensors[conversion.tensor];
        const auto first_row = static_cast<std::uint64_t>(conversion.first_row);
        const std::uint64_t source_row = row_bytes(tensor.type, tensor.columns());
        stored.resize(static_cast<std::size_t>(conversion.rows) * source_row);
        if (auto read = sources_[tensor.file].read_at(tensor.offset + first_row * source_row, stored); !read) return read;
        if (auto loaded = converter.load(tensor, stored, conversion.first_row, conversion.rows); !loaded) return loaded;
        for (const auto& [encoding, outputs] : *conversion.outputs_by_encoding) {
            const auto converted = converter.convert(encoding.type, encoding.importance);
            if (!converted) return std::unexpected(converted.error());
            const std::uint64_t offset = first_row * row_bytes(encoding.type, tensor.columns());
            for (const std::size_t o : outputs) {
                Output& output = outputs_[o];
                if (auto put = output.file.write_at(output.layout.offsets[conversion.tensor] + offset, *converted); !put)
                    return put;
            }
        }
        return {};
    }

    /// Reads the file back as anyone else would, before it gets its name.
    Result<> audit(const Output& output) const
    {
        const auto wrong = [&](std::string_view what) {
            return fail("write {}: {} is wrong in the file written", output.spec->path.string(), what);
        };
        const auto file = InputFile::open(output.file.temporary_path());
        if (!file) return std::unexpected(file.error());
        const auto container = Container::read(*file);
        if (!container) return std::unexpected(container.error());
        if (file->size() != output.layout.file_bytes) return wrong("the size");
        if (container->tensors().size() != inventory_.tensors.size()) return wrong("the number of tensors");
        for (std::size_t i = 0; i < inventory_.tensors.size(); ++i) {
            const StoredTensor& stored = container->tensors()[i];
            const Tensor& tensor = inventory_.tensors[i];
            const bool right = stored.name == tensor.name && stored.shape == tensor.shape &&
                               stored.type == output.spec->types[i] && stored.offset == output.layout.offsets[i];
            if (!right) return wrong(tensor.name);
        }
        return {};
    }

    const Inventory& inventory_;
    std::vector<InputFile> sources_;
    std::vector<Donor> donors_;
    Foreign foreign_;
    std::vector<Output> outputs_;
    std::vector<std::map<Encoding, std::vector<std::size_t>>> conversions_;  // one per tensor
    std::vector<Task> tasks_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::uint64_t> written_ = 0;
    std::atomic<bool> stopped_ = false;
    std::mutex error_mutex_;
    std::optional<Error> error_;
};

}  // namespace

Result<> write_models(const Inventory& inventory, std::span<const ModelSpec> specs, std::span<const fs::path> donors,
                      unsigned threads, Monitor& monitor)
{
    for (const ModelSpec& spec : specs) {
        if (auto possible = check_spec(inventory, spec); !possible) return possible;
    }
    if (auto checked = check_paths(inventory, specs); !checked) return checked;
    std::optional<Container> first;
    auto sources = open_sources(inventory, first);
    if (!sources) return std::unexpected(sources.error());
    auto opened = open_donors(inventory, donors);
    if (!opened) return std::unexpected(opened.error());

    auto foreign = open_foreign(specs);
    if (!foreign) return std::unexpected(foreign.error());

    Writer writer(inventory, std::move(*sources), std::move(*opened), std::move(*foreign));
    if (auto created = writer.create_outputs(specs, *first); !created) return created;
    if (auto planned = writer.plan_tasks(); !planned) return planned;
    if (auto done = writer.run(threads, monitor); !done) return done;
    return writer.commit();
}

}  // namespace apreqel
