// What a GGUF model is made of: tensors, grouped into the layers that are scored and typed.
#pragma once

#include <apreqel/measurement.h>
#include <apreqel/quant_type.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace apreqel {

/// What decides the type of a tensor.
enum class TensorPlace {
    layer,      ///< takes the type of its layer
    embedding,  ///< token_embd, output and other big tables outside the blocks: one fixed type in every variant
    inert,      ///< text never reaches it, as blocks for multi-token prediction (NextN): Inventory::inert_type everywhere
    fixed,      ///< norms, biases, routers, rope factors, and what is not known: always kept as they are
};

struct HessianFactor;

struct Tensor {
    std::string name;                     ///< "blk.3.attn_q.weight"
    std::string role;                     ///< "attn_q": the name without block and suffix, as in GGUF
    std::array<std::int64_t, 4> shape{};  ///< {columns, rows, …}: ggml's ne, 1 beyond the last dimension
    QuantType type;                       ///< type in the source file
    std::uint64_t size_bytes = 0;         ///< bytes in the source file, without padding
    std::size_t file = 0;                 ///< index into Inventory::files
    std::uint64_t offset = 0;             ///< bytes from the start of that file
    TensorPlace place = TensorPlace::fixed;
    /// Weight of each column in the quantization error, one row of columns per matrix (expert); null: all count alike.
    std::shared_ptr<const std::vector<float>> importance;
    /// What rounding one of its weights does to the layer's output, for error feedback; null: not known.
    std::shared_ptr<const HessianFactor> hessian;
    /// Quantized, and what it is dequantized to is what it is compared with and made other types from.
    bool requantize = false;

    [[nodiscard]] std::int64_t columns() const { return shape[0]; }
    [[nodiscard]] std::int64_t rows() const { return shape[1] * shape[2] * shape[3]; }
    [[nodiscard]] std::int64_t elements() const { return columns() * rows(); }
};

/// Tensors that take one type together: what is scored, probed, planned and stored as one.
struct Group {
    std::string name;   ///< "blk.3.attn", "blk.3.ffn_gate+ffn_up", "embedding"
    std::string layer;  ///< the layer it is, or is part of: "blk.3.ffn"; empty outside the blocks
    /// Where in the model it does its work: "attn", "ffn", "embedding". Within a part, time in one type goes with the weights.
    std::string part;
    std::size_t block = 0;             ///< of a layer
    std::vector<std::size_t> tensors;  ///< indices into Inventory::tensors
    std::uint64_t parameters = 0;      ///< weights in those tensors
};

inline constexpr std::string_view kAttention = "attn";
inline constexpr std::string_view kFfn = "ffn";

/// What is typed as one.
enum class Granularity {
    layer,   ///< a layer: the attention or the feed-forward network (FFN) of one block, as in the paper
    tensor,  ///< a tensor; gate and up of one FFN together, as libggml computes them in one step
};

/// How the sub-layers of a block hang on the residual stream, as far as the file tells.
enum class Residual {
    sequential,  ///< x → x + attention(x) → … + ffn(…): every sub-layer has an input and an output of its own
    parallel,    ///< x + attention(x) + ffn(x): both read the same input
    other,       ///< recurrent, hybrid, encoder, or blocks without attention or without FFN
};

/// What can be done with a model.
enum class Task {
    load,      ///< libllama can run it
    text,      ///< it can be given text, and so be measured
    score,     ///< the contribution of its layers can be told from the residual stream
    quantize,  ///< libggml can make every other type from its weights
};

/// Something that cannot be done, and why.
struct Obstacle {
    Task task;
    std::string reason;  ///< "it has no tokenizer"
};

/// Where an importance matrix is from, as llama-quantize states it in what it makes with one.
struct ImportanceSource {
    std::string file{};         ///< as it was named
    std::string dataset{};      ///< the text it was collected on; empty: not stated
    std::uint64_t entries = 0;  ///< tensors it has something for, of whatever model
    std::uint64_t chunks = 0;   ///< of text; 0: not stated
};

struct Inventory {
    std::vector<std::filesystem::path> files;  ///< the shards in order; one unless the model is split
    std::string name;                          ///< general.name, or the file name
    std::string architecture;                  ///< general.architecture
    std::size_t blocks = 0;
    std::size_t extra_blocks =
        0;                    ///< behind these, for multi-token prediction (NextN): text never reaches them, they are inert
    std::size_t experts = 0;  ///< experts per FFN, 0 for a dense model
    std::uint64_t kv_bytes_per_token = 0;  ///< of an f16 KV cache; 0: not known
    bool tied_embeddings = false;          ///< no output.weight: token_embd serves as output too
    Residual residual = Residual::sequential;
    std::string residual_reason;      ///< why it is not sequential, for people; empty if it is
    std::vector<Obstacle> obstacles;  ///< what cannot be done, as far as the header tells
    std::vector<Tensor> tensors;
    QuantType inert_type{};            ///< of inert tensors, unless they are quantized already; q8_0 unless it is set
    std::vector<std::string> unknown;  ///< tensors that libllama 0.7.0 has no name for: kept as they are
    std::vector<Group> layers;         ///< the groups of Granularity::layer in the blocks, attention before FFN
    std::string importance;            ///< name, digest, coverage of the importance matrix its tensors carry; empty: none
    ImportanceSource importance_source{};
    std::string hessian{};    ///< digest, coverage of the Hessians its tensors carry; empty: none
    std::string fingerprint;  ///< identifies metadata and weights, independent of the path: 32 hex digits

    /// True if it is quantized already and is itself what quality is relative to.
    [[nodiscard]] bool from_quantized() const;
    [[nodiscard]] std::uint64_t parameters() const;
    [[nodiscard]] std::uint64_t size_bytes() const;  ///< bytes of all tensors, without padding and metadata
    [[nodiscard]] std::optional<std::size_t> find_layer(std::string_view name) const;
};

/// Reads and checks the metadata of a GGUF model; the weights are not loaded. For a split model `path` is its first
/// shard, the others are found beside it. The file is untrusted: nothing in it can crash the caller.
/// `from_quantized`: one that is quantized is taken as the reference, and its name says what it is quantized to.
/// Errors: not a GGUF, damaged, not a language model with blocks, shard missing.
[[nodiscard]] Result<Inventory> read_inventory(const std::filesystem::path& path, bool from_quantized = false);

/// Whether a GGUF file is a multimodal projector (mmproj), which read_inventory refuses: no blocks of text, all its weights take
/// one type.
[[nodiscard]] Result<bool> is_projector(const std::filesystem::path& path);

/// The same of a projector: no layers, and every tensor that can be quantized is in the group of the embedding.
[[nodiscard]] Result<Inventory> read_projector(const std::filesystem::path& path);

/// All that takes a type: the layers, or finer groups of their tensors, and last the embedding and output tensors, named
/// kEmbedding, where there are any.
[[nodiscard]] std::vector<Group> groups_of(const Inventory& inventory, Granularity granularity);

/// The last of these; without tensors where there are none.
[[nodiscard]] Group embedding_group(const Inventory& inventory);

/// An error that names no file unless every tensor that would be quantized is in full precision (f32, f16 or bf16), or the model
/// is taken as it is.
[[nodiscard]] Result<> check_full_precision(const Inventory& inventory);

}  // namespace apreqel
