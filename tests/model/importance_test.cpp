// Importance matrices that do not fit the model, or fit a part of it.
#include "model/importance.h"

#include "gguf/header_writer.h"
#include "support/compare.h"
#include "support/recorder.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace apreqel {
namespace {

InputSums sums_of(const Tensor& tensor, std::uint64_t inputs = 4)
{
    const auto matrices = static_cast<std::size_t>(tensor.shape[2]);
    return {.tensor = tensor.name,
            .squares = std::vector<double>(matrices * static_cast<std::size_t>(tensor.columns()), 2.0),
            .inputs = std::vector<std::uint64_t>(matrices, inputs)};
}

/// A matrix of the first `count` weights in layers.
ImportanceMatrix matrix_of(const Inventory& inventory, std::size_t count)
{
    ImportanceMatrix matrix{.tensors = {}, .text = "words", .context = 64, .chunks = 1};
    for (const Tensor& tensor : inventory.tensors)
        if (tensor.place == TensorPlace::layer && matrix.tensors.size() < count) matrix.tensors.push_back(sums_of(tensor));
    return matrix;
}

TEST_CASE("how much of the model an importance matrix covers is said and recorded", "[model]")
{
    const TempDir folder;
    Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    Recorder none;
    report_coverage(inventory, none);
    CHECK(none.warnings.empty());
    CHECK(none.steps.empty());

    REQUIRE(write_importance(folder / "part.gguf", matrix_of(inventory, 3)));
    REQUIRE(read_importance(folder / "part.gguf", inventory));
    CHECK(importance_coverage(inventory).covered == 3);
    CHECK(importance_coverage(inventory).weights == 14);
    CHECK(inventory.importance.starts_with("part.gguf "));
    CHECK(inventory.importance.ends_with("covers 3 of 14 weights"));
    Recorder partial;
    report_coverage(inventory, partial);
    REQUIRE(partial.warnings.size() == 1);
    CHECK(partial.warnings.front().contains("part.gguf"));
    CHECK(partial.warnings.front().contains("covers 3 of 14 weights; the others are quantized without"));

    // What is read next takes the place of all that.
    REQUIRE(write_importance(folder / "all.gguf", matrix_of(inventory, 14)));
    REQUIRE(read_importance(folder / "all.gguf", inventory));
    Recorder all;
    report_coverage(inventory, all);
    CHECK(all.warnings.empty());
    REQUIRE(all.outcomes.size() == 1);
    CHECK(all.outcomes.front().ends_with("covers 14 of 14 weights"));
}

TEST_CASE("an importance matrix of another model is refused and leaves the inventory as it was", "[model]")
{
    const TempDir folder;
    Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    const auto refused = [&](const ImportanceMatrix& matrix) {
        REQUIRE(write_importance(folder / "i.gguf", matrix));
        const auto read = read_importance(folder / "i.gguf", inventory);
        CHECK(inventory.importance.empty());
        CHECK(std::ranges::none_of(inventory.tensors, [](const Tensor& tensor) { return tensor.importance != nullptr; }));
        return read ? std::string() : read.error().message;
    };
    ImportanceMatrix matrix = matrix_of(inventory, 3);
    matrix.tensors.back().squares.resize(17);  // the tensors before it fit
    CHECK(refused(matrix).contains("of another model"));
    matrix = matrix_of(inventory, 3);
    for (InputSums& sums : matrix.tensors) sums.tensor = "other." + sums.tensor;
    CHECK(refused(matrix).contains("of another model"));
}

TEST_CASE("an expert that the text never reached counts its columns alike", "[model]")
{
    const TempDir folder;
    Inventory inventory = read_inventory(make_tiny_model(folder.path(), {.architecture = "qwen3moe"})).value();
    const Tensor& experts = *std::ranges::find(inventory.tensors, "blk.0.ffn_up_exps.weight", &Tensor::name);
    ImportanceMatrix matrix = matrix_of(inventory, 0);
    matrix.tensors.push_back(sums_of(experts));
    matrix.tensors.back().inputs[1] = 0;
    REQUIRE(write_importance(folder / "i.gguf", matrix));
    REQUIRE(read_importance(folder / "i.gguf", inventory));
    const auto columns = static_cast<std::size_t>(experts.columns());
    CHECK((*experts.importance)[0] == 0.5F);  // 2 ÷ 4
    CHECK((*experts.importance)[columns] == 1);
    CHECK((*experts.importance)[2 * columns] == 0.5F);
}

TEST_CASE("a mean that is not finite is an error", "[model]")
{
    const TempDir folder;
    Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    ImportanceMatrix matrix = matrix_of(inventory, 1);
    std::ranges::fill(matrix.tensors.front().squares, 3e38);
    REQUIRE(write_importance(folder / "i.gguf", matrix));
    std::string bytes = slurp(folder / "i.gguf");
    const float tiny = 1e-30F;  // as the count: no program writes that
    const Container container = Container::read(InputFile::open(folder / "i.gguf").value()).value();
    bytes.replace(container.tensors()[1].offset, sizeof tiny, reinterpret_cast<const char*>(&tiny), sizeof tiny);
    spill(folder / "i.gguf", bytes);
    CHECK(read_importance(folder / "i.gguf", inventory).error().message.contains("too large"));
}

}  // namespace
}  // namespace apreqel
