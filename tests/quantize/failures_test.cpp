// What write_models refuses, and that it leaves nothing behind.
#include "quantize/write_models.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <limits>
#include <set>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

namespace {

std::set<std::string> files_in(const std::filesystem::path& folder)
{
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
    return names;
}

/// The error of writing, after checking that the folder is as it was.
Error refused(const Inventory& inventory, const ModelSpec& spec, const std::vector<DonorFile>& donors = {},
              Monitor&& monitor = {})
{
    const auto folder = inventory.files.front().parent_path();
    const auto before = files_in(folder);
    const auto written = write_models(inventory, std::span(&spec, 1), donors, 2, monitor);
    REQUIRE_FALSE(written);
    CHECK_FALSE(written.error().message.contains('\n'));
    CHECK(files_in(folder) == before);
    return written.error();
}

/// Overwrites the first weight of a tensor in a file.
template <typename T>
void set_weight(const Tensor& tensor, const std::filesystem::path& path, T value)
{
    std::string bytes = slurp(path);
    bytes.replace(tensor.offset, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
    spill(path, bytes);
}

struct Warned : Monitor {
    void warn(std::string_view message) override { warnings.emplace_back(message); }
    std::vector<std::string> warnings;
};

struct Impatient : Monitor {
    bool stop_requested() const override { return true; }
};

}  // namespace

TEST_CASE("a stopped write says so and leaves nothing", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    spill(folder / "out.gguf", "what was there");
    CHECK(refused(inventory, uniform(inventory, folder / "out.gguf"), {}, Impatient()).code == ErrorCode::interrupted);
    CHECK(slurp(folder / "out.gguf") == "what was there");
}

TEST_CASE("weights that are not numbers are an error naming the tensor", "[quantize]")
{
    const TempDir folder;
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        const auto path = make_tiny_model(folder.path(), {.type = 0});
        set_weight(tensor(read_inventory(path).value(), "blk.1.ffn_up.weight"), path, bad);
        const Inventory inventory = read_inventory(path).value();
        CHECK_THAT(refused(inventory, uniform(inventory, folder / "out.gguf")).message,
                   ContainsSubstring("blk.1.ffn_up.weight"));
    }
}

TEST_CASE("weights too large for a type's scale are an error, not garbage", "[quantize]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path(), {.type = 0});
    set_weight(tensor(read_inventory(path).value(), "blk.0.attn_q.weight"), path, 1e30F);
    const Inventory inventory = read_inventory(path).value();
    for (const std::string name : {"q3_K", "q4_K", "q8_0", "iq4_nl"}) {
        CAPTURE(name);
        CHECK_THAT(refused(inventory, uniform(inventory, folder / "out.gguf", name)).message,
                   ContainsSubstring("blk.0.attn_q.weight"));
    }
}

TEST_CASE("the source is never overwritten", "[quantize]")
{
    const TempDir folder;
    const auto path = make_tiny_model(folder.path());
    const Inventory inventory = read_inventory(path).value();
    CHECK(refused(inventory, uniform(inventory, path)).code == ErrorCode::usage);
    std::filesystem::create_symlink(path, folder / "link.gguf");
    CHECK(refused(inventory, uniform(inventory, folder / "link.gguf")).code == ErrorCode::usage);
    std::filesystem::create_hard_link(path, folder / "hard.gguf");
    CHECK(refused(inventory, uniform(inventory, folder / "hard.gguf")).code == ErrorCode::usage);
}

TEST_CASE("a place that cannot be written is an error", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    CHECK_THAT(refused(inventory, uniform(inventory, folder / "no" / "out.gguf")).message,
               ContainsSubstring("No such file or directory"));
    std::filesystem::create_directory(folder / "taken.gguf");
    CHECK_THAT(refused(inventory, uniform(inventory, folder / "taken.gguf")).message, ContainsSubstring("taken.gguf"));
}

