#include <apreqel/inventory.h>
#include <apreqel/measurement.h>

#include "gguf/container.h"
#include "model/fingerprint.h"
#include "model/metadata.h"
#include "model/names.h"
#include "model/readiness.h"
#include "model/residual.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_set>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

/// Half the bytes of f16, and nearly as exact.
constexpr std::string_view kInertType = "q8_0";

Result<Shard> open_shard(const fs::path& path)
{
    auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    return Shard{std::move(*file), std::move(*container)};
}

/// "-00002-of-00003.gguf": how llama.cpp names shards (llama_split_path).
std::string shard_suffix(std::uint64_t number, std::uint64_t count)
{
    return std::format("-{:05}-of-{:05}.gguf", number, count);
}

/// Opens the shards that follow the first.
Result<> open_rest(std::vector<Shard>& shards, const fs::path& path)
{
    const std::uint64_t count = shards.front().container.natural("split.count").value_or(1);
    if (count <= 1) return {};
    const std::uint64_t number = shards.front().container.natural("split.no").value_or(0) + 1;
    const std::string name = path.filename().string();
    const std::string suffix = shard_suffix(number, count);
    if (!name.ends_with(suffix)) {
        return fail("read {}: it is part {} of {}, but its name does not end in {}", path.string(), number, count, suffix);
    }
    const std::string prefix = name.substr(0, name.size() - suffix.size());
    if (number != 1) {
        return std::unexpected(
            Error{ErrorCode::usage, std::format("read {}: part {} of {}, not the first", path.string(), number, count),
                  std::format("give {}, the other parts are found beside it", prefix + shard_suffix(1, count))});
    }
    for (std::uint64_t i = 2; i <= count; ++i) {
        auto shard = open_shard(path.parent_path() / (prefix + shard_suffix(i, count)));
        if (!shard) {
            shard.error().hint = std::format("the model is split into {} files, all must be in one folder", count);
            return std::unexpected(shard.error());
        }
        const Container& part = shard->container;
        if (part.natural("split.no") != i - 1 || part.natural("split.count") != count) {
            return fail("read {}: damaged: it does not say that it is part {} of {}", shard->file.path().string(), i, count);
        }
        shards.push_back(std::move(*shard));
    }
    return {};
}

/// The model's shards, from the first on.
Result<std::vector<Shard>> open_shards(const fs::path& path)
{
    auto first = open_shard(path);
    if (!first) return std::unexpected(first.error());
    std::vector<Shard> shards;
    shards.push_back(std::move(*first));
    if (auto opened = open_rest(shards, path); !opened) return std::unexpected(opened.error());
    return shards;
}

bool is_projector(const Container& container)
{
    return container.text("general.type") == "mmproj" || container.text("general.architecture") == "clip";
}

/// Blocks for multi-token prediction (NextN) come last, and text never reaches them.
void set_aside_nextn(Inventory& inventory, const Container& container)
{
    // Fewer than the blocks: check_metadata has seen to it.
    inventory.extra_blocks = container.natural(inventory.architecture + ".nextn_predict_layers").value_or(0);
    inventory.blocks -= inventory.extra_blocks;
    for (Tensor& tensor : inventory.tensors)
        if (tensor.place == TensorPlace::layer && *block_of(tensor.name) >= inventory.blocks) tensor.place = TensorPlace::inert;
}

Result<Inventory> list_tensors(std::span<const Shard> shards)
{
    Inventory inventory;
    inventory.inert_type = *parse_type(kInertType);
    for (const Shard& shard : shards) inventory.files.push_back(shard.file.path());
    std::unordered_set<std::string_view> names;
    for (std::size_t i = 0; i < shards.size(); ++i) {
        for (const StoredTensor& stored : shards[i].container.tensors()) {
            if (!names.insert(stored.name).second) {
                return fail("read {}: damaged: tensor {} is in another part too", inventory.files[i].string(), stored.name);
            }
            Tensor tensor{.name = stored.name,
                          .role = std::string(role_of(stored.name)),
                          .shape = stored.shape,
                          .type = stored.type,
                          .size_bytes = stored.size_bytes,
                          .file = i,
                          .offset = stored.offset};
            tensor.place = place_of(tensor);
            if (can_be_quantized(tensor) && !is_known(tensor)) inventory.unknown.push_back(tensor.name);
            inventory.tensors.push_back(std::move(tensor));
        }
    }
    const auto declared = shards.front().container.natural("split.tensors.count");
    if (shards.size() > 1 && declared && *declared != inventory.tensors.size()) {
        return fail("read {}: damaged: {} tensors declared, {} found", inventory.files.front().string(), *declared,
                    inventory.tensors.size());
    }
    return inventory;
}

