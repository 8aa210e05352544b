// A runtime without libllama: a small world in which the logits of a model are its weights, so that quality and speed follow
// from a GGUF file alone, and in which any call can fail, be stopped, or give nonsense. Same calls, same results.
#pragma once

#include "runtime/runtime.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What the world is like. KL divergence is the sum over all tensors of how far each is from full precision, times what it is
/// worth; a token takes the sum of what the bytes of each tensor cost in its type, and energy for
/// each byte alike.
struct FakeWorld {
    double noise = 0.001;            ///< of a round's times, as a share
    double mixed_divergence = 1;     ///< factor on the KL divergence of a file whose layers are not all of one type
    double mixed_latency = 1;        ///< and on its time
    double exponent = 1;             ///< of the distance from full precision, with which divergence grows
    std::string exponent_of{};       ///< of weights with that in their names; of the others it is 1
    std::string odd_at_first{};      ///< weights of that beginning cost ten times as much on the first sequences of probes
    bool counts_energy = true;       ///< else it cannot be measured
    std::string fast_form{};         ///< the full-precision type that prompts are twice as fast in
    std::string impossible_cache{};  ///< the type that no KV cache can have
};

/// Calls are counted from 1 on; 0: never.
struct FakeFaults {
    std::size_t fail_at = 0;    ///< this call is an error
    std::size_t stop_at = 0;    ///< during this call somebody asks to stop
    std::size_t nan_at = 0;     ///< the figures of this call are no numbers
    std::size_t slow_from = 0;  ///< from this call on everything takes twice as long
    std::size_t slow_to = 0;    ///< as far as this one
};

class FakeRuntime : public Runtime {
public:
    FakeWorld world{};
    FakeFaults faults{};
    Platform here{.libllama = "fake", .device = "fake device", .machine = "fake machine", .offloading = "none", .threads = 1};

    /// Calls that were begun: "load llama.gguf", "tokenize", "sample", "score", "collect", "record", "evaluate q4_0…gguf",
    /// "probe", "find", "time", "context", "speed of plan-1.gguf", "stock Q4_0".
    std::vector<std::string> calls;
    /// Of these, how many succeeded and begin like that.
    [[nodiscard]] std::size_t done(std::string_view call) const;

    std::vector<WrongType> wrong{};  ///< types that its GPU has no product of, or a wrong one

    std::size_t rounds = 0;  ///< of the last measurement of speeds
    /// That probes and what they are compared with ran.
    std::size_t tokens = 0;

    /// Somebody asked to stop, and nobody has started again.
    bool stopping = false;

    /// Forgets calls, faults and the wish to stop.
    void start_again();

    Platform platform(const RunSettings& settings) override;
    Result<std::unique_ptr<RunnableModel>> load(const std::filesystem::path& path, const RunSettings& settings,
                                                WeightAccess access) override;
    Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings, std::size_t tokens,
                               Monitor& monitor) override;
    Result<std::vector<Speed>> measure_speed(std::span<const std::filesystem::path> models, std::span<const CacheTypes> caches,
                                             const RunSettings& run, const SpeedSettings& settings, Monitor& monitor) override;
    Result<std::vector<WrongType>> find_wrong_types(const RunSettings& settings, std::span<const RowFormat> formats) override;
    Result<> check_energy(const RunSettings& run) override;
    /// A byte of KV cache a token, twice as much where its keys are in more than 9 bits, a quarter less where its values are not, and
    /// 10 bytes of buffers.
    Result<ContextMemory> context_memory(const std::filesystem::path& path, const RunSettings& settings, std::uint64_t tokens,
                                         Monitor& monitor) override;
    /// All layers and the embedding in the type that the name begins with: "Q4_0".
    Result<> quantize_stock(const Inventory& source, std::string_view name, const std::filesystem::path& output,
                            const RunSettings& settings) override;

    /// Counts a call that begins. Error: it is to fail, or to stop, as `monitor` says.
    [[nodiscard]] Result<> begin(std::string call, const Monitor* monitor = nullptr);
    /// `value`, or no number if the last call is to give none.
    [[nodiscard]] double figure(double value) const;

private:
    std::vector<std::string> done_;
};

/// Asks to stop where the runtime was told to, or at its own `asked_at`th answer.
class FakeMonitor : public Monitor {
public:
    explicit FakeMonitor(const FakeRuntime& runtime) : runtime_(runtime) {}
    [[nodiscard]] bool stop_requested() const override;

    std::size_t asked_at = 0;       ///< 0: never
    mutable std::size_t asked = 0;  ///< how often it was asked, by one thread

private:
    const FakeRuntime& runtime_;
};

}  // namespace apreqel
