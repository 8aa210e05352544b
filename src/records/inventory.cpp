// What is written only.
#include "records/document.h"
#include "records/fields.h"

#include <numeric>

namespace apreqel {
namespace {

std::string place_name(TensorPlace place)
{
    switch (place) {
        case TensorPlace::layer: return "layer";
        case TensorPlace::embedding: return "embedding";
        case TensorPlace::inert: return "inert";
        case TensorPlace::fixed: return "fixed";
    }
    return "";
}

std::string residual_name(Residual residual)
{
    switch (residual) {
        case Residual::sequential: return "sequential";
        case Residual::parallel: return "parallel";
        case Residual::other: return "other";
    }
    return "";
}

void layer_fields(Archive& archive, Group& layer, const Inventory& inventory)
{
    archive.optional("layer", layer.name, "`blk.N.attn` or `blk.N.ffn`");
    archive.optional("parameters", layer.parameters, "weights that take its type");
    std::vector<std::string> tensors;
    for (const std::size_t t : layer.tensors) tensors.push_back(inventory.tensors[t].name);
    archive.optional("tensors", tensors, "their names");
}

std::string task_name(Task task)
{
    switch (task) {
        case Task::load: return "load";
        case Task::text: return "text";
        case Task::score: return "score";
        case Task::quantize: return "quantize";
    }
    return "";
}

void obstacle_fields(Archive& archive, Obstacle& obstacle)
{
    std::string task = task_name(obstacle.task);
    archive.optional("task", task, "`load`: libllama can run it; `text`: it can be measured; `score`; `quantize`");
    archive.optional("reason", obstacle.reason, "why not");
}

void tensor_fields(Archive& archive, Tensor& tensor)
{
    std::vector<std::uint64_t> shape(tensor.shape.begin(), tensor.shape.end());
    std::string type = type_name(tensor.type);
    std::string place = place_name(tensor.place);
    archive.optional("name", tensor.name, "in the file");
    archive.optional("role", tensor.role, "the name without block and suffix");
    archive.optional("shape", shape, "columns, rows, …");
    archive.optional("type", type, "in the file");
    archive.optional("size_bytes", tensor.size_bytes, "in the file");
    archive.optional(
        "place", place,
        "what decides its type: `layer`; `embedding`: the embedding type; `inert`: `inert_type`; `fixed`: it is kept");
}

void sums_fields(Archive& archive, InputSums& sums)
{
    std::uint64_t matrices = sums.inputs.size();
    std::uint64_t inputs = std::accumulate(sums.inputs.begin(), sums.inputs.end(), std::uint64_t{0});
    const double squares = std::accumulate(sums.squares.begin(), sums.squares.end(), 0.0);
    const double columns = static_cast<double>(sums.squares.size()) / static_cast<double>(matrices);
    double mean_square = squares / (columns * static_cast<double>(inputs));
    archive.optional("tensor", sums.tensor, "its name");
    archive.optional("matrices", matrices, "experts, or 1");
    archive.optional("inputs", inputs, "rows seen by all of them");
    archive.optional("mean_square", mean_square, "of all inputs");
}

}  // namespace

void fields(Archive& archive, TypeWeight& weight)
{
    archive.optional("type", weight.type, "of all layers");
    archive.optional("memory_bytes", weight.tensor_bytes, "of all tensors");
    archive.optional("file_bytes", weight.file_bytes, "exact size of the file that `quantize` would write");
    archive.optional("file_bits_per_weight", weight.bits_per_weight, "8 × `memory_bytes` ÷ parameters");
    archive.optional("fallbacks", weight.fallbacks, "tensors that cannot have the type");
}

void fields(Archive& archive, InventoryDocument& document)
{
    Inventory& inventory = document.inventory;
    std::vector<std::string> files;
    for (const auto& file : inventory.files) files.push_back(file.string());
    std::uint64_t parameters = inventory.parameters();
    std::uint64_t bytes = inventory.size_bytes();
    std::string residual = residual_name(inventory.residual);
    archive.optional("model", inventory.fingerprint, "fingerprint of metadata and weights");
    archive.optional("model_name", inventory.name, "`general.name`, or the file name");
    archive.optional("architecture", inventory.architecture, "`general.architecture`");
    archive.optional("files", files, "the shards in their order");
    archive.optional("blocks", inventory.blocks, "their number");
    archive.optional("extra_blocks", inventory.extra_blocks, "behind these, for multi-token prediction; inert");
    std::string inert = type_name(inventory.inert_type);
    archive.optional("inert_type", inert, "of tensors that text never reaches");
    archive.optional("unknown", inventory.unknown, "tensors that libllama has no name for; kept as they are",
                     {.written = !inventory.unknown.empty()});
    archive.optional("experts", inventory.experts, "per FFN, 0 for a dense model");
    archive.optional("parameters", parameters, "weights of all tensors");
    archive.optional("tensor_bytes", bytes, "of all tensors");
    archive.optional("tied_embeddings", inventory.tied_embeddings, "the embedding serves as output too");
    archive.optional("residual", residual, "`sequential`, `parallel` or `other`: how sub-layers hang on the residual stream");
    archive.optional("residual_reason", inventory.residual_reason, "why it is not sequential");
    archive.optional("kv_bytes_per_token", inventory.kv_bytes_per_token,
                     "of an f16 KV cache; 0: not the same for all, or not known");
    context_fields(archive, document.context);
    archive.optional("importance", inventory.importance, "the importance matrix, and how many weights it covers",
                     {.written = !inventory.importance.empty()});
    archive.list("obstacles", inventory.obstacles, "what cannot be done with it",
                 [&](Obstacle& obstacle) { obstacle_fields(archive, obstacle); });
    archive.list("layers", inventory.layers, "block by block", [&](Group& layer) { layer_fields(archive, layer, inventory); });
    archive.list("tensors", inventory.tensors, "in the order of the file",
                 [&](Tensor& tensor) { tensor_fields(archive, tensor); });
    archive.optional("types", document.weights, "what each type would weigh; none where the model is quantized already");
}

void fields(Archive& archive, ImportanceDocument& document)
{
    ImportanceMatrix& matrix = document.matrix;
    archive.optional("model", document.inventory.fingerprint, "fingerprint of the full-precision model");
    archive.optional("model_name", document.inventory.name, "for people");
    archive.optional("text", matrix.text, "where it came from");
    archive.optional("context", matrix.context, "tokens of one chunk");
    archive.optional("chunks", matrix.chunks, "how many were read");
    archive.list("tensors", matrix.tensors, "those that saw an input", [&](InputSums& sums) { sums_fields(archive, sums); });
}

std::string to_json(const Inventory& inventory, const std::vector<TypeWeight>& weights, const ContextMemory& context)
{
    return write_record(kInventorySchema, InventoryDocument{inventory, weights, context});
}

std::string to_json(const ImportanceMatrix& matrix, const Inventory& inventory)
{
    return write_record(kImportanceSchema, ImportanceDocument{matrix, inventory});
}

}  // namespace apreqel
