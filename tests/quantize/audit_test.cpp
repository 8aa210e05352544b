// What was written is what is read back.
#include "quantize/audit.h"

#include "quantize/layout.h"
#include "support/compare.h"
#include "support/inventory.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>

namespace apreqel {
namespace {

struct Written {
    TempDir folder;
    // Rows of 160 and 320 bytes in q5_0 and an odd vocabulary, so that there is padding.
    Inventory inventory = read_inventory(make_tiny_model(folder.path(), {.width = 224, .vocabulary = 321})).value();
    std::filesystem::path path = folder / "out.gguf";

    explicit Written(unsigned threads = 2, const std::vector<DonorFile>& donors = {})
    {
        Monitor monitor;
        const ModelSpec spec{path, assign_types(inventory, type("q5_0"), type("q8_0")).types, {}};
        REQUIRE(write_models(inventory, std::span(&spec, 1), donors, threads, monitor));
    }

    Container container() const { return Container::read(InputFile::open(path).value()).value(); }
};

TEST_CASE("a byte that changes after writing is found, wherever it is", "[quantize]")
{
    const Written written;
    REQUIRE(verify(written.path));
    const std::string whole = slurp(written.path);
    const Container container = written.container();
    std::set<std::size_t> places{0, whole.size() - 1};
    for (std::size_t place = 0; place < container.tensors().front().offset; place += 487) places.insert(place);  // header
    const MetadataEntry& digests = *container.find(kDigestsKey);
    places.insert({digests.value, digests.end - 1});
    std::size_t padding = 0;
    for (const StoredTensor& tensor : container.tensors()) {
        const std::size_t end = tensor.offset + tensor.size_bytes;
        places.insert({tensor.offset, tensor.offset + tensor.size_bytes / 2, end - 1});
        if (end % container.alignment() == 0) continue;
        places.insert(end);
        ++padding;
    }
    REQUIRE(padding > 0);
    for (const std::size_t place : places) {
        CAPTURE(place);
        std::string changed = whole;
        changed[place] = static_cast<char>(changed[place] ^ 1);
        spill(written.path, changed);
        const auto found = verify(written.path);
        REQUIRE(!found);
        CHECK(found.error().message.contains("out.gguf"));
        CHECK(!found.error().message.contains('\n'));
    }
    for (const std::string& changed : {whole + "x", whole.substr(0, whole.size() - 1), whole.substr(0, 100), std::string()}) {
        CAPTURE(changed.size());
        spill(written.path, changed);
        CHECK(!verify(written.path));
    }
    spill(written.path, whole);
    CHECK(verify(written.path));
}

TEST_CASE("two blocks of a tensor that change places are found", "[quantize]")
{
    const Written written;
    std::string bytes = slurp(written.path);
    const Container container = written.container();
    const StoredTensor& tensor = *std::ranges::max_element(container.tensors(), {}, &StoredTensor::size_bytes);
    // The digests of blocks add up, so that their order must be in them.
    const std::vector<std::byte> block(64);
    CHECK(block_digest(block, 0) != block_digest(block, block_rows(tensor.shape[0])));
    std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(tensor.offset),
                     bytes.begin() + static_cast<std::ptrdiff_t>(tensor.offset + 22),  // a block of q5_0
                     bytes.begin() + static_cast<std::ptrdiff_t>(tensor.offset + 44));
    spill(written.path, bytes);
    CHECK(verify(written.path).error().message.contains(tensor.name));
}

TEST_CASE("a file is audited against the header it was to have", "[quantize]")
{
    const Written written;
    const Container container = written.container();
    const Container source = Container::read(InputFile::open(written.inventory.files.front()).value()).value();
    const ModelSpec spec{written.path, assign_types(written.inventory, type("q5_0"), type("q8_0")).types, {}};
    HeaderLayout layout = lay_out(written.inventory, source, spec, recorded_digests(container));
    std::uint64_t read = 0;
    REQUIRE(audit(written.path, layout, [&](std::uint64_t bytes) { return (read += bytes) > 0; }));
    CHECK(read == std::filesystem::file_size(written.path));  // once, and all of it
    std::vector<std::uint64_t> digests = recorded_digests(container);
    ++digests[3];
    CHECK(!audit(written.path, lay_out(written.inventory, source, spec, digests)));
    const auto stopped = audit(written.path, layout, [](std::uint64_t) { return false; });
    CHECK(stopped.error().code == ErrorCode::interrupted);
}

TEST_CASE("digests are the same for every number of threads and for spliced bytes", "[quantize]")
{
    const Written one(1);
    const Written four(4);
    const Written spliced(3, {one.path});
    const auto digests = recorded_digests(one.container());
    CHECK(digests.size() == one.inventory.tensors.size() + 1);
    CHECK(std::set(digests.begin(), digests.end()).size() == digests.size());
    CHECK(same_bytes(one.path, four.path));
    CHECK(same_bytes(one.path, spliced.path));
}

TEST_CASE("a stop while the file is read back leaves nothing", "[quantize]")
{
    /// Asks to stop once everything is written.
    struct Late : Monitor {
        void begin(std::string_view, double all) override { total = all; }
        void advance(double done) override { stop = done > 0.9 * total; }
        [[nodiscard]] bool stop_requested() const override { return stop; }
        double total = 0;
        bool stop = false;
    };
    const TempDir folder;
    const Inventory inventory = read_inventory(make_tiny_model(folder.path())).value();
    const ModelSpec spec{folder / "out.gguf", assign_types(inventory, type("q4_K"), type("q4_K")).types, {}};
    Late monitor;
    const auto written = write_models(inventory, std::span(&spec, 1), {}, 1, monitor);
    REQUIRE(!written);
    CHECK(written.error().code == ErrorCode::interrupted);
    CHECK(std::ranges::distance(std::filesystem::directory_iterator(folder.path())) == 1);  // the model
}

TEST_CASE("a file without digests is not taken for whole", "[quantize]")
{
    const Written written;
    CHECK(verify(written.inventory.files.front()).error().message.contains("no digests"));
}

}  // namespace
}  // namespace apreqel
