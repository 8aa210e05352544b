// What a model's header says of how fast it runs, by itself: kilobytes that can be sent to a device which never sees the model.
#pragma once

#include <apreqel/inventory.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace apreqel {

/// A metadata entry: one number or text, or an array.
struct ShapeEntry {
    std::string key;
    std::string type;  ///< as GGUF spells it: "u32", "f32", "bool", "str"
    bool array = false;
    std::vector<double> numbers{};  ///< one, unless it is an array
    std::vector<std::string> texts{};
};

struct ShapeTensor {
    std::string name;
    std::string type;  ///< in the file
    std::vector<std::uint64_t> shape;
};

/// Without weights, texts for people, and vocabulary, of which the size is kept: no token is ever turned into text.
struct ModelShape {
    std::string model;       ///< fingerprint of the model
    std::string model_name;  ///< for people
    std::vector<ShapeEntry> metadata;
    std::vector<ShapeTensor> tensors;  ///< in the order of the file
};

/// Error: the model's file cannot be read, or has a number that JSON cannot hold.
[[nodiscard]] Result<ModelShape> shape_of(const Inventory& inventory);

/// Writes a model of this shape to `file`, its weights a hole, and reads it as any model is read. Its fingerprint and name are
/// those of the model it stands for. All its tensors have an importance, if without values: it is timed and never quantized, so that
/// types are possible that need one. `source` is where the shape is from, for errors.
/// Errors: the shape is of no model, or the file cannot be written.
[[nodiscard]] Result<Inventory> open_shape(const ModelShape& shape, const std::filesystem::path& source,
                                           const std::filesystem::path& file);

}  // namespace apreqel