/// Blocks among the tensors: one more than the highest number. No tensor may name a block beyond what can exist.
Result<std::size_t> count_blocks(const Inventory& inventory)
{
    std::size_t blocks = 0;
    for (const Tensor& tensor : inventory.tensors) {
        const auto block = block_of(tensor.name);
        if (block && *block >= inventory.tensors.size()) {
            return fail("read {}: damaged: tensor {}", inventory.files.front().string(), tensor.name);
        }
        if (block) blocks = std::max(blocks, *block + 1);
    }
    return blocks;
}

void add(Group& group, const Inventory& inventory, std::size_t tensor)
{
    group.tensors.push_back(tensor);
    group.parameters += static_cast<std::uint64_t>(inventory.tensors[tensor].elements());
}

void group_layers(Inventory& inventory)
{
    std::map<std::pair<std::size_t, std::string_view>, Group> layers;  // "attn" stands before "ffn"
    for (std::size_t i = 0; i < inventory.tensors.size(); ++i) {
        const Tensor& tensor = inventory.tensors[i];
        if (tensor.place != TensorPlace::layer) continue;
        const std::size_t block = *block_of(tensor.name);
        const std::string_view part = part_of(tensor.role);
        Group& layer = layers[{block, part}];
        layer.name = std::format("blk.{}.{}", block, part);
        layer.layer = layer.name;
        layer.part = part;
        layer.block = block;
        add(layer, inventory, i);
    }
    for (auto& [key, layer] : layers) inventory.layers.push_back(std::move(layer));
}

/// general.name, if it can be shown: it ends up on terminals and in JSON.
std::string readable_name(const Container& container, const fs::path& path)
{
    const std::string name = container.text("general.name").value_or("");
    const bool readable =
        !name.empty() && name.size() < 200 && std::ranges::all_of(name, [](char c) { return c >= 0x20 && c < 0x7f; });
    return readable ? name : path.stem().string();
}

/// Tensors that libggml can read back may be quantized again. Records name the model: "NAME (q8_0)", or "NAME (q4_K, q6_K)", the
/// type of most weights first.
void take_as_reference(Inventory& inventory)
{
    std::map<QuantType, std::int64_t> weights;
    for (Tensor& tensor : inventory.tensors) {
        if (tensor.place == TensorPlace::fixed) continue;
        weights[tensor.type] += tensor.elements();
        tensor.requantize = check_target_type(tensor.type, true).has_value();
    }
    if (!inventory.from_quantized()) return;
    std::vector<std::pair<std::int64_t, QuantType>> types;
    for (const auto& [type, count] : weights) types.emplace_back(-count, type);
    std::ranges::sort(types);
    std::string names;
    for (const auto& [count, type] : types) names += (names.empty() ? "" : ", ") + type_name(type);
    inventory.name += std::format(" ({})", names);
}

}  // namespace

bool Inventory::from_quantized() const { return std::ranges::any_of(tensors, &Tensor::requantize); }

std::uint64_t Inventory::parameters() const
{
    return std::accumulate(tensors.begin(), tensors.end(), std::uint64_t{0}, [](std::uint64_t sum, const Tensor& tensor) {
        return sum + static_cast<std::uint64_t>(tensor.elements());
    });
}

std::uint64_t Inventory::size_bytes() const
{
    return std::accumulate(tensors.begin(), tensors.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Tensor& tensor) { return sum + tensor.size_bytes; });
}

std::optional<std::size_t> Inventory::find_layer(std::string_view wanted) const
{
    const auto layer = std::ranges::find(layers, wanted, &Group::name);
    if (layer == layers.end()) return std::nullopt;
    return static_cast<std::size_t>(layer - layers.begin());
}

Result<Inventory> read_inventory(const fs::path& path, bool from_quantized)
{
    const auto opened = open_shards(path);
    if (!opened) return std::unexpected(opened.error());
    const std::vector<Shard>& shards = *opened;
    if (is_projector(shards.front().container)) {
        return std::unexpected(Error{
            ErrorCode::failed, std::format("read {}: a multimodal projector (mmproj), not a language model", path.string()),
            "apreqel quantize FILE --type q8_0 -o OUT gives all its weights one type"});
    }

    auto listed = list_tensors(shards);
    if (!listed) return std::unexpected(listed.error());
    Inventory inventory = std::move(*listed);
    const auto blocks = count_blocks(inventory);
    if (!blocks) return std::unexpected(blocks.error());

    const Container& container = shards.front().container;
    if (auto checked = check_metadata(container, path.string(), *blocks); !checked) return std::unexpected(checked.error());
    inventory.blocks = *blocks;
    inventory.architecture = *container.text("general.architecture");
    set_aside_nextn(inventory, container);
    inventory.name = readable_name(container, path);
    if (from_quantized) take_as_reference(inventory);
    inventory.experts = container.natural(inventory.architecture + ".expert_count").value_or(0);
    inventory.tied_embeddings = !std::ranges::contains(inventory.tensors, "output.weight", &Tensor::name);
    group_layers(inventory);
    if (inventory.layers.empty()) return fail("read {}: no weights in its blocks that could be quantized", path.string());
    find_residual(inventory, container);
    find_obstacles(inventory, container);
    auto fingerprint = fingerprint_of(shards);
    if (!fingerprint) return std::unexpected(fingerprint.error());
    inventory.fingerprint = std::move(*fingerprint);
    return inventory;
}

