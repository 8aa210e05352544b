#include "quantize/writer.h"

#include "quantize/audit.h"
#include "quantize/layout.h"

#include <algorithm>
#include <thread>

namespace apreqel {

Writer::Writer(const Inventory& inventory, const Sources& sources, const std::vector<Donor>& donors, const Foreign& foreign)
    : inventory_(inventory), sources_(sources), donors_(donors), foreign_(foreign), work_(inventory.tensors.size())
{
}

Result<> Writer::create_outputs(std::span<const ModelSpec> specs)
{
    for (const ModelSpec& spec : specs)
        if (auto added = add_output(spec); !added) return added;
    for (std::size_t t = 0; t < inventory_.tensors.size(); ++t) {
        for (std::size_t o = 0; o < outputs_.size(); ++o) plan_tensor(t, o);
        const Tensor& tensor = inventory_.tensors[t];
        const std::int64_t step = block_rows(tensor.columns());
        for (std::int64_t row = 0; row < tensor.rows(); row += step)
            blocks_.push_back({t, row, std::min(step, tensor.rows() - row)});
    }
    return {};
}

Result<> Writer::add_output(const ModelSpec& spec)
{
    auto file = OutputFile::create(spec.path);
    if (!file) return std::unexpected(file.error());
    HeaderLayout layout = lay_out(inventory_, sources_.first, spec);
    if (auto reserved = file->reserve(layout.file_bytes); !reserved) return reserved;
    // The padding after the last tensor, where reserving did not make it.
    constexpr std::byte kZero{};
    if (auto written = file->write_at(layout.file_bytes - 1, std::span(&kZero, 1)); !written) return written;
    outputs_.push_back({.spec = &spec,
                        .layout = std::move(layout),
                        .file = std::move(*file),
                        .digests = std::vector<std::atomic<std::uint64_t>>(inventory_.tensors.size())});
    return {};
}

void Writer::plan_tensor(std::size_t tensor, std::size_t output)
{
    const Tensor& wanted = inventory_.tensors[tensor];
    const QuantType type = outputs_[output].spec->types[tensor];
    const TensorOrigin origin = outputs_[output].spec->origin(tensor);
    const bool feedback = is_rounded_with_feedback(wanted, type, origin);
    const bool importance = !feedback && origin.importance && wanted.importance;
    Work& work = work_[tensor];
    work.bytes_per_row += row_bytes(type, wanted.columns());
    if (origin.foreign && !feedback) {
        const Tensor& other = *std::ranges::find(origin.foreign->tensors, wanted.name, &Tensor::name);
        work.copies[{&foreign_.at(origin.foreign.get())[other.file], other.offset, type}].push_back(output);
    } else if (type == wanted.type) {
        work.copies[{&sources_.files[wanted.file], wanted.offset, type}].push_back(output);
    } else if (const Donor* donor = find_donor(donors_, inventory_, tensor, type, origin)) {
        work.copies[{&donor->file, donor->tensors.at(wanted.name).offset, type}].push_back(output);
        spliced_.push_back({output, tensor, donor});
    } else {
        work.conversions[{type, importance, feedback}].push_back(output);
    }
}

Result<> Writer::run(unsigned threads, Monitor& monitor)
{
    std::uint64_t total = 0;
    for (const Block& block : blocks_) total += static_cast<std::uint64_t>(block.rows) * work_[block.tensor].bytes_per_row;
    for (const Output& output : outputs_) total += output.layout.file_bytes;  // to be read back
    monitor.begin(outputs_.size() == 1 ? std::format("write {}", outputs_[0].spec->path.filename().string())
                                       : std::format("write {} models", outputs_.size()),
                  static_cast<double>(total));
    {
        // Threads take blocks in file order, so that the disk is read front to back.
        std::vector<std::jthread> workers;
        for (unsigned i = 1; i < std::min<std::size_t>(threads, blocks_.size()); ++i)
            workers.emplace_back([this] { work(nullptr); });
        work(&monitor);
    }
    if (error_) return std::unexpected(*error_);
    return {};
}

void Writer::work(Monitor* monitor)
{
    Bench bench;
    while (!stopped_) {
        const std::size_t index = next_++;
        if (index >= blocks_.size()) return;
        const Block& block = blocks_[index];
        auto done = copy(block, bench);
        if (done) done = convert(block, bench);
        if (!done) return stop(done.error());
        done_ += static_cast<std::uint64_t>(block.rows) * work_[block.tensor].bytes_per_row;
        if (monitor == nullptr) continue;
        monitor->advance(static_cast<double>(done_));
        if (monitor->stop_requested()) return stop({ErrorCode::interrupted, "write: stopped, nothing is left behind"});
    }
}

void Writer::stop(Error error)
{
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::move(error);
    stopped_ = true;
}

Result<> Writer::copy(const Block& block, Bench& bench)
{
    for (const auto& [place, outputs] : work_[block.tensor].copies) {
        const std::uint64_t row = row_bytes(place.type, inventory_.tensors[block.tensor].columns());
        bench.stored.resize(static_cast<std::size_t>(block.rows) * row);
        const std::uint64_t offset = place.offset + static_cast<std::uint64_t>(block.first_row) * row;
        if (auto read = place.file->read_at(offset, bench.stored); !read) return read;
        if (auto written = put(block, place.type, bench.stored, outputs); !written) return written;
    }
    return {};
}

Result<> Writer::convert(const Block& block, Bench& bench)
{
    const auto& conversions = work_[block.tensor].conversions;
    if (conversions.empty()) return {};
    const Tensor& tensor = inventory_.tensors[block.tensor];
    const std::uint64_t row = row_bytes(tensor.type, tensor.columns());
    bench.stored.resize(static_cast<std::size_t>(block.rows) * row);
    const std::uint64_t offset = tensor.offset + static_cast<std::uint64_t>(block.first_row) * row;
    if (auto read = sources_.files[tensor.file].read_at(offset, bench.stored); !read) return read;
    if (auto loaded = bench.converter.load(tensor, bench.stored, block.first_row, block.rows); !loaded) return loaded;
    for (const auto& [encoding, outputs] : conversions) {
        const auto converted = encoding.feedback ? bench.converter.round(encoding.type)
                                                 : bench.converter.convert(encoding.type, encoding.importance);
        if (!converted) return std::unexpected(converted.error());
        if (auto written = put(block, encoding.type, *converted, outputs); !written) return written;
    }
    return {};
}

Result<> Writer::put(const Block& block, QuantType type, std::span<const std::byte> bytes,
                     const std::vector<std::size_t>& outputs)
{
    const std::uint64_t digest = block_digest(bytes, block.first_row);
    const std::uint64_t offset =
        static_cast<std::uint64_t>(block.first_row) * row_bytes(type, inventory_.tensors[block.tensor].columns());
    for (const std::size_t o : outputs) {
        Output& output = outputs_[o];
        if (auto written = output.file.write_at(output.layout.offsets[block.tensor] + offset, bytes); !written) return written;
        output.digests[block.tensor] += digest;
    }
    return {};
}

const Donor* Writer::damaged_donor() const
{
    for (const Spliced& spliced : spliced_) {
        const std::string& name = inventory_.tensors[spliced.tensor].name;
        if (outputs_[spliced.output].digests[spliced.tensor] != spliced.donor->digests.at(name)) return spliced.donor;
    }
    return nullptr;
}

Result<> Writer::commit(Monitor& monitor)
{
    for (Output& output : outputs_)
        if (auto finished = finish(output, monitor); !finished) return finished;
    for (Output& output : outputs_)
        if (auto committed = output.file.commit(); !committed) return committed;
    monitor.end("");
    return {};
}

/// Header and audit.
Result<> Writer::finish(Output& output, Monitor& monitor)
{
    std::vector<std::uint64_t> digests(output.digests.begin(), output.digests.end());
    digests.push_back(header_digest(output.layout.bytes));
    output.layout = lay_out(inventory_, sources_.first, *output.spec, std::move(digests));
    if (auto written = output.file.write_at(0, std::as_bytes(std::span(output.layout.bytes))); !written) return written;
    if (auto synced = output.file.sync(); !synced) return synced;
    const auto audited = audit(output.file.temporary_path(), output.layout, [&](std::uint64_t bytes) {
        monitor.advance(static_cast<double>(done_ += bytes));
        return !monitor.stop_requested();
    });
    if (audited) return {};
    if (audited.error().code == ErrorCode::interrupted)
        return std::unexpected(Error{ErrorCode::interrupted, "write: stopped, nothing is left behind"});
    return fail("write {}: the file is not what was written: {}", output.spec->path.string(), audited.error().message);
}

}  // namespace apreqel
