#include "runtime/context_memory.h"

#include "runtime/context.h"
#include "runtime/placement.h"

#include <apreqel/quant_type.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

namespace apreqel {
namespace {

constexpr double kMiB = 1 << 20;
constexpr double kRounded = 0.01 * kMiB;  // what libllama reports is a multiple of it

/// Takes the text up to and with `mark` off `line`. False: there is no such mark.
bool skip_past(std::string_view& line, std::string_view mark)
{
    const std::size_t at = line.find(mark);
    if (at == std::string_view::npos) return false;
    line.remove_prefix(at + mark.size());
    return true;
}

/// The number at the beginning of `line` if `unit` follows it; both are taken off.
std::optional<double> take_number(std::string_view& line, std::string_view unit)
{
    std::string_view rest = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc()) return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (!rest.starts_with(unit)) return std::nullopt;
    line = rest.substr(unit.size());
    return number;
}

/// "K (f16):    6.00 MiB" of a cache of so many cells, each of which has whole blocks.
std::optional<double> take_part(std::string_view& line, double cells)
{
    if (!skip_past(line, " (")) return std::nullopt;
    const auto type = parse_type(line.substr(0, line.find(')')));
    if (!skip_past(line, "):") || !type) return std::nullopt;
    const auto mib = take_number(line, " MiB");
    if (!mib) return std::nullopt;
    const double step = cells * static_cast<double>(row_bytes(*type, block_size(*type)));
    return step > kRounded ? std::round(*mib * kMiB / step) * step : *mib * kMiB;
}

/// Whether what is reported as "     CUDA0 compute" is in one of `buffers`.
bool is_in(std::string_view name, std::span<const std::string> buffers)
{
    const std::string words = std::format(" {} ", name);
    return std::ranges::any_of(buffers, [&](const std::string& buffer) { return words.contains(" " + buffer + " "); });
}

/// Of the blocks, those whose part of the cache is on accelerators: the last ones, but for the output weights, which count as a layer.
double offloaded_share(const LoadedModel& model, const RunSettings& settings)
{
    if (!settings.offload_cache || settings.gpu_layers == 0 || accelerator_buffers(settings).empty()) return 0;
    const int blocks = std::max(1, llama_model_n_layer(model.get()));
    const int layers = settings.gpu_layers < 0 ? blocks + 1 : settings.gpu_layers;
    return static_cast<double>(std::clamp(layers - 1, 0, blocks)) / blocks;
}

/// "size =   12.00 MiB (  1024 cells,   2 layers,  1/1 seqs), K (f16):    6.00 MiB, V (f16):    6.00 MiB", where other memories
/// have other parts or none.
std::optional<double> cache_bytes(std::string_view line)
{
    if (!skip_past(line, "size = ")) return std::nullopt;
    const auto mib = take_number(line, " MiB");
    if (!mib) return std::nullopt;
    const auto cells = skip_past(line, "(") ? take_number(line, " cells") : std::nullopt;
    if (!cells || !skip_past(line, ")")) return *mib * kMiB;
    double bytes = 0;
    while (const auto part = take_part(line, *cells)) bytes += *part;
    return bytes;
}

}  // namespace

ContextMemory reported_memory(std::span<const std::string> lines, std::span<const std::string> accelerators)
{
    double cache = 0;
    std::map<std::string, double> buffers;  // "CPU compute"; what is reported again is made again
    for (const std::string& line : lines) {
        std::string_view rest = line;
        if (!skip_past(rest, " buffer size = ")) {
            cache += cache_bytes(line).value_or(0);
            continue;
        }
        const std::string name = line.substr(0, line.find(" buffer size"));
        if (!name.ends_with("compute") && !name.ends_with("output")) continue;  // a part of a cache, which is told as a whole
        if (const auto mib = take_number(rest, " MiB")) buffers[name] = *mib * kMiB;
    }
    double buffer = 0;
    double gpu_buffer = 0;
    for (const auto& [name, bytes] : buffers) {
        buffer += bytes;
        if (is_in(name, accelerators)) gpu_buffer += bytes;
    }
    const auto whole = [](double bytes) { return static_cast<std::uint64_t>(std::llround(bytes)); };
    return {.cache_bytes = whole(cache), .buffer_bytes = whole(buffer), .gpu_buffer_bytes = whole(gpu_buffer)};
}

Result<ContextMemory> context_memory(const std::filesystem::path& path, const RunSettings& settings, std::uint64_t tokens,
                                     const Monitor& monitor)
{
    ContextMemory memory;
    if (tokens > 0) {
        const auto model = LoadedModel::load(path, settings, WeightAccess::simulated);
        if (!model) return std::unexpected(model.error());
        auto params = context_params(*model, settings.cache);
        if (!params) return std::unexpected(params.error());
        params->n_ctx = static_cast<std::uint32_t>(tokens);
        params->swa_full = false;   // as in llama-server and llama-cli,
        params->n_outputs_max = 1;  // which never want the logits of more than one token of the sequence
        std::vector<std::string> said;
        if (const auto context = make_context(*model, *params, monitor, &said); !context)
            return std::unexpected(context.error());
        memory = reported_memory(said, accelerator_buffers(settings));
        const double share = offloaded_share(*model, settings);
        memory.gpu_cache_bytes = static_cast<std::uint64_t>(std::llround(share * static_cast<double>(memory.cache_bytes)));
        if (memory.cache_bytes == 0 || memory.buffer_bytes == 0)
            return fail("run {}: libllama does not report the memory of its context", path.string());
    }
    memory.tokens = tokens;
    memory.cache_type_k = settings.cache.keys;
    memory.cache_type_v = settings.cache.values;
    return memory;
}

}  // namespace apreqel
