// The times of a model that is not there.
#include "support/lab.h"

#include "quantize/palette.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

namespace apreqel {
namespace {

/// A lab whose study is of the model's shape.
struct ShapeLab : Lab {
    ShapeLab() : Lab(false)
    {
        runtime->world.noise = 0;
        settings.mixes = Mixes::with_embedding;
    }

    Study shape_study()
    {
        Study made = study("bench");
        const ModelShape shape = parse_shape(to_json(shape_of(made.inventory).value())).value();
        made.inventory = open_shape(shape, "shape.json", folder / "opened.gguf").value();
        return made;
    }
};

TEST_CASE("a bench of a shape finds what an outlook of the model does", "[study][fake]")
{
    ShapeLab lab;
    lab.settings.context = 64;
    const auto whole = outlook(lab.study());
    REQUIRE(whole);
    const auto found = bench(lab.shape_study());
    REQUIRE(found);
    const DeviceProfile* const device = &found->device;
    CHECK(found->model.types.front().memory_bytes == whole->model.types.front().memory_bytes);
    CHECK(device->model == whole->model.model);
    CHECK(device->embedding_type == whole->model.embedding_type);
    REQUIRE(device->models.size() == whole->device.models.size());
    for (std::size_t m = 0; m < device->models.size(); ++m) {
        CHECK(device->models[m].name == whole->device.models[m].name);
        CHECK(device->models[m].speed.latency_ms.median == whole->device.models[m].speed.latency_ms.median);
    }
    const DeviceProfile kept = parse_device_profile(to_json(*device)).value();
    CHECK(to_json(kept) == to_json(*device));
    CHECK(kept.context == ContextMemory{.tokens = 64, .cache_bytes = 128, .buffer_bytes = 10});
    CHECK(kept.workload == Workload{lab.settings.speed.prompt, lab.settings.speed.generated, 0});
}

TEST_CASE("a bench times types that need an importance matrix, under their own names", "[study][fake]")
{
    ShapeLab lab;
    lab.model = make_tiny_model(lab.folder.path(), {.blocks = 1, .type = 0, .file = "wide.gguf"});
    Study study = lab.shape_study();
    study.settings.types = fitting_types(study.inventory);
    const auto found = bench(study);
    REQUIRE(found);
    CHECK(std::ranges::contains(found->device.models, "iq2_xxs", &TimedModel::name));
    CHECK(!to_json(found->device).contains("+imatrix"));
}

TEST_CASE("a bench that is stopped or fails leaves no shape and says so", "[study][fake]")
{
    ShapeLab lab;
    const bool stop = GENERATE(false, true);
    (stop ? lab.runtime->faults.stop_at : lab.runtime->faults.fail_at) = 1;
    const auto device = bench(lab.shape_study());
    REQUIRE(!device);
    CHECK(device.error().code == (stop ? ErrorCode::interrupted : ErrorCode::failed));
    CHECK(std::filesystem::is_empty(lab.folder / "bench" / "shapes"));
}

}  // namespace
}  // namespace apreqel
