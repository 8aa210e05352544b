#include "quantize/check_weights.h"

#include "base/file.h"

#include <ggml.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

namespace apreqel {
namespace {

constexpr std::uint64_t kPieceBytes = 4 << 20;

struct Piece {
    std::size_t tensor;
    std::uint64_t begin;  ///< bytes from the start of the tensor; of one that is quantized, where a row begins
    std::uint64_t bytes;
};

bool can_be_read(QuantType type) { return is_full_precision(type) || check_target_type(type, true); }

/// In IEEE's formats a number with all exponent bits set is infinite or none.
template <typename Bits>
bool all_finite(std::span<const std::byte> bytes, Bits exponent)
{
    bool finite = true;
    for (std::size_t i = 0; i + sizeof(Bits) <= bytes.size(); i += sizeof(Bits)) {
        Bits bits;
        std::memcpy(&bits, bytes.data() + i, sizeof bits);
        finite &= (bits & exponent) != exponent;
    }
    return finite;
}

/// What is quantized is finite if its scales are, and they are where each type has them: only libggml knows.
bool dequantized_finite(const QuantType& type, std::span<const std::byte> bytes)
{
    const std::uint64_t blocks = bytes.size() / row_bytes(type, block_size(type));
    std::vector<float> weights(static_cast<std::size_t>(blocks) * static_cast<std::size_t>(block_size(type)));
    ggml_get_type_traits(static_cast<ggml_type>(type.id))
        ->to_float(bytes.data(), weights.data(), static_cast<std::int64_t>(weights.size()));
    return all_finite<std::uint32_t>(std::as_bytes(std::span(weights)), 0x7f800000);
}

bool all_finite(const QuantType& type, std::span<const std::byte> bytes)
{
    if (is_quantized(type)) return dequantized_finite(type, bytes);
    switch (type.id) {
        case GGML_TYPE_F32: return all_finite<std::uint32_t>(bytes, 0x7f800000);
        case GGML_TYPE_F16: return all_finite<std::uint16_t>(bytes, 0x7c00);
        default: return all_finite<std::uint16_t>(bytes, 0x7f80);
    }
}

}  // namespace

Result<> check_weights(const Inventory& inventory, unsigned threads, Monitor& monitor)
{
    std::vector<InputFile> files;
    for (const auto& path : inventory.files) {
        auto file = InputFile::open(path);
        if (!file) return std::unexpected(file.error());
        files.push_back(std::move(*file));
    }
    std::vector<Piece> pieces;  // in file order, so that the disk is read front to back
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        if (!can_be_read(tensor.type)) continue;
        const std::uint64_t row = row_bytes(tensor.type, tensor.columns());
        const std::uint64_t step =
            is_quantized(tensor.type) ? std::max<std::uint64_t>(kPieceBytes / row, 1) * row : kPieceBytes;
        for (std::uint64_t begin = 0; begin < tensor.size_bytes; begin += step)
            pieces.push_back({t, begin, std::min(step, tensor.size_bytes - begin)});
    }

    std::atomic<std::size_t> next = 0;
    std::atomic<bool> stop = false;
    std::mutex mutex;
    Result<> outcome;
    const auto check = [&](const Piece& piece, std::vector<std::byte>& buffer) -> Result<> {
        const Tensor& tensor = inventory.tensors[piece.tensor];
        buffer.resize(piece.bytes);
        if (auto read = files[tensor.file].read_at(tensor.offset + piece.begin, buffer); !read) return read;
        if (all_finite(tensor.type, buffer)) return {};
        return fail("read {}: damaged: {} holds a weight that is not a finite number", inventory.files[tensor.file].string(),
                    tensor.name);
    };
    // Only the calling thread speaks to the monitor.
    const auto work = [&](bool calling) {
        std::vector<std::byte> buffer;
        for (std::size_t p = next++; p < pieces.size() && !stop; p = next++) {
            auto checked = check(pieces[p], buffer);
            if (calling) monitor.advance(static_cast<double>(p));
            if (checked && calling && monitor.stop_requested())
                checked = std::unexpected(Error{ErrorCode::interrupted, "stopped while reading the weights", ""});
            if (checked) continue;
            stop = true;
            const std::lock_guard lock(mutex);
            if (outcome) outcome = std::move(checked);
        }
    };
    monitor.begin("weights", static_cast<double>(pieces.size()));
    {
        std::vector<std::jthread> workers;
        for (unsigned i = 1; i < std::min<std::size_t>(threads, pieces.size()); ++i) workers.emplace_back(work, false);
        work(true);
    }
    if (outcome) monitor.end("all finite");
    return outcome;
}

}  // namespace apreqel
