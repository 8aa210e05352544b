// quantize_bench make DIR          writes DIR/llama.gguf, a synthetic model of 336 M parameters
// quantize_bench variants DIR      writes the paper's five uniform variants, in one read of the source
// quantize_bench mixes DIR N       splices N mixed models from them, and keeps their plans as tensor type files
#include "base/file.h"
#include "base/monitor.h"
#include "quantize/write_models.h"
#include "support/tiny_model.h"

#include <apreqel/plan.h>

#include <cstdio>
#include <cstdlib>
#include <format>
#include <print>
#include <random>

namespace {

using namespace apreqel;

const std::vector<std::string> kTypes{"q3_K", "q4_K", "q5_K", "q6_K", "q8_0"};

void check(const Result<>& result)
{
    if (result) return;
    std::println(stderr, "{}", result.error().message);
    std::exit(1);
}

void make(const std::filesystem::path& folder)
{
    make_tiny_model(folder, {.blocks = 24, .width = 1024, .ffn = 3072, .heads = 16, .kv_heads = 8, .vocabulary = 16384});
}

std::vector<std::filesystem::path> variant_paths(const std::filesystem::path& folder)
{
    std::vector<std::filesystem::path> paths;
    for (const std::string& type : kTypes) paths.push_back(folder / (type + ".gguf"));
    return paths;
}

void variants(const std::filesystem::path& folder)
{
    const auto inventory = read_inventory(folder / "llama.gguf");
    const auto paths = variant_paths(folder);
    std::vector<ModelSpec> specs;
    for (std::size_t i = 0; i < kTypes.size(); ++i) {
        specs.push_back({.path = paths[i],
                         .types = assign_types(*inventory, *parse_type(kTypes[i]), *parse_type("q6_K")).types,
                         .notes = {}});
    }
    Monitor monitor;
    check(write_models(*inventory, specs, {}, 2, monitor));
}

void mixes(const std::filesystem::path& folder, int count)
{
    const auto inventory = read_inventory(folder / "llama.gguf");
    std::vector<DonorFile> donors;
    for (auto& path : variant_paths(folder)) donors.emplace_back(std::move(path));
    std::mt19937_64 random(1);
    for (int mix = 0; mix < count; ++mix) {
        std::vector<Variant> types;
        Plan plan;
        for (const Group& layer : inventory->layers) {
            const std::string& type = kTypes[random() % kTypes.size()];
            types.push_back(*parse_type(type));
            plan.allocation.push_back({layer.name, type});
        }
        check(write_text(folder / std::format("mix{}.types", mix), tensor_type_file(plan).value()));
        const ModelSpec spec{
            .path = folder / "mix.gguf", .types = assign_types(*inventory, types, *parse_type("q6_K")).types, .notes = {}};
        Monitor monitor;
        check(write_models(*inventory, std::span(&spec, 1), donors, 2, monitor));
    }
}

}  // namespace

int main(int argc, char** argv)
{
    const std::string verb = argc > 2 ? argv[1] : "";
    if (verb == "make")
        make(argv[2]);
    else if (verb == "variants")
        variants(argv[2]);
    else if (verb == "mixes" && argc > 3)
        mixes(argv[2], std::atoi(argv[3]));
    else
        return 2;
}
