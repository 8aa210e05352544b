#include "records/document.h"
#include "records/fields.h"

namespace apreqel {

void fields(Archive& archive, ShapeEntry& entry)
{
    archive.required("key", entry.key, "in the file", {.rule = Rule::name});
    archive.required("type", entry.type, "of its values, as GGUF spells it: `u32`, `f32`, `bool`, `str`", {.rule = Rule::name});
    archive.optional("array", entry.array, "it is an array, else one value", {.written = entry.array || archive.documenting()});
    archive.optional("numbers", entry.numbers, "its values; true is 1",
                     {.written = entry.type != "str" || archive.documenting(), .whole = true});
    archive.optional("texts", entry.texts, "the same of type `str`", {.written = entry.type == "str" || archive.documenting()});
}

void fields(Archive& archive, ShapeTensor& tensor)
{
    archive.required("name", tensor.name, "in the file", {.rule = Rule::name});
    archive.required("type", tensor.type, "in the file", {.rule = Rule::name});
    archive.required("shape", tensor.shape, "columns, rows, …", {.rule = Rule::positive});
}

void fields(Archive& archive, ModelShape& shape)
{
    archive.required("model", shape.model, "fingerprint of the full-precision model", {.rule = Rule::name});
    archive.optional("model_name", shape.model_name, "for people");
    archive.required("metadata", shape.metadata, "what the model's graph depends on; a vocabulary without words");
    archive.required("tensors", shape.tensors, "in the order of the file");
}

std::string to_json(const ModelShape& shape) { return write_record(kShapeSchema, shape); }
Result<ModelShape> parse_shape(std::string_view text) { return parse_record<ModelShape>(text, kShapeSchema); }
Result<ModelShape> read_shape(const std::filesystem::path& path) { return read_record<ModelShape>(path, kShapeSchema); }

}  // namespace apreqel
