#include "runtime/speed.h"

#include "base/memory.h"
#include "runtime/context.h"

#include <apreqel/statistics.h>
#include <ggml-backend.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

namespace apreqel {
namespace {

/// libggml's pool of worker threads, polling as llama-bench's does. The functions live in a backend that is loaded at
/// run time; where it has none, libllama uses its own.
class ThreadPool {
public:
    explicit ThreadPool(unsigned threads)
    {
        ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
        if (cpu == nullptr) return;
        ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(cpu);
        const auto create = reinterpret_cast<Create*>(ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_new"));
        release_ = reinterpret_cast<Release*>(ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_free"));
        if (create == nullptr || release_ == nullptr) return;
        ggml_threadpool_params params = ggml_threadpool_params_default(static_cast<int>(threads));
        pool_ = create(&params);
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool()
    {
        if (pool_ != nullptr) release_(pool_);
    }
    void attach(llama_context* context) const
    {
        if (pool_ != nullptr) llama_attach_threadpool(context, pool_, nullptr);
    }

private:
    using Create = ggml_threadpool_t(ggml_threadpool_params*);
    using Release = void(ggml_threadpool_t);

    ggml_threadpool_t pool_ = nullptr;
    Release* release_ = nullptr;
};

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start)
{
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// The KV cache of as many tokens as lie before those that are timed. What they are does not matter, so that one model of the
/// session computes them, and those of the same shape take them over.
using Past = std::vector<std::uint8_t>;

/// How a past is computed: in pieces that are sequences of their own, so that none looks at what lies before it. Attention would take
/// longer the more there is, and many times as long where values are quantized.
struct Pieces {
    explicit Pieces(std::size_t depth)
    {
        constexpr std::size_t kShort = 64;
        constexpr std::size_t kMost = 255;  // libllama's sequences, and one to spare
        length = std::max(kShort, (depth + kMost - 1) / kMost);
        count = (depth + length - 1) / length;
    }
    std::size_t length;  ///< tokens
    std::size_t count;
};

/// By the types of the KV cache, keys and values.
using Pasts = std::map<std::pair<std::string, std::string>, Past>;

/// What a model took for the generated tokens of a round, per token.
struct Generated {
    double latency_ms;
    double joules;  ///< 0 without a meter
};

/// A model ready to be timed, warmed up.
class Runner {
public:
    /// `past`: of another model, or empty; then it is filled.
    static Result<Runner> make(const std::filesystem::path& path, const RunSettings& run, const SpeedSettings& settings,
                               const ThreadPool& pool, Past& past, EnergyMeter* meter, const Monitor& monitor)
    {
        auto model = LoadedModel::load(path, run);
        if (!model) return std::unexpected(model.error());
        Runner runner(std::move(*model), settings, past, meter, monitor);
        for (const bool prompt : {false, true}) {
            const std::size_t tokens = prompt ? settings.prompt : settings.generated;
            if (tokens == 0) continue;
            auto params = context_params(runner.model_, run.cache);
            if (!params) return std::unexpected(params.error());
            params->n_ctx = static_cast<uint32_t>(settings.depth + tokens);
            if (runner.fills_in_pieces()) {
                params->n_seq_max = static_cast<uint32_t>(Pieces(settings.depth).count);
                params->kv_unified = true;  // which one sequence has, too
            }
            auto context = make_context(runner.model_, *params, monitor);
            if (!context) return std::unexpected(context.error());
            pool.attach(context->get());
            if (auto filled = runner.fill(context->get()); !filled) return std::unexpected(filled.error());
            (prompt ? runner.prompt_context_ : runner.generation_context_) = std::move(*context);
        }
        if (auto warm = runner.generate(1); !warm) return std::unexpected(warm.error());
        if (settings.prompt > 0) {
            if (auto warm = runner.process_prompt(); !warm) return std::unexpected(warm.error());
        }
        return runner;
    }

    /// Generates `tokens` tokens. Which ones does not matter: the next is drawn at random.
    Result<Generated> generate(std::size_t tokens)
    {
        llama_context* context = generation_context_.get();
        if (auto ready = rewind(context); !ready) return std::unexpected(ready.error());
        const auto before = joules();
        if (!before) return std::unexpected(before.error());
        const Clock::time_point start = Clock::now();
        const std::vector<Token> opening = model_.opening();
        Token token = opening.empty() ? random_token() : opening.front();
        for (std::size_t i = 0; i < tokens; ++i) {
            if (auto decoded = decode(context, std::span(&token, 1)); !decoded) return std::unexpected(decoded.error());
            token = random_token();
        }
        const double milliseconds = milliseconds_since(start);
        const auto after = joules();
        if (!after) return std::unexpected(after.error());
        const auto count = static_cast<double>(tokens);
        return Generated{.latency_ms = milliseconds / count, .joules = (*after - *before) / count};
    }

    /// Prompt tokens per second.
    Result<double> process_prompt()
    {
        llama_context* context = prompt_context_.get();
        if (auto ready = rewind(context); !ready) return std::unexpected(ready.error());
        std::vector<Token> tokens = model_.opening();
        while (tokens.size() < settings_.prompt) tokens.push_back(random_token());
        const Clock::time_point start = Clock::now();
        if (auto decoded = decode_in_pieces(context, tokens); !decoded) return std::unexpected(decoded.error());
        return 1000.0 * static_cast<double>(tokens.size()) / milliseconds_since(start);
    }

private:
    Runner(LoadedModel model, const SpeedSettings& settings, Past& past, EnergyMeter* meter, const Monitor& monitor)
        : model_(std::move(model)), settings_(settings), past_(&past), meter_(meter), monitor_(&monitor)
    {
    }

    Result<double> joules() { return meter_ != nullptr ? meter_->joules() : Result<double>(0); }

    /// Puts the tokens of the depth into an empty context.
    Result<> fill(llama_context* context)
    {
        if (settings_.depth == 0) return {};
        if (!past_->empty() && llama_state_seq_set_data(context, past_->data(), past_->size(), 0) > 0) return {};
        llama_memory_clear(llama_get_memory(context), false);
        if (fills_in_pieces()) {
            if (auto filled = fill_in_pieces(context); !filled) return filled;
        } else {
            std::vector<Token> tokens(settings_.depth);
            std::ranges::generate(tokens, [&] { return random_token(); });
            if (auto decoded = decode_in_pieces(context, tokens); !decoded) return decoded;
        }
        past_->resize(llama_state_seq_get_size(context, 0));
        past_->resize(llama_state_seq_get_data(context, past_->data(), past_->size(), 0));
        return {};
    }

    /// A recurrent state is not of tokens, and cannot be put together.
    [[nodiscard]] bool fills_in_pieces() const
    {
        return settings_.depth > 0 && !llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get());
    }

    Result<> fill_in_pieces(llama_context* context)
    {
        const Pieces pieces(settings_.depth);
        const std::size_t most = llama_n_batch(context);
        Batch batch(most);
        for (std::size_t begin = 0; begin < settings_.depth; begin += most) {
            if (monitor_->stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "time: interrupted"});
            const std::size_t end = std::min(begin + most, settings_.depth);
            batch.clear();
            for (std::size_t i = begin; i < end; ++i) batch.add(random_token(), i, i / pieces.length, i + 1 == end);
            if (auto decoded = batch.decode(model_, context); !decoded) return decoded;
        }
        llama_memory_t memory = llama_get_memory(context);
        for (std::size_t s = 1; s < pieces.count; ++s) {
            const auto piece = static_cast<llama_seq_id>(s);
            llama_memory_seq_cp(memory, piece, 0, -1, -1);
            llama_memory_seq_rm(memory, piece, -1, -1);
        }
        llama_synchronize(context);
        return {};
    }

    /// Takes out of the context what the last sample put there.
    Result<> rewind(llama_context* context)
    {
        llama_memory_t memory = llama_get_memory(context);
        if (settings_.depth > 0 && llama_memory_seq_rm(memory, 0, static_cast<llama_pos>(settings_.depth), -1)) return {};
        llama_memory_clear(memory, false);
        return fill(context);  // recurrent memory has no part of it taken out
    }

    Token random_token() { return static_cast<Token>(random_() % model_.vocabulary_size()); }

    /// Decodes the next tokens of the sequence, and waits until that is done.
    Result<> decode(llama_context* context, std::span<Token> tokens)
    {
        if (monitor_->stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "time: interrupted"});
        const int32_t status = llama_decode(context, llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size())));
        if (status != 0) return std::unexpected(decode_error(model_, status));
        llama_synchronize(context);
        return {};
    }

