#include "model/hessian.h"

#include "gguf/header_writer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <format>
#include <map>
#include <numeric>

namespace apreqel {
namespace {

constexpr std::int64_t kWidest = 1024;
/// Of the mean of the diagonal, added to it.
constexpr double kDamping = 0.01;

constexpr std::string_view kWeightsKey = "apreqel.hessian.weights";
constexpr std::string_view kInputsKey = "apreqel.hessian.inputs";  ///< of each of the weights, by the first weight that has it
constexpr std::string_view kSuffix = ".hessian";

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// What factors are stored as: in 8 significant bits, of what an error is fed back no part is lost that tells, and their range is
/// that of floats.
using Stored = Eigen::bfloat16;
constexpr std::string_view kStoredType = "bf16";

/// With H reversed in both directions, H = LLᵀ is H = RRᵀ with R upper triangular, and U = R⁻¹.
bool factor_inverse(Eigen::Map<Matrix> moments)
{
    const Eigen::Index width = moments.rows();
    Eigen::MatrixXd reversed(width, width);
    for (Eigen::Index row = 0; row < width; ++row)
        for (Eigen::Index column = 0; column <= row; ++column)
            reversed(width - 1 - column, width - 1 - row) = double{moments(row, column)} * (row == column ? 1 : kCorrelations);
    const double mean = reversed.diagonal().mean();
    if (!std::isfinite(mean)) return false;
    if (mean <= 0) {
        moments.setIdentity();
        return true;
    }
    reversed.diagonal().array() += kDamping * mean;
    const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> factored(reversed);  // in place, reads the lower triangle
    if (factored.info() != Eigen::Success) return false;
    const Eigen::MatrixXd inverse = factored.matrixL().solve(Eigen::MatrixXd::Identity(width, width));
    moments = inverse.reverse().cast<float>();
    return moments.allFinite();
}

/// Calls `f(at, packed_at, count)` for each row of the upper triangles of all spans: where it begins, and where without what is below.
template <class F>
void for_each_triangle_row(std::int64_t columns, F f)
{
    std::size_t at = 0;
    std::size_t packed = 0;
    for (const Span& span : spans_of(columns)) {
        const auto width = static_cast<std::size_t>(span.width);
        for (std::size_t row = 0; row < width; ++row) {
            f(at + row * width + row, packed, width - row);
            packed += width - row;
        }
        at += width * width;
    }
}

/// Numbers of the upper triangles of all spans.
std::size_t packed_elements(std::int64_t columns)
{
    std::size_t elements = 0;
    for (const Span& span : spans_of(columns)) elements += static_cast<std::size_t>(span.width * (span.width + 1) / 2);
    return elements;
}

}  // namespace

std::vector<Span> spans_of(std::int64_t columns)
{
    const std::int64_t unit = std::gcd(columns, std::int64_t{256});  // the widest block there is
    if (columns <= 0 || unit < 32) return {};
    const std::int64_t count = (columns + kWidest - 1) / kWidest;
    const std::int64_t width = (columns / unit + count - 1) / count * unit;
    std::vector<Span> spans;
    for (std::int64_t begin = 0; begin < columns; begin += width) spans.push_back({begin, std::min(width, columns - begin)});
    return spans;
}

std::size_t span_elements(std::int64_t columns)
{
    std::size_t elements = 0;
    for (const Span& span : spans_of(columns)) elements += static_cast<std::size_t>(span.width * span.width);
    return elements;
}

bool factor_inverse(InputMoments& moments, std::int64_t columns)
{
    float* next = moments.data();
    for (const Span& span : spans_of(columns)) {
        if (!factor_inverse(Eigen::Map<Matrix>(next, span.width, span.width))) return false;
        next += span.width * span.width;
    }
    return true;
}

Result<std::vector<float>> HessianFactor::read() const
{
    std::vector<Stored> packed(packed_elements(columns));
    if (auto read = file->read_at(offset, std::as_writable_bytes(std::span(packed))); !read)
        return std::unexpected(read.error());
    std::vector<float> factors(span_elements(columns));
    for_each_triangle_row(columns, [&](std::size_t at, std::size_t from, std::size_t count) {
        std::transform(packed.data() + from, packed.data() + from + count, factors.data() + at,
                       [](Stored number) { return static_cast<float>(number); });
    });
    return factors;
}

Result<HessianWriter> HessianWriter::create(const std::filesystem::path& path, const Inventory& inventory,
                                            std::span<const SharedInput> inputs)
{
    const auto stored = parse_type(kStoredType);
    if (!stored) return std::unexpected(stored.error());
    std::vector<std::string> weights;
    std::vector<std::string> firsts;
    for (const SharedInput& input : inputs) {
        for (const std::size_t t : input) {
            weights.push_back(inventory.tensors[t].name);
            firsts.push_back(inventory.tensors[input.front()].name);
        }
    }
    HeaderWriter writer(32);  // GGUF's default alignment
    writer.add_text("general.type", "hessian");
    writer.add_texts(kWeightsKey, weights);
    writer.add_texts(kInputsKey, firsts);
    std::vector<std::int64_t> columns;
    for (const SharedInput& input : inputs) {
        const Tensor& first = inventory.tensors[input.front()];
        columns.push_back(first.columns());
        const std::size_t elements = packed_elements(first.columns());
        writer.add_tensor(first.name + std::string(kSuffix), {static_cast<std::int64_t>(elements), 1, 1, 1}, *stored,
                          elements * sizeof(Stored));
    }
    HeaderLayout layout = writer.finish();
    auto file = OutputFile::create(path);
    if (!file) return std::unexpected(file.error());
    if (auto reserved = file->reserve(layout.file_bytes); !reserved) return std::unexpected(reserved.error());
    if (auto written = file->write_at(0, std::as_bytes(std::span(layout.bytes))); !written)
        return std::unexpected(written.error());
    return HessianWriter(std::move(*file), std::move(layout.offsets), std::move(columns));
}

Result<> HessianWriter::write(std::size_t input, std::span<const float> factors)
{
    std::vector<Stored> packed(packed_elements(columns_[input]));
    for_each_triangle_row(columns_[input], [&](std::size_t at, std::size_t to, std::size_t count) {
        std::transform(factors.data() + at, factors.data() + at + count, packed.data() + to,
                       [](float number) { return Stored(number); });
    });
    return file_.write_at(offsets_[input], std::as_bytes(std::span(packed)));
}

Result<> read_hessian(const std::filesystem::path& path, Inventory& inventory)
{
    auto opened = InputFile::open(path);
    if (!opened) return std::unexpected(opened.error());
    const auto container = Container::read(*opened);
    if (!container) return std::unexpected(container.error());
    const MetadataEntry* weights = container->find(kWeightsKey);
    const MetadataEntry* firsts = container->find(kInputsKey);
    if (container->text("general.type") != "hessian" || weights == nullptr || firsts == nullptr ||
        !weights->is_list_of("str") || !firsts->is_list_of("str") || weights->count != firsts->count)
        return fail("read {}: it does not hold the second moments of a model's inputs", path.string());
    std::map<std::string_view, const StoredTensor*> stored;
    for (const StoredTensor& tensor : container->tensors()) stored.emplace(tensor.name, &tensor);
    std::map<std::string_view, std::string> input_of;
    const auto names = container->texts(*weights);
    const auto inputs = container->texts(*firsts);
    for (std::size_t i = 0; i < names.size(); ++i) input_of.emplace(names[i], std::string(inputs[i]) + std::string(kSuffix));
    const auto file = std::make_shared<const InputFile>(std::move(*opened));
    std::vector<std::shared_ptr<const HessianFactor>> found(inventory.tensors.size());
    std::size_t covered = 0;
    std::size_t all = 0;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        if (tensor.place == TensorPlace::layer) ++all;
        const auto input = input_of.find(tensor.name);
        if (input == input_of.end()) continue;
        const auto factors = stored.find(input->second);
        if (factors == stored.end() || type_name(factors->second->type) != kStoredType ||
            factors->second->size_bytes != packed_elements(tensor.columns()) * sizeof(Stored))
            return fail("read {}: what it has for {} does not fit it: it is of another model", path.string(), tensor.name);
        found[t] = std::make_shared<const HessianFactor>(file, factors->second->offset, tensor.columns());
        ++covered;
    }
    if (covered == 0) return fail("read {}: it has nothing for the tensors of this model", path.string());
    // The workspace seals the file whole: the digest only has to tell files apart.
    const std::string identity = path.filename().string();
    std::vector<std::byte> sample;
    XXH64_hash_t digest = XXH3_64bits(identity.data(), identity.size());
    for (const StoredTensor& tensor : container->tensors()) {
        sample.resize(std::min<std::size_t>(4096, tensor.size_bytes));
        if (auto read = file->read_at(tensor.offset, sample); !read) return std::unexpected(read.error());
        digest = XXH3_64bits_withSeed(sample.data(), sample.size(), digest);
    }
    for (std::size_t t = 0; t < found.size(); ++t) inventory.tensors[t].hessian = std::move(found[t]);
    inventory.hessian = std::format("{:016x} covers {} of {} weights", digest, covered, all);
    return {};
}

}  // namespace apreqel
