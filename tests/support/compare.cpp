#include "support/compare.h"

#include <gguf.h>

#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>

namespace apreqel {
namespace {

/// Tensors by name: type, shape and bytes in one string. Read with libggml, to be independent of the reader under test.
std::map<std::string, std::string> tensors_of(const std::filesystem::path& path)
{
    const std::string bytes = slurp(path);
    const std::unique_ptr<gguf_context, void (*)(gguf_context*)> gguf(
        gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
    if (!gguf) throw std::runtime_error("libggml refuses " + path.string());
    std::map<std::string, std::string> tensors;
    for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf.get()); ++i) {
        std::string value = std::to_string(gguf_get_tensor_type(gguf.get(), i));
        for (int d = 0; d < GGML_MAX_DIMS; ++d) value += " " + std::to_string(gguf_get_tensor_ne(gguf.get(), i)[d]);
        value += bytes.substr(gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), i),
                              gguf_get_tensor_size(gguf.get(), i));
        tensors[gguf_get_tensor_name(gguf.get(), i)] = std::move(value);
    }
    return tensors;
}

}  // namespace

std::string different_tensor(const std::filesystem::path& left, const std::filesystem::path& right)
{
    const auto first = tensors_of(left);
    const auto second = tensors_of(right);
    for (const auto& [name, value] : first) {
        const auto other = second.find(name);
        if (other == second.end() || other->second != value) return name;
    }
    for (const auto& [name, value] : second) {
        if (!first.contains(name)) return name;
    }
    return {};
}

bool same_bytes(const std::filesystem::path& left, const std::filesystem::path& right) { return slurp(left) == slurp(right); }

std::string slurp(const std::filesystem::path& path)
{
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const std::filesystem::path& path, const std::string& bytes)
{
    std::ofstream out(path, std::ios::binary);
    if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())))
        throw std::runtime_error("cannot write " + path.string());
}

}  // namespace apreqel