    Result<> decode_in_pieces(llama_context* context, std::span<Token> tokens)
    {
        const std::size_t piece = llama_n_batch(context);
        for (std::size_t begin = 0; begin < tokens.size(); begin += piece)
            if (auto decoded = decode(context, tokens.subspan(begin, std::min(piece, tokens.size() - begin))); !decoded)
                return decoded;
        return {};
    }

    LoadedModel model_;
    SpeedSettings settings_;
    Past* past_;
    EnergyMeter* meter_;  ///< null: none
    const Monitor* monitor_;
    llama_context_ptr generation_context_;
    llama_context_ptr prompt_context_;
    std::minstd_rand random_;
};

/// How many tokens a sample of `runner` has. All models of a session have as many: a token takes longer the more there are before.
Result<std::size_t> tokens_of_sample(Runner& runner, const SpeedSettings& settings)
{
    constexpr std::size_t kFewest = 4;
    if (settings.sample_ms <= 0 || settings.generated <= kFewest) return settings.generated;
    const auto one = runner.generate(kFewest);
    if (!one) return std::unexpected(one.error());
    return static_cast<std::size_t>(std::clamp(settings.sample_ms / one->latency_ms, static_cast<double>(kFewest),
                                               static_cast<double>(settings.generated)));
}

/// What is free where models of these settings lie: in main memory, or on accelerators.
std::uint64_t free_memory(const RunSettings& run)
{
    const std::uint64_t main = available_memory().value_or(0);
    if (run.gpu_layers == 0 || accelerator_buffers(run).empty()) return main;
    std::uint64_t there = 0;
    for (ggml_backend_dev_t device : accelerators(run)) {
        std::size_t free = 0;
        std::size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        there += free;
    }
    return std::min(main, there);
}

