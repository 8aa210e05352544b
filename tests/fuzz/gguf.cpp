// The readers of GGUF files: models and importance matrices.
#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "gguf/container.h"
#include "model/importance.h"
#include "model/provenance.h"

#include <apreqel/inventory.h>

#include <array>

namespace apreqel::fuzz {
namespace {

bool accepts_container(std::string_view input)
{
    const MemoryFile bytes(input);
    const auto file = InputFile::open(bytes.path());
    if (!file) return false;
    const auto container = Container::read(*file);
    if (!container) return false;
    for (const MetadataEntry& entry : container->metadata()) {
        static_cast<void>(container->text(entry.key));
        static_cast<void>(container->natural(entry.key));
        static_cast<void>(container->number(entry.key));
        static_cast<void>(container->boolean(entry.key));
        static_cast<void>(container->naturals(entry.key, 100));
        static_cast<void>(container->encoded(entry));
        if (entry.is_list_of("str")) static_cast<void>(container->texts(entry));
    }
    return true;
}

bool accepts_model(std::string_view input)
{
    const MemoryFile file(input);
    const auto inventory = read_inventory(file.path());
    if (!inventory) return false;
    static_cast<void>(inventory->parameters());
    static_cast<void>(groups_of(*inventory, Granularity::layer));
    static_cast<void>(groups_of(*inventory, Granularity::tensor));
    static_cast<void>(embedding_group(*inventory));
    static_cast<void>(check_full_precision(*inventory));
    if (const auto provenance = read_provenance(file.path())) static_cast<void>(file_stem_of(*provenance, "model.gguf"));
    return true;
}

/// A dense tensor of 32 columns and one of two experts with 16 each.
bool accepts_importance(std::string_view input)
{
    Inventory inventory;
    inventory.tensors.resize(2);
    inventory.tensors[0].name = "blk.0.attn_q.weight";
    inventory.tensors[0].shape = {32, 4, 1, 1};
    inventory.tensors[0].place = TensorPlace::layer;
    inventory.tensors[1].name = "blk.0.ffn_up_exps.weight";
    inventory.tensors[1].shape = {16, 4, 2, 1};
    inventory.tensors[1].place = TensorPlace::layer;
    const MemoryFile file(input);
    return read_importance(file.path(), inventory).has_value();
}

constexpr std::array kGgufTargets{
    Target{"container", accepts_container},
    Target{"model", accepts_model},
    Target{"importance", accepts_importance},
};

}  // namespace

std::span<const Target> gguf_targets() { return kGgufTargets; }

}  // namespace apreqel::fuzz
