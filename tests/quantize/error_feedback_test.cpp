// Rounding with error feedback, against rounding to the nearest and against what it minimizes.
#include "quantize/error_feedback.h"

#include "model/hessian.h"
#include "quantize/convert.h"
#include "quantize/write_models.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <ggml.h>
#include <Eigen/Dense>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <random>

namespace apreqel {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Rows normal_rows(Eigen::Index rows, Eigen::Index columns, unsigned seed)
{
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    return Rows::NullaryExpr(rows, columns, [&] { return normal(random); });
}

/// Σ x·xᵀ of inputs that depend on each other: one strong direction beside noise.
InputMoments correlated_moments(std::int64_t columns)
{
    const Rows common = normal_rows(1, columns, 5);
    const Rows inputs = normal_rows(600, 1, 6) * common * 2 + normal_rows(600, columns, 7);
    InputMoments moments;
    for (const Span& span : spans_of(columns)) {
        const Rows part = inputs.middleCols(span.begin, span.width);
        const Rows sums = part.transpose() * part;
        moments.insert(moments.end(), sums.data(), sums.data() + sums.size());
    }
    return moments;
}

/// H as it is believed: 0.7 of what is beside the diagonal, and 1 % of the mean of the diagonal added to it.
Eigen::MatrixXd believed(const Rows& moments)
{
    Eigen::MatrixXd matrix = 0.7 * moments.cast<double>();
    const Eigen::VectorXd diagonal = moments.diagonal().cast<double>();
    matrix.diagonal() = diagonal.array() + 0.01 * diagonal.mean();
    return matrix;
}

/// Σ (ŵ − w)H(ŵ − w)ᵀ over rows.
double output_error(const Rows& difference, const InputMoments& moments)
{
    double sum = 0;
    const float* next = moments.data();
    for (const Span& span : spans_of(difference.cols())) {
        const Eigen::Map<const Rows> matrix(next, span.width, span.width);
        const Rows part = difference.middleCols(span.begin, span.width);
        sum += (part * matrix).cwiseProduct(part).cast<double>().sum();
        next += span.width * span.width;
    }
    return sum;
}

/// An inventory of one tensor with these second moments of its input.
struct World {
    TempDir folder;
    Inventory inventory;
    InputMoments moments;

    explicit World(InputMoments of, std::int64_t columns, std::int64_t rows) : moments(std::move(of))
    {
        Tensor tensor{.name = "blk.0.ffn_up.weight", .role = "ffn_up", .shape = {columns, rows, 1, 1}, .type = type("f32")};
        tensor.place = TensorPlace::layer;
        inventory.tensors.push_back(tensor);
        const std::vector<SharedInput> inputs{{0}};
        InputMoments factors = moments;
        REQUIRE(factor_inverse(factors, columns));
        auto writer = HessianWriter::create(folder / "hessian.gguf", inventory, inputs);
        REQUIRE(writer);
        REQUIRE(writer->write(0, factors));
        REQUIRE(writer->commit());
        REQUIRE(read_hessian(folder / "hessian.gguf", inventory));
    }