/// `context_bytes`: of one model.
bool fit_together(std::span<const std::filesystem::path> models, std::uint64_t context_bytes, const RunSettings& run)
{
    std::uint64_t bytes = models.size() * context_bytes;
    for (const auto& path : models) {
        std::error_code error;
        const auto size = std::filesystem::file_size(path, error);
        if (!error) bytes += size;
    }
    return bytes < free_memory(run) / 2;
}

/// Whether there were enough rounds. The pace of the machine, which all models share, does not count.
bool are_settled(const std::vector<std::vector<double>>& latencies, std::span<const std::size_t> order, std::size_t rounds,
                 const SpeedSettings& settings)
{
    return settings.precision > 0 && rounds >= kFewestSamples && known_to(without_drift(latencies, order), settings.precision);
}

bool uses_accelerator(const RunSettings& run)
{
    return run.gpu_layers != 0 && ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr;
}

std::unexpected<Error> too_brief(std::size_t tokens, const EnergyMeter& meter)
{
    return std::unexpected(Error{
        ErrorCode::failed, std::format("energy: {} tells nothing of {} tokens: they take too short", meter.source(), tokens),
        "generate more of them in a round: --generate"});
}

/// The meter of a session, and what the machine takes while nothing runs.
struct Metering {
    std::unique_ptr<EnergyMeter> meter{};
    std::optional<MeterWatch> watch{};  ///< after the meter, which it asks
    double idle_watts = 0;
};

Result<> start(Metering& metering, std::shared_ptr<Sensors> sensors, const RunSettings& run, Monitor& monitor)
{
    constexpr double kIdleSeconds = 2;
    auto meter = EnergyMeter::open(std::move(sensors), uses_accelerator(run));
    if (!meter) return std::unexpected(meter.error());
    metering.meter = std::move(*meter);
    metering.watch.emplace(*metering.meter);
    monitor.begin("idle power", 1);
    const auto idle = metering.meter->idle_watts(kIdleSeconds, monitor);
    if (!idle) return std::unexpected(idle.error());
    metering.idle_watts = *idle;
    monitor.end(std::format("{:.1f} W ({})", *idle, metering.meter->source()));
    return {};
}

}  // namespace

