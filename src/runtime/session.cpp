#include "runtime/session.h"

#include "gguf/log.h"
#include "runtime/context.h"
#include "runtime/placement.h"
#include "runtime/runtime.h"

#include <ggml-backend.h>
#include <llama.h>

#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

namespace apreqel {
namespace {

/// Cores that share no execution units, among the processors this process may use: token generation gains nothing from
/// hyper-threads, and llama-bench counts the same way.
unsigned physical_cores()
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::max(1U, std::thread::hardware_concurrency());
    std::set<std::string> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        std::ifstream file(std::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings", cpu));
        std::string siblings;
        cores.insert(std::getline(file, siblings) ? siblings : std::to_string(cpu));
    }
    return std::max<unsigned>(1, static_cast<unsigned>(cores.size()));
}

/// Replaces what is not UTF-8 by U+FFFD, so that sampled text can be stored in JSON and read back the same.
std::string to_utf8(std::string_view bytes)
{
    const auto continuation = [&](std::size_t at) { return at < bytes.size() && (bytes[at] & 0xC0) == 0x80; };
    std::string text;
    for (std::size_t i = 0; i < bytes.size();) {
        const auto lead = static_cast<unsigned char>(bytes[i]);
        std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
        for (std::size_t k = 1; k < length; ++k) {
            if (!continuation(i + k)) length = 0;
        }
        const auto second = length > 2 ? static_cast<unsigned char>(bytes[i + 1]) : 0U;
        const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
        const bool outside = (lead == 0xED && second >= 0xA0) || (lead == 0xF4 && second >= 0x90);
        if (length == 0 || (length > 2 && (overlong || outside))) {
            text += "\xEF\xBF\xBD";
            ++i;
        } else {
            text += bytes.substr(i, length);
            i += length;
        }
    }
    return text;
}

/// The executable's folder, where libggml's backends lie in it: a bundle brings its own, run by its loader, which is the
/// executable then. What libggml would find elsewhere on the machine is of another version.
std::optional<std::filesystem::path> own_backends()
{
    std::error_code error;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (entry.path().filename().string().starts_with("libggml-cpu")) return std::filesystem::path(folder);
    return std::nullopt;
}

}  // namespace

void start_backend()
{
    static const bool started = [] {
        llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // what nobody captures, nobody reads
        const auto own = own_backends();
        own ? ggml_backend_load_all_from_path(own->c_str()) : ggml_backend_load_all();
        llama_backend_init();
        return true;
    }();
    static_cast<void>(started);
}

unsigned thread_count(const RunSettings& settings) { return settings.threads > 0 ? settings.threads : physical_cores(); }

std::string device_name(const RunSettings& settings)
{
    const std::vector<ggml_backend_dev_t> used = accelerators(settings);
    std::string name;
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const bool cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
        if (!cpu && (settings.gpu_layers == 0 || !std::ranges::contains(used, device))) continue;
        if (!name.empty()) name += " + ";
        name += ggml_backend_dev_description(device);
    }
    return std::format("{} ({} threads)", name, thread_count(settings));
}

std::string machine_identity(const std::filesystem::path& machine_id)
{
    start_backend();
    std::string identity;
    std::getline(std::ifstream(machine_id), identity);
    identity += std::format(", {} processors", sysconf(_SC_NPROCESSORS_CONF));
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        std::size_t free = 0;
        std::size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        identity += std::format(", {} {} {} GiB", ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)),
                                ggml_backend_dev_description(device), (total + (std::size_t{1} << 29)) >> 30);
    }
    return identity;
}

std::string offloading(const RunSettings& settings)
{
    std::string text = settings.gpu_layers < 0 ? "all" : std::to_string(settings.gpu_layers);
    for (ggml_backend_dev_t device : accelerators(settings))
        text += std::format(" on {}", ggml_backend_dev_description(device));
    if (settings.split_mode != RunSettings().split_mode) text += std::format(", split by {}", settings.split_mode);
    if (!settings.offload_cache) text += ", KV cache in main memory";
    for (const auto& [pattern, buffer] : settings.overrides) text += std::format(", {}={}", pattern, buffer);
    return text;
}

