#include "model/metadata.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace apreqel {
namespace {

/// Values outside these bounds stop libllama 0.7.0 with an assertion, or make it divide by zero. Found by setting every
/// key of small models of eight architectures to extremes (tests/model/metadata_test.cpp). "*" is the architecture.
struct Bounds {
    std::string_view key;
    double least;
    double most;
};

constexpr std::array kBounds{
    Bounds{"*.embedding_length", 1, 1 << 20},
    Bounds{"*.attention.layer_norm_rms_epsilon", 0, 1},
    Bounds{"*.attention.layer_norm_epsilon", 0, 1},
    Bounds{"*.attention.group_norm_epsilon", 0, 1},
    Bounds{"*.expert_count", 0, 512},                      // LLAMA_MAX_EXPERTS
    Bounds{"command-r.rope.dimension_count", 2, 1 << 16},  // they never finish a batch with 0
    Bounds{"phi3.rope.dimension_count", 2, 1 << 16},
};

/// Architectures whose graph asserts that all of a head is rotated.
constexpr std::array<std::string_view, 4> kRotatesWholeHead{"gemma2", "qwen2", "qwen3", "qwen3moe"};

/// Architectures whose graph asserts that the heads of queries, keys and values are of one size, while the shapes of their
/// tensors do not show it.
constexpr std::array<std::string_view, 14> kEqualHeads{"bloom",  "chatglm", "codeshell", "dbrx",     "falcon",
                                                       "gpt2",   "gptneox", "mpt",       "phi2",     "phi3",
                                                       "phimoe", "qwen",    "qwen2",     "starcoder"};

/// Arrays of the vocabulary that libllama takes as being of this type, with one element a token.
struct PerToken {
    std::string_view key;
    std::string_view type;
};

constexpr std::array kPerToken{
    PerToken{"tokenizer.ggml.scores", "f32"},
    PerToken{"tokenizer.ggml.token_type", "i32"},
};

class Checker {
public:
    Checker(const Container& container, const std::string& path, std::string architecture, std::uint64_t blocks)
        : container_(container), path_(path), architecture_(std::move(architecture)), blocks_(blocks)
    {
    }

    Result<> check() const
    {
        for (const Bounds& bounds : kBounds) {
            const std::string key =
                bounds.key.starts_with('*') ? architecture_ + std::string(bounds.key.substr(1)) : std::string(bounds.key);
            const auto value = container_.number(key);
            if (value && !(*value >= bounds.least && *value <= bounds.most)) return damaged(key, std::format("{:g}", *value));
        }
        if (auto checked = check_experts(); !checked) return checked;
        if (auto checked = check_heads(); !checked) return checked;
        return check_vocabulary();
    }

private:
    [[nodiscard]] std::unexpected<Error> damaged(std::string_view key, std::string_view value) const
    {
        return fail("read {}: damaged: {} is {}", path_, key, value);
    }

    [[nodiscard]] std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
    [[nodiscard]] std::uint64_t natural(std::string_view name, std::uint64_t missing = 0) const
    {
        return container_.natural(key(name)).value_or(missing);
    }

    Result<> check_experts() const
    {
        const std::uint64_t experts = natural("expert_count");
        std::vector<std::uint64_t> used{natural("expert_used_count")};  // one for each block in some models
        if (const auto each = container_.naturals(key("expert_used_count"), blocks_); each && !each->empty()) used = *each;
        const std::uint64_t most_used = std::ranges::max(used);
        if (most_used > experts || (experts > 0 && most_used == 0)) {
            return damaged(key("expert_used_count"), std::format("{} of {} experts", most_used, experts));
        }
        const std::uint64_t groups = natural("expert_group_count");
        const std::uint64_t used_groups = natural("expert_group_used_count");
        const bool grouped = groups > 1;
        if ((groups > 0 && groups >= experts) ||
            (grouped && (experts % groups != 0 || used_groups == 0 || used_groups >= groups))) {
            return damaged(key("expert_group_count"), std::format("{} for {} experts", groups, experts));
        }
        if (natural("nextn_predict_layers") >= blocks_) return damaged(key("nextn_predict_layers"), "not less than the blocks");
        return {};
    }

    /// Rotary position embedding turns pairs of a head's dimensions.
    Result<> check_heads() const
    {
        const std::uint64_t heads = natural("attention.head_count");
        const std::uint64_t share = heads > 0 ? natural("embedding_length") / heads : 0;
        const std::uint64_t head = natural("attention.key_length", share);
        if (std::ranges::contains(kEqualHeads, architecture_) && head != natural("attention.value_length", share)) {
            return damaged(key("attention.key_length"), std::format("{}, unlike that of the values", head));
        }
        if (auto checked = check_rotated("rope.dimension_count", head); !checked) return checked;
        return check_rotated("rope.dimension_count_swa", natural("attention.key_length_swa", head));  // sliding-window blocks
    }

    Result<> check_rotated(std::string_view name, std::uint64_t head) const
    {
        const auto rotated = container_.natural(key(name));
        if (!rotated || head == 0) return {};
        const bool whole = std::ranges::contains(kRotatesWholeHead, architecture_);
        if (*rotated > head || *rotated % 2 != 0 || (whole && *rotated != head)) {
            return damaged(key(name), std::format("{}, heads have {} dimensions", *rotated, head));
        }
        return {};
    }

    Result<> check_vocabulary() const
    {
        const MetadataEntry* tokens = container_.find("tokenizer.ggml.tokens");
        if (tokens != nullptr && !tokens->is_list_of("str")) return damaged(tokens->key, "not a list of texts");
        const std::uint64_t count = tokens == nullptr ? 0 : tokens->count;
        for (const PerToken& each : kPerToken) {
            const MetadataEntry* entry = container_.find(each.key);
            if (entry == nullptr) continue;
            if (!entry->is_list_of(each.type) || entry->count != count)
                return damaged(each.key, "not one value for each token");
        }
        if (const MetadataEntry* merges = container_.find("tokenizer.ggml.merges")) {
            if (!merges->is_list_of("str")) return damaged(merges->key, "not a list of texts");
        }
        if (const MetadataEntry* map = container_.find("tokenizer.ggml.precompiled_charsmap")) {
            if (!map->is_list_of("u8") && !map->is_list_of("i8")) return damaged(map->key, "not a list of bytes");
        }
        if (tokens == nullptr) return {};
        std::unordered_set<std::string_view> seen;
        seen.reserve(count);
        for (const std::string_view token : container_.texts(*tokens)) {
            // libllama gives empty tokens a name of their own.
            if (!token.empty() && !seen.insert(token).second) return damaged(tokens->key, "holding one token twice");
        }
        return {};
    }

    const Container& container_;
    const std::string& path_;
    std::string architecture_;
    std::uint64_t blocks_;
};

}  // namespace

Result<> check_metadata(const Container& container, const std::string& path, std::size_t blocks)
{
    const auto architecture = container.text("general.architecture");
    if (!architecture) return fail("read {}: not a model: general.architecture is missing", path);
    const bool readable =
        !architecture->empty() && std::ranges::all_of(*architecture, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!readable) return fail("read {}: damaged: general.architecture is not a name", path);
    const auto declared = container.natural(*architecture + ".block_count");
    if (!declared || blocks == 0)
        return fail("read {}: not a language model with blocks (architecture {})", path, *architecture);
    if (*declared != blocks) return fail("read {}: damaged: {} blocks declared, {} found", path, *declared, blocks);
    return Checker(container, path, *architecture, blocks).check();
}

}  // namespace apreqel
