#include "quantize/inputs.h"

#include "quantize/audit.h"
#include "quantize/layout.h"

namespace apreqel {
namespace {

namespace fs = std::filesystem;

/// Nothing: it is of another importance matrix, or of other Hessians.
Result<std::optional<Donor>> open_donor(const Inventory& inventory, const DonorFile& donor_file)
{
    const fs::path& path = donor_file.path;
    auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    const auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    const std::vector<std::uint64_t> digests = recorded_digests(*container);
    if (digests.empty() || container->text(kSourceKey) != inventory.fingerprint)
        return fail("read {}: not made by this program from {}", path.string(), inventory.files.front().string());
    const auto importance = container->text(kImportanceKey);
    if (importance && *importance != inventory.importance) return std::nullopt;
    const auto hessian = container->text(kHessianKey);
    if (hessian && *hessian != inventory.hessian) return std::nullopt;
    Donor donor{.file = std::move(*file), .tensors = {}, .digests = {}, .origins = donor_file.origins};
    const TensorOrigin alike{.importance = importance.has_value(), .feedback = hessian.has_value(), .foreign = {}};
    if (donor.origins.empty()) donor.origins.assign(inventory.tensors.size(), alike);
    for (std::size_t t = 0; t < container->tensors().size(); ++t) {
        const StoredTensor& tensor = container->tensors()[t];
        donor.tensors.emplace(tensor.name, tensor);
        donor.digests.emplace(tensor.name, digests[t]);
    }
    return donor;
}

}  // namespace

Result<Sources> open_sources(const Inventory& inventory)
{
    Sources sources;
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
        if (sources.files.empty()) sources.first = std::move(*container);
        sources.files.push_back(std::move(*file));
    }
    if (next != inventory.tensors.size())
        return fail("read {}: it changed since it was first read", inventory.files.front().string());
    return sources;
}

std::vector<Donor> open_donors(const Inventory& inventory, std::span<const DonorFile> files, Monitor& monitor)
{
    std::vector<Donor> donors;
    for (const DonorFile& file : files) {
        auto donor = open_donor(inventory, file);
        if (!donor) monitor.warn(donor.error().message + "; it is not used");
        if (donor && *donor) donors.push_back(std::move(**donor));
    }
    return donors;
}

const Donor* find_donor(const std::vector<Donor>& donors, const Inventory& inventory, std::size_t t, QuantType wanted,
                        const TensorOrigin& origin)
{
    const Tensor& tensor = inventory.tensors[t];
    const bool feedback = is_rounded_with_feedback(tensor, wanted, origin);
    for (const Donor& donor : donors) {
        const TensorOrigin& made = donor.origins[t];
        if (is_rounded_with_feedback(tensor, wanted, made) != feedback) continue;
        if (!feedback && (made.foreign || (tensor.importance && made.importance != origin.importance))) continue;
        const auto found = donor.tensors.find(tensor.name);
        if (found != donor.tensors.end() && found->second.type == wanted && found->second.shape == tensor.shape) return &donor;
    }
    return nullptr;
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

}  // namespace apreqel