void on_abort(void (*report)(const char*)) { ggml_set_abort_callback(report); }

std::string libllama_version() { return llama_version(); }

std::string libggml_version() { return ggml_version(); }

void LoadedModel::Deleter::operator()(llama_model* model) const { llama_model_free(model); }

namespace {

/// Whether libggml puts weights where Intel's AMX multiplies them.
bool has_amx()
{
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (cpu == nullptr) return false;
    const auto extra_types = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
    if (extra_types == nullptr) return false;
    for (const auto* type = extra_types(cpu); type != nullptr && *type != nullptr; ++type)
        if (std::string_view(ggml_backend_buft_name(*type)) == "AMX") return true;
    return false;
}

std::string metadata(const llama_model* model, const std::string& key)
{
    std::array<char, 128> value{};
    const bool there = llama_model_meta_val_str(model, key.c_str(), value.data(), value.size()) > 0;
    return there ? value.data() : "";
}

/// Whether keys and values come from a common latent vector (MLA).
bool has_latent_attention(const llama_model* model)
{
    return !metadata(model, metadata(model, "general.architecture") + ".attention.kv_lora_rank").empty();
}

}  // namespace

Result<LoadedModel> LoadedModel::load(const std::filesystem::path& path, const RunSettings& settings, WeightAccess access)
{
    start_backend();
    auto placement = Placement::of(settings);
    if (!placement) return std::unexpected(placement.error());
    const LogCapture log;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = settings.gpu_layers;
    (*placement)->apply(params);
    params.vocab_only = access == WeightAccess::none;
    params.no_alloc = access == WeightAccess::simulated;
    if (params.no_alloc) params.load_mode = LLAMA_LOAD_MODE_NONE;  // a mapped file would be memory
    if (access == WeightAccess::writable) {
        params.load_mode = LLAMA_LOAD_MODE_NONE;
        params.use_extra_bufts = false;
    }
    LoadedModel loaded;
    loaded.path_ = path;
    loaded.settings_ = settings;
    loaded.placement_ = std::move(*placement);
    loaded.model_.reset(llama_model_load_from_file(path.c_str(), params));
    // libggml 0.27 aborts where such weights lie in AMX's buffers, and llama-bench with it unless it gets --repack 0.
    if (loaded.model_ && params.use_extra_bufts && has_amx() && has_latent_attention(loaded.get())) {
        params.use_extra_bufts = false;
        loaded.model_.reset(llama_model_load_from_file(path.c_str(), params));
    }
    if (!loaded.model_) return fail("load {}: libllama refuses it: {}", path.string(), log.first_error());
    if (llama_model_has_encoder(loaded.get()) || !llama_model_has_decoder(loaded.get())) {
        return fail("load {}: not a decoder-only language model", path.string());
    }
    return loaded;
}

const llama_vocab* LoadedModel::vocabulary() const { return llama_model_get_vocab(model_.get()); }

std::size_t LoadedModel::vocabulary_size() const { return static_cast<std::size_t>(llama_vocab_n_tokens(vocabulary())); }

std::size_t LoadedModel::trained_context() const { return static_cast<std::size_t>(llama_model_n_ctx_train(model_.get())); }

std::vector<Token> LoadedModel::opening() const
{
    const llama_token bos = llama_vocab_bos(vocabulary());
    if (!llama_vocab_get_add_bos(vocabulary()) || bos == LLAMA_TOKEN_NULL) return {};
    return {bos};
}