Result<> check_energy(const RunSettings& run, std::shared_ptr<Sensors> sensors)
{
    start_backend();
    const auto meter = EnergyMeter::open(std::move(sensors), uses_accelerator(run));
    return meter ? Result<>() : std::unexpected(meter.error());
}

Result<std::vector<Speed>> measure_speed(std::span<const std::filesystem::path> models, std::span<const CacheTypes> caches,
                                         const RunSettings& run, const SpeedSettings& settings, Monitor& monitor,
                                         std::shared_ptr<Sensors> sensors)
{
    if (settings.repetitions == 0 || settings.generated == 0)
        return usage_error("time: at least one repetition of one token is needed");
    constexpr std::size_t kMost = INT32_MAX;
    if (settings.depth > kMost || std::max(settings.generated, settings.prompt) > kMost - settings.depth)
        return usage_error("time: libllama cannot run more than {} tokens", kMost);
    start_backend();  // the pool asks the backends for its functions
    Metering metering;
    if (settings.energy)
        if (auto started = start(metering, std::move(sensors), run, monitor); !started) return std::unexpected(started.error());
    const ThreadPool pool(thread_count(run));
    Pasts pasts;
    std::optional<bool> keep;
    std::vector<std::optional<Runner>> runners(models.size());
    std::vector<std::vector<double>> latencies(models.size());
    std::vector<std::vector<double>> prompt_speeds(models.size());
    std::vector<std::vector<double>> energies(models.size());

    std::vector<std::size_t> round(models.size());
    std::iota(round.begin(), round.end(), 0);
    std::vector<std::size_t> order;  // all rounds, one after another
    std::size_t rounds = 0;
    std::size_t tokens = 0;
    std::mt19937_64 random(settings.seed);

    monitor.begin("latency", static_cast<double>(settings.repetitions * models.size()));
    while (rounds < settings.repetitions && !are_settled(latencies, order, rounds, settings)) {
        std::ranges::shuffle(round, random);
        for (const std::size_t m : round) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "time: interrupted"});
            if (!runners[m]) {
                RunSettings own = run;
                if (!caches.empty()) own.cache = caches[m];
                Past& past = pasts[{own.cache.keys, own.cache.values}];
                auto made = Runner::make(models[m], own, settings, pool, past, metering.meter.get(), monitor);
                if (!made) return std::unexpected(made.error());
                runners[m].emplace(std::move(*made));
                if (!keep) keep = fit_together(models, past.size() * (settings.prompt > 0 ? 2 : 1), run);
            }
            if (tokens == 0) {
                const auto enough = tokens_of_sample(*runners[m], settings);
                if (!enough) return std::unexpected(enough.error());
                tokens = *enough;
            }
            const auto generated = runners[m]->generate(tokens);
            if (!generated) return std::unexpected(generated.error());
            latencies[m].push_back(generated->latency_ms);
            if (metering.meter) {
                if (!(generated->joules > 0)) return too_brief(tokens, *metering.meter);
                energies[m].push_back(generated->joules);
            }
            if (settings.prompt > 0) {
                const auto speed = runners[m]->process_prompt();
                if (!speed) return std::unexpected(speed.error());
                prompt_speeds[m].push_back(*speed);
            }
            if (!*keep) runners[m].reset();
            order.push_back(m);
            monitor.advance(static_cast<double>(order.size()));
        }
        ++rounds;
    }
    std::vector<Speed> speeds(models.size());
    const auto level = [&](std::vector<std::vector<double>>& raw, auto figure) {
        auto leveled = without_drift(raw, order);
        for (std::size_t m = 0; m < models.size(); ++m) {
            Sampled& sampled = figure(speeds[m]) = summarize(std::move(leveled[m]));
            sampled.raw = std::move(raw[m]);
        }
    };
    level(latencies, [](Speed& speed) -> Sampled& { return speed.latency_ms; });
    level(prompt_speeds, [](Speed& speed) -> Sampled& { return speed.prompt_tokens_per_second; });
    if (metering.meter) {
        level(energies, [](Speed& speed) -> Sampled& { return speed.energy.joules; });
        for (Speed& speed : speeds) {
            speed.energy.idle_watts = metering.idle_watts;
            speed.energy.source = metering.meter->source();
        }
    }
    monitor.end(std::format("{} models, {} rounds", models.size(), rounds));
    return speeds;
}

}  // namespace apreqel
