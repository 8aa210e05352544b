#include "model/residual.h"

#include "model/names.h"

#include <algorithm>
#include <array>
#include <set>

namespace apreqel {
namespace {

/// Attention and FFN of a block read the same input in these (llama.cpp, src/models/*.cpp).
constexpr std::array<std::string_view, 7> kParallel{"cohere2", "cohere2moe", "command-r", "falcon", "gptj", "phi2", "plamo"};

struct Unusual {
    std::string_view architecture;
    std::string_view reason;
};

constexpr std::string_view kEncoder = "it is an encoder, not a text generator";
constexpr std::string_view kStreams = "its blocks carry several residual streams";

/// Architectures whose blocks are neither; those with recurrent tensors are found by the tensors.
constexpr std::array kUnusual{
    Unusual{"bert", kEncoder},         Unusual{"nomic-bert", kEncoder},   Unusual{"nomic-bert-moe", kEncoder},
    Unusual{"jina-bert-v2", kEncoder}, Unusual{"jina-bert-v3", kEncoder}, Unusual{"modern-bert", kEncoder},
    Unusual{"neo-bert", kEncoder},     Unusual{"eurobert", kEncoder},     Unusual{"gemma-embedding", kEncoder},
    Unusual{"t5", kEncoder},           Unusual{"t5encoder", kEncoder},    Unusual{"wavtokenizer-dec", "it is an audio decoder"},
    Unusual{"gemma3n", kStreams},      Unusual{"deepseek4", kStreams},    Unusual{"hy_v4", kStreams},
    Unusual{"glm5-next", kStreams},    Unusual{"qwen4exp", kStreams},     Unusual{"arctic", "its experts bypass the attention"},
};

/// Roles that stand for a recurrent state in place of attention.
bool is_recurrent(std::string_view role)
{
    return role.starts_with("ssm_") || role.starts_with("time_mix_") || role.starts_with("channel_mix_") ||
           role.starts_with("shortconv");
}

bool has_role(const std::set<std::string_view>& roles, std::initializer_list<std::string_view> wanted)
{
    return std::ranges::any_of(wanted, [&](std::string_view role) { return roles.contains(role); });
}

/// The first block lacking attention or FFN, in words; empty if there is none.
std::string missing_layer(const Inventory& inventory)
{
    std::vector<std::array<bool, 2>> found(inventory.blocks);
    for (const Group& layer : inventory.layers) found[layer.block][layer.part == kFfn] = true;
    for (std::size_t block = 0; block < found.size(); ++block) {
        if (!found[block][0]) return std::format("block {} has no attention", block);
        if (!found[block][1]) return std::format("block {} has no FFN", block);
    }
    return {};
}

}  // namespace

void find_residual(Inventory& inventory, const Container& container)
{
    const auto set = [&](Residual residual, std::string reason) {
        inventory.residual = residual;
        inventory.residual_reason = std::move(reason);
    };
    const std::string& architecture = inventory.architecture;
    std::set<std::string_view> roles;  // of the blocks
    for (const Tensor& tensor : inventory.tensors) {
        if (block_of(tensor.name)) roles.insert(tensor.role);
        if (tensor.role.starts_with("hc_") || role_of(tensor.role).starts_with("hc_"))
            return set(Residual::other, std::string(kStreams));
    }

    if (const auto unusual = std::ranges::find(kUnusual, architecture, &Unusual::architecture); unusual != kUnusual.end()) {
        return set(Residual::other, std::string(unusual->reason));
    }
    if (std::ranges::any_of(roles, is_recurrent)) {
        const bool attends = has_role(roles, {"attn_q", "attn_qkv", "attn_output"});
        return set(Residual::other, attends ? "some blocks are recurrent instead of attending" : "its blocks are recurrent");
    }
    if (std::string missing = missing_layer(inventory); !missing.empty()) return set(Residual::other, std::move(missing));

    const bool declared = container.boolean(architecture + ".use_parallel_residual").value_or(false);
    // Without a norm between them, the FFN has no input but the attention's.
    const bool shared_norm =
        roles.contains("attn_norm") &&
        !has_role(roles, {"ffn_norm", "post_attention_norm", "attn_post_norm", "attn_output_norm", "post_ffw_norm"});
    if (declared || shared_norm || std::ranges::contains(kParallel, architecture)) {
        return set(Residual::parallel, "attention and FFN of a block read the same input");
    }
}

}  // namespace apreqel
