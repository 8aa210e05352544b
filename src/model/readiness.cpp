#include "model/readiness.h"

#include "base/joined.h"
#include "gguf/container.h"
#include "model/names.h"

#include <algorithm>
#include <cctype>
#include <span>

namespace apreqel {
namespace {

constexpr std::uint64_t kF16Bytes = 2;

/// "ffn_gate.0": a tensor for each expert, as written before 2024; libllama wants them in one.
bool is_split_expert(std::string_view role)
{
    return role.starts_with("ffn_") && role.contains('.') && std::isdigit(static_cast<unsigned char>(role.back())) != 0;
}

/// Weights of a type that libggml multiplies with nothing. Tables of indices are integers rightly.
bool is_not_computable(const Tensor& tensor)
{
    return tensor.name.ends_with(".weight") && !tensor.name.contains("tid2eid") && !is_quantized(tensor.type) &&
           !is_full_precision(tensor.type);
}

/// The values of a key that is one number for all blocks or one for each.
std::optional<std::vector<std::uint64_t>> per_block(const Container& container, const std::string& key, std::size_t blocks)
{
    if (const auto one = container.natural(key)) return std::vector<std::uint64_t>(blocks, *one);
    auto each = container.naturals(key, std::uint64_t{1} << 16);
    if (!each || each->size() < blocks) return std::nullopt;
    each->resize(blocks);
    return each;
}

/// Heads of keys and values times their sizes, in f16. Not known where blocks keep something else: a latent, a window, a state.
std::optional<std::uint64_t> kv_bytes(const Inventory& inventory, const Container& container)
{
    constexpr std::uint64_t kMost = 1 << 20;  // of any factor: far above real models, and the product cannot overflow
    const auto key = [&](std::string_view name) { return inventory.architecture + "." + std::string(name); };
    for (const std::string_view name :
         {"attention.kv_lora_rank", "attention.sliding_window", "attention.shared_kv_layers", "attention.key_length_swa"}) {
        if (container.find(key(name)) != nullptr) return std::nullopt;
    }
    if (inventory.residual == Residual::other) return std::nullopt;
    const auto heads = per_block(container, key("attention.head_count"), inventory.blocks);
    const auto width = container.natural(key("embedding_length"));
    if (!heads || !width) return std::nullopt;
    auto kv_heads = heads;
    if (container.find(key("attention.head_count_kv")) != nullptr)
        kv_heads = per_block(container, key("attention.head_count_kv"), inventory.blocks);
    // libllama's default for both lengths: the width over the heads of the first block.
    if (!kv_heads || heads->empty() || heads->front() == 0) return std::nullopt;
    const std::uint64_t share = *width / heads->front();
    const std::uint64_t length = container.natural(key("attention.key_length")).value_or(share) +
                                 container.natural(key("attention.value_length")).value_or(share);
    std::uint64_t bytes = 0;
    for (const std::uint64_t count : *kv_heads) {
        if (count > kMost || length > kMost) return std::nullopt;
        bytes += count * length * kF16Bytes;
    }
    return bytes;
}

/// The first of `names`, and that there are more.
std::string listed(std::span<const std::string> names)
{
    constexpr std::size_t kShown = 8;
    const std::string text = joined(names.first(std::min(kShown, names.size())), ", ");
    return names.size() > kShown ? text + " …" : text;
}

}  // namespace

void find_obstacles(Inventory& inventory, const Container& container)
{
    inventory.kv_bytes_per_token = kv_bytes(inventory, container).value_or(0);
    const auto add = [&](Task task, std::string reason) { inventory.obstacles.push_back({task, std::move(reason)}); };
    const auto& tensors = inventory.tensors;
    const auto split = std::ranges::find_if(tensors, [](const Tensor& tensor) { return is_split_expert(tensor.role); });
    if (split != tensors.end())
        add(Task::load,
            std::format("{} is one expert's alone, the layout of before 2024; convert the model again", split->name));
    if (const auto odd = std::ranges::find_if(tensors, is_not_computable); odd != tensors.end()) {
        const std::string reason =
            std::format("{} is {}, which libggml does not compute with", odd->name, type_name(odd->type));
        add(Task::load, reason);
        add(Task::quantize, reason);
    }
    if (inventory.residual_reason.contains("encoder")) add(Task::load, inventory.residual_reason);
    const auto tokenizer = container.text("tokenizer.ggml.model");
    if (!tokenizer || *tokenizer == "no_vocab" || *tokenizer == "none") add(Task::text, "the model has no tokenizer");
    if (inventory.residual != Residual::sequential) add(Task::score, inventory.residual_reason);
    if (const auto precise = check_full_precision(inventory); !precise) add(Task::quantize, precise.error().message);
}

void report_ungrouped(const Inventory& inventory, Monitor& monitor)
{
    const auto inert = std::ranges::count(inventory.tensors, TensorPlace::inert, &Tensor::place);
    if (inert > 0)
        monitor.warn(
            std::format("text never reaches {} tensors, as blocks for multi-token prediction (NextN): they become {} "
                        "(--nextn-type)",
                        inert, type_name(inventory.inert_type)));
    if (!inventory.unknown.empty())
        monitor.warn(std::format("{} tensors are not known and kept as they are: {}", inventory.unknown.size(),
                                 listed(inventory.unknown)));
}

std::string_view impossibility(Task task)
{
    switch (task) {
        case Task::load: return "libllama cannot run it";
        case Task::text: return "it cannot be given text";
        case Task::score: return "its layers cannot be scored";
        case Task::quantize: break;
    }
    return "it cannot be quantized";
}

Result<> check_ready(const Inventory& inventory, std::string_view verb, std::initializer_list<Task> tasks)
{
    for (const Obstacle& obstacle : inventory.obstacles) {
        if (!std::ranges::contains(tasks, obstacle.task)) continue;
        auto refused =
            fail("{} {}: {}: {}", verb, inventory.files.front().string(), impossibility(obstacle.task), obstacle.reason);
        if (const auto precise = check_full_precision(inventory); !precise && precise.error().message == obstacle.reason)
            refused.error().hint = precise.error().hint;
        return refused;
    }
    return {};
}

}  // namespace apreqel