Result<std::vector<Token>> LoadedModel::tokenize(std::string_view text, bool markup) const
{
    // With no vocabulary libllama aborts instead of failing.
    if (llama_vocab_type(vocabulary()) == LLAMA_VOCAB_TYPE_NONE)
        return fail("tokenize: {}: the model has no tokenizer", path_.string());
    if (text.size() > static_cast<std::size_t>(INT32_MAX)) return fail("tokenize: more than 2 GiB of text");
    const auto length = static_cast<int32_t>(text.size());
    const LogCapture log;
    std::vector<Token> tokens(text.size() + 16);
    const auto attempt = [&] {
        return llama_tokenize(vocabulary(), text.data(), length, tokens.data(), static_cast<int32_t>(tokens.size()), true,
                              markup);
    };
    try {
        int32_t count = attempt();
        if (count < 0 && count != INT32_MIN) {
            tokens.resize(static_cast<std::size_t>(-count));
            count = attempt();
        }
        if (count < 0) return fail("tokenize: {}: libllama cannot tokenize the text", path_.string());
        tokens.resize(static_cast<std::size_t>(count));
        return tokens;
    } catch (const std::exception& error) {  // a vocabulary without the bytes a text needs throws through the C interface
        return fail("tokenize: {}: its vocabulary cannot hold the text: {}", path_.string(), error.what());
    }
}

std::string LoadedModel::detokenize(std::span<const Token> tokens) const
{
    const auto count = static_cast<int32_t>(tokens.size());
    std::string text(tokens.size() * 8, '\0');
    int32_t length =
        llama_detokenize(vocabulary(), tokens.data(), count, text.data(), static_cast<int32_t>(text.size()), true, false);
    if (length < 0) {
        text.resize(static_cast<std::size_t>(-length));
        length =
            llama_detokenize(vocabulary(), tokens.data(), count, text.data(), static_cast<int32_t>(text.size()), true, false);
    }
    text.resize(static_cast<std::size_t>(std::max(length, 0)));
    return to_utf8(text);
}

llama_context_params context_params(const LoadedModel& model)
{
    llama_context_params params = llama_context_default_params();
    const auto threads = static_cast<int32_t>(thread_count(model.settings()));
    params.n_threads = threads;
    params.n_threads_batch = threads;
    params.offload_kqv = model.settings().offload_cache;
    return params;
}

Result<llama_context_params> context_params(const LoadedModel& model, const CacheTypes& cache)
{
    llama_context_params params = context_params(model);
    for (const auto& [name, type] : {std::pair(&cache.keys, &params.type_k), std::pair(&cache.values, &params.type_v)}) {
        const auto known = parse_type(*name);
        if (!known) return std::unexpected(known.error());
        *type = static_cast<ggml_type>(known->id);
    }
    return params;
}

Result<llama_context_ptr> make_context(const LoadedModel& model, llama_context_params params, const Monitor& monitor,
                                       std::vector<std::string>* said)
{
    const LogCapture log;
    params.abort_callback = [](void* watched) { return static_cast<const Monitor*>(watched)->stop_requested(); };
    params.abort_callback_data = const_cast<Monitor*>(&monitor);
    llama_context_ptr context(llama_init_from_model(model.get(), params));
    if (!context)
        return fail("run {}: libllama cannot make a context of {} tokens: {}", model.path().string(), params.n_ctx,
                    log.first_error());
    if (said != nullptr) *said = log.reports();
    return context;
}

Error decode_error(const LoadedModel& model, std::int32_t status, std::string_view said)
{
    constexpr std::int32_t kAborted = 2;  // llama.h, llama_decode
    if (status == kAborted) return {ErrorCode::interrupted, std::format("run {}: interrupted", model.path().string())};
    return {ErrorCode::failed, std::format("run {}: libllama cannot decode ({}){}{}", model.path().string(), status,
                                           said.empty() ? "" : ": ", said)};
}

void Batch::add(Token token, std::size_t position, std::size_t sequence, bool output)
{
    const auto i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = static_cast<llama_pos>(position);
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = static_cast<llama_seq_id>(sequence);
    batch_.logits[i] = output ? 1 : 0;
}

Result<> Batch::decode(const LoadedModel& model, llama_context* context)
{
    const LogCapture log;
    const int32_t status = llama_decode(context, batch_);
    if (status != 0) return std::unexpected(decode_error(model, status, log.first_error()));
    return {};
}

}  // namespace apreqel
