// Where the weights of a running model are, as libllama has put them.
#pragma once

#include "runtime/context.h"
#include "study/offload.h"

#include <ggml-backend.h>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace apreqel {

/// Of a token's graph, the weights that are not in main memory.
inline bool note_remote(ggml_tensor* node, bool /*ask*/, void* found)
{
    for (ggml_tensor* source : node->src) {
        if (source == nullptr || source->buffer == nullptr) continue;
        const std::string name = source->name;
        if (!name.ends_with(".weight")) continue;
        const bool remote = !ggml_backend_buffer_is_host(source->buffer);
        (*static_cast<std::map<std::string, std::set<bool>>*>(found))[name].insert(remote);
    }
    return false;
}

/// For several numbers of layers of a model of four blocks: what takes part in a token where, beside what `placed_bytes` says.
inline void compare_places(const std::filesystem::path& path, RunSettings settings)
{
    const auto inventory = read_inventory(path);
    REQUIRE(inventory);
    std::vector<QuantType> types;
    for (const Tensor& tensor : inventory->tensors) types.push_back(tensor.type);
    for (const std::size_t layers : {0U, 1U, 2U, 4U, 5U}) {
        INFO(path << ", " << layers << " layers");
        settings.gpu_layers = static_cast<int>(layers);
        const auto model = LoadedModel::load(path, settings);
        REQUIRE(model);
        std::map<std::string, std::set<bool>> found;
        auto params = context_params(*model, {});
        REQUIRE(params);
        params->n_ctx = 64;
        params->cb_eval = note_remote;
        params->cb_eval_user_data = &found;
        Monitor monitor;
        const auto context = make_context(*model, *params, monitor);
        REQUIRE(context);
        Token token = 1;
        REQUIRE(llama_decode(context->get(), llama_batch_get_one(&token, 1)) == 0);
        PlacedBytes seen;
        for (const Tensor& tensor : inventory->tensors) {
            if (found[tensor.name].contains(true)) seen.gpu_bytes += tensor.size_bytes;
            if (found[tensor.name].contains(false)) seen.main_bytes += tensor.size_bytes;
        }
        const PlacedBytes expected = placed_bytes(*inventory, types, offload_of(*inventory, layers));
        CHECK(seen.gpu_bytes == expected.gpu_bytes);
        CHECK(seen.main_bytes == expected.main_bytes);
    }
}

}  // namespace apreqel