    std::vector<std::byte> round(const Rows& rows, QuantType to, std::int64_t first = 0) const
    {
        RowConverter converter;
        REQUIRE(converter.load(inventory.tensors[0],
                               std::as_bytes(std::span(rows.data(), static_cast<std::size_t>(rows.size()))), first,
                               rows.rows()));
        const auto rounded = converter.round(to);
        REQUIRE(rounded);
        return {rounded->begin(), rounded->end()};
    }
};

Rows dequantized(std::span<const std::byte> stored, QuantType of, const Rows& like)
{
    Rows rows(like.rows(), like.cols());
    ggml_get_type_traits(static_cast<ggml_type>(of.id))->to_float(stored.data(), rows.data(), rows.size());
    return rows;
}

TEST_CASE("spans cover all columns and every block fits them", "[quantize]")
{
    for (const std::int64_t columns : {32, 96, 576, 1024, 1536, 4096, 14336, 18944}) {
        std::int64_t next = 0;
        for (const Span& span : spans_of(columns)) {
            CHECK(span.begin == next);
            CHECK(span.width <= 1024);
            CHECK(span.width % (columns % 256 == 0 ? 256 : 32) == 0);
            next += span.width;
        }
        CHECK(next == columns);
    }
    CHECK(spans_of(80).empty());
}

TEST_CASE("the factor of the inverse is what GPTQ takes", "[quantize]")
{
    constexpr std::int64_t kColumns = 96;
    const InputMoments moments = correlated_moments(kColumns);
    InputMoments factors = moments;
    REQUIRE(factor_inverse(factors, kColumns));
    const Eigen::MatrixXd damped = believed(Eigen::Map<const Rows>(moments.data(), kColumns, kColumns));
    const Eigen::MatrixXd upper = Eigen::Map<const Rows>(factors.data(), kColumns, kColumns).cast<double>();
    CHECK(upper.isUpperTriangular(0));
    CHECK((upper.transpose() * upper * damped - Eigen::MatrixXd::Identity(kColumns, kColumns)).cwiseAbs().maxCoeff() < 1e-3);

    InputMoments none(kColumns * kColumns);
    REQUIRE(factor_inverse(none, kColumns));
    CHECK(Eigen::Map<const Rows>(none.data(), kColumns, kColumns).isIdentity());
    InputMoments infinite = moments;
    infinite[0] = std::numeric_limits<float>::infinity();
    CHECK_FALSE(factor_inverse(infinite, kColumns));
}

TEST_CASE("codes of weights are found where they have any", "[quantize]")
{
    for (const auto& [name, levels] : {std::pair("q2_K", 4),
                                       {"q3_K", 8},
                                       {"q4_0", 16},
                                       {"q4_1", 16},
                                       {"q4_K", 16},
                                       {"iq4_nl", 16},
                                       {"iq4_xs", 16},
                                       {"mxfp4", 16},
                                       {"q5_0", 32},
                                       {"q5_1", 32},
                                       {"q5_K", 32},
                                       {"q6_K", 64}}) {
        INFO(name);
        CHECK(BlockCodes(type(name)).levels() == static_cast<std::size_t>(levels));
    }
    for (const char* name : {"q8_0", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq1_s"}) {
        INFO(name);
        CHECK(BlockCodes(type(name)).empty());
    }
}

TEST_CASE("error feedback changes what a layer puts out less than rounding to the nearest", "[quantize]")
{
    constexpr std::int64_t kColumns = 1536;  // two spans
    World world(correlated_moments(kColumns), kColumns, 24);
    const Rows weights = normal_rows(24, kColumns, 1);
    // To the nearest as llama-quantize does it, with the importance matrix of the same inputs.
    auto importance = std::make_shared<std::vector<float>>();
    const float* next = world.moments.data();
    for (const Span& span : spans_of(kColumns)) {
        for (std::int64_t c = 0; c < span.width; ++c) importance->push_back(next[c * span.width + c]);
        next += span.width * span.width;
    }
    Tensor weighted = world.inventory.tensors[0];
    weighted.importance = importance;
    RowConverter converter;
    REQUIRE(
        converter.load(weighted, std::as_bytes(std::span(weights.data(), static_cast<std::size_t>(weights.size()))), 0, 24));
    for (const char* name : {"q2_K", "q3_K", "q4_0", "q4_K", "iq4_xs", "q6_K", "iq3_s", "iq2_xxs", "q8_0"}) {
        INFO(name);
        const auto rounded = world.round(weights, type(name));
        const auto nearest = converter.convert(type(name));
        REQUIRE(nearest);
        REQUIRE(rounded.size() == nearest->size());
        const double with = output_error(dequantized(rounded, type(name), weights) - weights, world.moments);
        const double without = output_error(dequantized(*nearest, type(name), weights) - weights, world.moments);
        INFO(with << " against " << without);
        CHECK(with < 0.9 * without);
    }
}

TEST_CASE("the output's energy is that of the second moments", "[quantize]")
{
    constexpr std::int64_t kColumns = 1536;
    const World world(correlated_moments(kColumns), kColumns, 4);
    const Rows weights = normal_rows(4, kColumns, 1);
    double exact = 0;
    const float* next = world.moments.data();
    for (const Span& span : spans_of(kColumns)) {
        const Eigen::MatrixXd matrix = believed(Eigen::Map<const Rows>(next, span.width, span.width));
        const Eigen::MatrixXd part = weights.middleCols(span.begin, span.width).cast<double>();
        exact += (part * matrix).cwiseProduct(part).sum();
        next += span.width * span.width;
    }
    FeedbackRounder rounder;
    std::vector<float> values(weights.data(), weights.data() + weights.size());
    const auto energy = rounder.output_energy(world.inventory.tensors[0].hessian, values, 4);
    REQUIRE(energy);
    CHECK_THAT(*energy, WithinRel(exact, 5e-3));  // factors are kept in 8 significant bits
}

TEST_CASE("where inputs have nothing to do with each other, every weight is rounded to the nearest level", "[quantize]")
{
    constexpr std::int64_t kColumns = 64;
    InputMoments moments(kColumns * kColumns);
    for (std::size_t c = 0; c < kColumns; ++c) moments[c * kColumns + c] = 1;
    const World world(std::move(moments), kColumns, 8);
    const Rows weights = normal_rows(8, kColumns, 2);
    const auto stored = world.round(weights, type("q4_0"));
    const Rows image = dequantized(stored, type("q4_0"), weights);
    for (Eigen::Index row = 0; row < weights.rows(); ++row) {
        for (Eigen::Index block = 0; block < kColumns; block += 32) {
            // d in f16, then 16 bytes of two codes each: the levels are −8 d … 7 d.
            const std::size_t at = static_cast<std::size_t>(row * kColumns / 32 + block / 32) * 18;
            ggml_fp16_t half = 0;
            std::memcpy(&half, &stored[at], sizeof half);
            const float step = ggml_fp16_to_fp32(half);
            for (Eigen::Index c = block; c < block + 32; ++c) {
                float least = std::numeric_limits<float>::infinity();
                for (int level = -8; level < 8; ++level)
                    least = std::min(least, std::abs(step * static_cast<float>(level) - weights(row, c)));
                CHECK_THAT(std::abs(image(row, c) - weights(row, c)), WithinAbs(least, 1e-6));
            }
        }
    }
}

TEST_CASE("a row is rounded alike whichever rows are with it", "[quantize]")
{
    constexpr std::int64_t kColumns = 512;
    const std::string name = GENERATE("q4_K", "q5_0", "iq3_s");
    World world(correlated_moments(kColumns), kColumns, 21);
    const Rows weights = normal_rows(21, kColumns, 3);
    const auto whole = world.round(weights, type(name));
    std::vector<std::byte> pieces;
    for (Eigen::Index row = 0; row < weights.rows();) {
        const Eigen::Index rows = std::min<Eigen::Index>(1 + row % 9, weights.rows() - row);
        const auto piece = world.round(weights.middleRows(row, rows), type(name), row);
        pieces.insert(pieces.end(), piece.begin(), piece.end());
        row += rows;
    }
    CHECK(pieces == whole);
}

TEST_CASE("what is no file of Hessians, or of another model, is refused", "[quantize]")
{
    World world(correlated_moments(64), 64, 4);
    Inventory other = world.inventory;
    other.tensors[0].hessian = nullptr;
    other.tensors[0].name = "blk.7.ffn_up.weight";
    CHECK_FALSE(read_hessian(world.folder / "hessian.gguf", other));
    other = world.inventory;
    other.tensors[0].hessian = nullptr;
    other.tensors[0].shape[0] = 96;
    CHECK_FALSE(read_hessian(world.folder / "hessian.gguf", other));
    CHECK(other.tensors[0].hessian == nullptr);
    CHECK_FALSE(read_hessian(make_tiny_model(world.folder.path()), world.inventory));
    CHECK_FALSE(read_hessian(world.folder / "none.gguf", world.inventory));
}

}  // namespace
}  // namespace apreqel
