#include "quantize/write_models.h"

#include "quantize/inputs.h"
#include "quantize/layout.h"
#include "quantize/writer.h"

#include <algorithm>
#include <map>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

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

/// Every disk has room for the files that it is to hold, those they replace still there.
Result<> check_disks(const Inventory& inventory, const Container& source, std::span<const ModelSpec> specs)
{
    std::map<fs::path, std::uint64_t> bytes;  // by folder: outputs in several folders of one disk are rare
    for (const ModelSpec& spec : specs) {
        const auto target = output_target(spec.path);
        if (!target) return std::unexpected(target.error());
        remove_abandoned_parts_of(*target);  // they may be as large as what is to be written
        bytes[target->parent_path()] += lay_out(inventory, source, spec).file_bytes;
    }
    for (const auto& [folder, needed] : bytes)
        if (auto enough = check_space(folder, needed); !enough) return enough;
    return {};
}

}  // namespace

Result<std::uint64_t> file_bytes(const Inventory& inventory, const ModelSpec& spec)
{
    if (auto possible = check_spec(inventory, spec); !possible) return std::unexpected(possible.error());
    const auto file = InputFile::open(inventory.files.front());
    if (!file) return std::unexpected(file.error());
    const auto source = Container::read(*file);
    if (!source) return std::unexpected(source.error());
    return lay_out(inventory, *source, spec).file_bytes;
}

Result<> write_models(const Inventory& inventory, std::span<const ModelSpec> specs, std::span<const DonorFile> donors,
                      unsigned threads, Monitor& monitor)
{
    for (const ModelSpec& spec : specs) {
        if (auto possible = check_spec(inventory, spec); !possible) return possible;
    }
    if (auto checked = check_paths(inventory, specs); !checked) return checked;
    const auto sources = open_sources(inventory);
    if (!sources) return std::unexpected(sources.error());
    const auto foreign = open_foreign(specs);
    if (!foreign) return std::unexpected(foreign.error());
    if (auto enough = check_disks(inventory, sources->first, specs); !enough) return enough;

    std::vector<Donor> whole = open_donors(inventory, donors, monitor);
    for (;;) {
        Writer writer(inventory, *sources, whole, *foreign);
        if (auto created = writer.create_outputs(specs); !created) return created;
        if (auto done = writer.run(threads, monitor); !done) return done;
        const Donor* damaged = writer.damaged_donor();
        if (damaged == nullptr) return writer.commit(monitor);
        monitor.warn(std::format("read {}: damaged: its weights are not as they were written; it is not used",
                                 damaged->file.path().string()));
        const fs::path path = damaged->file.path();
        std::vector<Donor> others;
        for (Donor& donor : whole)
            if (donor.file.path() != path) others.push_back(std::move(donor));
        whole.swap(others);
    }
}

}  // namespace apreqel
