#include "runtime/stock.h"

#include "base/file.h"
#include "gguf/log.h"
#include "runtime/context.h"
#include "runtime/runtime.h"

#include <llama.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <format>
#include <ranges>
#include <string>

namespace apreqel {
namespace {

struct FileType {
    std::string_view name;
    llama_ftype type;
};

constexpr std::array kFileTypes{FileType{"Q2_K_S", LLAMA_FTYPE_MOSTLY_Q2_K_S},   FileType{"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},
                                FileType{"IQ1_S", LLAMA_FTYPE_MOSTLY_IQ1_S},     FileType{"IQ1_M", LLAMA_FTYPE_MOSTLY_IQ1_M},
                                FileType{"IQ2_XXS", LLAMA_FTYPE_MOSTLY_IQ2_XXS}, FileType{"IQ2_XS", LLAMA_FTYPE_MOSTLY_IQ2_XS},
                                FileType{"IQ2_S", LLAMA_FTYPE_MOSTLY_IQ2_S},     FileType{"IQ2_M", LLAMA_FTYPE_MOSTLY_IQ2_M},
                                FileType{"IQ3_XXS", LLAMA_FTYPE_MOSTLY_IQ3_XXS}, FileType{"IQ3_XS", LLAMA_FTYPE_MOSTLY_IQ3_XS},
                                FileType{"IQ3_S", LLAMA_FTYPE_MOSTLY_IQ3_S},     FileType{"IQ3_M", LLAMA_FTYPE_MOSTLY_IQ3_M},
                                FileType{"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},   FileType{"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M},
                                FileType{"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},   FileType{"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS},
                                FileType{"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},   FileType{"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
                                FileType{"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},       FileType{"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S},
                                FileType{"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},   FileType{"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
                                FileType{"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},       FileType{"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S},
                                FileType{"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},   FileType{"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
                                FileType{"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0}};

const FileType* find(std::string_view name)
{
    const auto same = [&](const FileType& type) {
        return std::ranges::equal(type.name, name, {}, {}, [](unsigned char c) { return std::toupper(c); });
    };
    const auto found = std::ranges::find_if(kFileTypes, same);
    return found == kFileTypes.end() ? nullptr : &*found;
}

/// libllama's quantizer frames what it has to say.
std::string unframed(std::string text)
{
    const auto is_frame = [](char c) { return c == '=' || c == ' '; };
    const auto doubled = std::ranges::unique(text, [&](char a, char b) { return is_frame(a) && is_frame(b); });
    text.erase(doubled.begin(), doubled.end());
    while (!text.empty() && is_frame(text.front())) text.erase(0, 1);
    while (!text.empty() && is_frame(text.back())) text.pop_back();
    return text;
}

/// What is written appears whole or not at all.
class Unfinished {
public:
    explicit Unfinished(const std::filesystem::path& output) : path_(output.string() + ".part.stock") {}
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    ~Unfinished()
    {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace

std::vector<std::string_view> stock_names()
{
    return kFileTypes | std::views::transform(&FileType::name) | std::ranges::to<std::vector>();
}

Result<std::string_view> parse_stock(std::string_view name)
{
    if (const FileType* type = find(name)) return type->name;
    return usage_error("\"{}\" is no file type of llama.cpp that can be made", name);
}

Result<> quantize_stock(const Inventory& source, std::string_view name, const std::filesystem::path& output, unsigned threads)
{
    const FileType* type = find(name);
    if (type == nullptr) return usage_error("\"{}\" is no file type of llama.cpp that can be made", name);
    std::vector<llama_model_imatrix_data> importance;
    for (const Tensor& tensor : source.tensors)
        if (tensor.importance)
            importance.push_back({tensor.name.c_str(), tensor.importance->data(), tensor.importance->size()});
    importance.push_back({nullptr, nullptr, 0});  // the end
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.nthread = static_cast<std::int32_t>(threads);
    params.ftype = type->type;
    params.allow_requantize = true;
    params.max_buf_size = std::size_t{256} << 20U;
    if (importance.size() > 1) params.imatrix = importance.data();
    start_backend();
    const Unfinished unfinished(output);
    const LogCapture log;
    if (llama_model_quantize(source.files.front().c_str(), unfinished.path().c_str(), &params) != 0) {
        return fail("quantize {} to {}: {}", source.files.front().string(), type->name, unframed(log.first_error()));
    }
    return move_file(unfinished.path(), output);
}

}  // namespace apreqel