TEST_CASE("a donor that is damaged, of another model or no such file is named once and not used", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    const Inventory other = read_inventory(make_tiny_model(folder.path(), {.seed = 2, .file = "other.gguf"})).value();
    Monitor quiet;
    const std::vector direct{uniform(inventory, folder / "direct.gguf"), uniform(inventory, folder / "donor.gguf")};
    REQUIRE(write_models(inventory, direct, {}, 2, quiet));
    const std::vector elsewhere{uniform(other, folder / "elsewhere.gguf")};
    REQUIRE(write_models(other, elsewhere, {}, 2, quiet));

    const auto spliced_from = [&](const std::filesystem::path& donor) {
        Warned monitor;
        const ModelSpec spec = uniform(inventory, folder / "out.gguf");
        const auto before = files_in(folder.path());
        const DonorFile file(donor);
        const auto written = write_models(inventory, std::span(&spec, 1), std::span(&file, 1), 2, monitor);
        INFO((written ? "" : written.error().message));
        REQUIRE(written);
        CHECK(same_bytes(folder / "direct.gguf", folder / "out.gguf"));
        std::filesystem::remove(folder / "out.gguf");
        CHECK(files_in(folder.path()) == before);
        return monitor.warnings;
    };
    CHECK(spliced_from(folder / "donor.gguf").empty());
    const auto named = [&](const std::string& file) {
        const auto warnings = spliced_from(folder / file);
        return warnings.size() == 1 && warnings.front().contains(file);
    };
    CHECK(named("elsewhere.gguf"));
    CHECK(named("other.gguf"));
    CHECK(named("none.gguf"));
    const std::string whole = slurp(folder / "donor.gguf");
    const Inventory donor = read_inventory(folder / "donor.gguf").value();
    std::string flipped = whole;
    flipped[tensor(donor, "blk.1.ffn_up.weight").offset + 1000] ^= 1;
    spill(folder / "donor.gguf", flipped);
    CHECK(named("donor.gguf"));
    spill(folder / "donor.gguf", whole.substr(0, whole.size() / 2));
    CHECK(named("donor.gguf"));
    spill(folder / "donor.gguf", "");
    CHECK(named("donor.gguf"));
}

TEST_CASE("a source that changed since it was read is noticed", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    make_tiny_model(folder.path(), {.blocks = 3});
    CHECK_THAT(refused(inventory, uniform(inventory, folder / "out.gguf")).message, ContainsSubstring("changed"));
    std::filesystem::remove(inventory.files.front());
    CHECK_THAT(refused(inventory, uniform(inventory, folder / "out.gguf")).message, ContainsSubstring("llama.gguf"));
}

TEST_CASE("impossible types are usage errors", "[quantize]")
{
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path(), {.width = 224})).value();
    ModelSpec spec = uniform(inventory, folder / "out.gguf");
    spec.types.pop_back();
    CHECK(refused(inventory, spec).code == ErrorCode::usage);

    const auto with = [&](std::string_view name, const std::string& wanted) {
        ModelSpec changed = uniform(inventory, folder / "out.gguf");
        changed.types[static_cast<std::size_t>(&tensor(inventory, name) - inventory.tensors.data())] = type(wanted);
        return changed;
    };
    CHECK(refused(inventory, with("blk.0.attn_norm.weight", "q8_0")).code == ErrorCode::usage);  // llama.cpp never quantizes it
    CHECK(refused(inventory, with("blk.0.attn_q.weight", "q4_K")).code == ErrorCode::usage);     // rows of 224
    CHECK(refused(inventory, with("blk.0.attn_q.weight", "iq2_xxs")).code == ErrorCode::usage);  // needs an importance matrix
    CHECK(refused(inventory, with("blk.0.attn_q.weight", "i8")).code == ErrorCode::usage);
}

TEST_CASE("a quantized model is copied but not quantized again", "[quantize]")
{
    const TempDir folder;
    const Inventory full = read_inventory(make_tiny_model(folder.path())).value();
    CHECK(check_full_precision(full));
    Monitor monitor;
    const std::vector variant{uniform(full, folder / "q4_K.gguf")};
    REQUIRE(write_models(full, variant, {}, 2, monitor));
    const Inventory quantized = read_inventory(folder / "q4_K.gguf").value();
    CHECK(check_full_precision(quantized).error().message.contains("already"));
    CHECK(refused(quantized, uniform(quantized, folder / "out.gguf", "q8_0")).code == ErrorCode::usage);
    const std::vector copy{uniform(quantized, folder / "copy.gguf", "q4_K")};
    REQUIRE(write_models(quantized, copy, {}, 2, monitor));
    CHECK(different_tensor(folder / "q4_K.gguf", folder / "copy.gguf").empty());
}
