// Writes model files block by block, on several threads, taking the digest of every tensor on the way.
#pragma once

#include "gguf/header_writer.h"
#include "quantize/convert.h"
#include "quantize/inputs.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace apreqel {

class Writer {
public:
    /// Everything is used until the writer is gone.
    Writer(const Inventory& inventory, const Sources& sources, const std::vector<Donor>& donors, const Foreign& foreign);

    /// Makes the files, under temporary names, and plans what to put in them.
    [[nodiscard]] Result<> create_outputs(std::span<const ModelSpec> specs);

    /// Writes all tensors. The calling thread works too and is the only one that talks to the monitor.
    [[nodiscard]] Result<> run(unsigned threads, Monitor& monitor);

    /// A donor whose bytes were not those that its file says it has; nullptr: there is none.
    [[nodiscard]] const Donor* damaged_donor() const;

    /// Writes the digests, reads every file back, and gives the files their names.
    [[nodiscard]] Result<> commit(Monitor& monitor);

private:
    /// What a tensor is quantized to.
    struct Encoding {
        QuantType type;
        bool importance = false;
        bool feedback = false;
        auto operator<=>(const Encoding&) const = default;
    };

    /// Where a tensor's bytes are taken from as they are.
    struct Place {
        const InputFile* file = nullptr;
        std::uint64_t offset = 0;
        QuantType type;
        auto operator<=>(const Place&) const = default;
    };

    /// One tensor in all outputs: each of its blocks is read once per place, and quantized once per encoding.
    struct Work {
        std::map<Place, std::vector<std::size_t>> copies;
        std::map<Encoding, std::vector<std::size_t>> conversions;
        std::uint64_t bytes_per_row = 0;  ///< in all outputs
    };

    struct Block {
        std::size_t tensor = 0;
        std::int64_t first_row = 0;
        std::int64_t rows = 0;
    };

    /// A tensor of an output that came from a donor.
    struct Spliced {
        std::size_t output = 0;
        std::size_t tensor = 0;
        const Donor* donor = nullptr;
    };

    struct Output {
        const ModelSpec* spec = nullptr;
        HeaderLayout layout;
        OutputFile file;
        std::vector<std::atomic<std::uint64_t>> digests;  ///< one per tensor: of the blocks written so far
    };

    /// What a thread needs for itself.
    struct Bench {
        RowConverter converter;
        std::vector<std::byte> stored;
    };

    [[nodiscard]] Result<> add_output(const ModelSpec& spec);
    void plan_tensor(std::size_t tensor, std::size_t output);
    void work(Monitor* monitor);
    void stop(Error error);
    [[nodiscard]] Result<> copy(const Block& block, Bench& bench);
    [[nodiscard]] Result<> convert(const Block& block, Bench& bench);
    [[nodiscard]] Result<> put(const Block& block, QuantType type, std::span<const std::byte> bytes,
                               const std::vector<std::size_t>& outputs);
    [[nodiscard]] Result<> finish(Output& output, Monitor& monitor);

    const Inventory& inventory_;
    const Sources& sources_;
    const std::vector<Donor>& donors_;
    const Foreign& foreign_;
    std::vector<Output> outputs_;
    std::vector<Work> work_;  // one per tensor
    std::vector<Block> blocks_;
    std::vector<Spliced> spliced_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::uint64_t> done_ = 0;  // bytes written, and later bytes read back
    std::atomic<bool> stopped_ = false;
    std::mutex error_mutex_;
    std::optional<Error> error_;
};

}  // namespace apreqel