Result<bool> is_projector(const fs::path& path)
{
    return open_shard(path).transform([](const Shard& shard) { return is_projector(shard.container); });
}

Result<Inventory> read_projector(const fs::path& path)
{
    const auto shards = open_shards(path);
    if (!shards) return std::unexpected(shards.error());
    const Container& container = shards->front().container;
    if (!is_projector(container)) return fail("read {}: not a multimodal projector (mmproj)", path.string());
    auto inventory = list_tensors(*shards);
    if (!inventory) return inventory;
    for (Tensor& tensor : inventory->tensors)
        tensor.place = can_be_quantized(tensor) ? TensorPlace::embedding : TensorPlace::fixed;
    inventory->unknown.clear();
    if (embedding_group(*inventory).tensors.empty()) return fail("read {}: no weights that could be quantized", path.string());
    inventory->architecture = container.text("general.architecture").value_or("clip");
    inventory->name = readable_name(container, path);
    auto fingerprint = fingerprint_of(*shards);
    if (!fingerprint) return std::unexpected(fingerprint.error());
    inventory->fingerprint = std::move(*fingerprint);
    return inventory;
}

namespace {

/// The name of the group that tensor `t` of `layer` is in: the tensor by itself, or gate and up together, as libggml computes
/// them in one step: ffn_gate and ffn_up, ffn_gate_exps and ffn_up_exps …
std::string group_name(const Inventory& inventory, const Group& layer, std::size_t t)
{
    const std::string& role = inventory.tensors[t].role;
    std::string up = role;
    std::string gate = role;
    if (gate.starts_with("ffn_up")) gate.replace(0, 6, "ffn_gate");
    if (up.starts_with("ffn_gate")) up.replace(0, 8, "ffn_up");
    const auto has = [&](const std::string& wanted) {
        return std::ranges::any_of(layer.tensors, [&](std::size_t other) { return inventory.tensors[other].role == wanted; });
    };
    const bool paired = gate != up && has(gate) && has(up);
    return std::format("blk.{}.{}", layer.block, paired ? gate + "+" + up : role);
}

/// The groups of one layer, tensor by tensor, in the order of the file.
void split_layer(const Inventory& inventory, const Group& layer, std::vector<Group>& groups)
{
    const auto first = std::ssize(groups);
    for (const std::size_t t : layer.tensors) {
        const std::string name = group_name(inventory, layer, t);
        auto group = std::ranges::find(groups.begin() + first, groups.end(), name, &Group::name);
        if (group == groups.end()) {
            groups.push_back({.name = name, .layer = layer.name, .part = layer.part, .block = layer.block, .tensors = {}});
            group = std::prev(groups.end());
        }
        add(*group, inventory, t);
    }
}

}  // namespace

std::vector<Group> groups_of(const Inventory& inventory, Granularity granularity)
{
    std::vector<Group> groups;
    for (const Group& layer : inventory.layers) {
        if (granularity == Granularity::layer)
            groups.push_back(layer);
        else
            split_layer(inventory, layer, groups);
    }
    if (Group embedding = embedding_group(inventory); !embedding.tensors.empty()) groups.push_back(std::move(embedding));
    return groups;
}

Group embedding_group(const Inventory& inventory)
{
    Group group{.name = std::string(kEmbedding), .layer = {}, .part = std::string(kEmbedding), .tensors = {}};
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t)
        if (inventory.tensors[t].place == TensorPlace::embedding) add(group, inventory, t);
    return group;
}

Result<> check_full_precision(const Inventory& inventory)
{
    for (const Tensor& tensor : inventory.tensors) {
        const bool takes_type = tensor.place == TensorPlace::layer || tensor.place == TensorPlace::embedding;
        if (!takes_type || is_full_precision(tensor.type) || tensor.requantize) continue;
        auto refused = fail("{} is {} already, and quantizing twice adds up errors: give the model in F16, BF16 or F32",
                            tensor.name, type_name(tensor.type));
        if (check_target_type(tensor.type, true))
            refused.error().hint =
                "if there is no other, run, sense, profile, quantize and inspect take it with --from-quantized; quality is "
                "then "
                "relative to it";
        return refused;
    }
    return {};
}

}  // namespace apreqel
