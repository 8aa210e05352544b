// Probes: how far the weights that are overwritten in a loaded model take its predictions, on a few short sequences.
#pragma once

#include "base/monitor.h"
#include "runtime/expectation.h"
#include "runtime/runtime.h"
#include "runtime/session.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace apreqel {

/// A context in which sequences run again and again while weights change.
class ProbeRun {
public:
    /// Runs `sequences`, the first token of each replaced by BOS, and keeps what is expected after each but the first
    /// kUncompared. Both arguments by reference outlive it. Error: a sequence is not longer than that.
    [[nodiscard]] static Result<ProbeRun> record(const LoadedModel& model, std::vector<std::vector<Token>> sequences,
                                                 const Monitor& monitor);

    /// Runs `count` of the sequences from the `first` on. `cache`: with a KV cache of these types.
    [[nodiscard]] Result<Divergence> compare(std::size_t first, std::size_t count, const CacheTypes& cache = {});

private:
    template <class Visit>
    [[nodiscard]] Result<> run(std::size_t first, std::size_t count, Visit visit);

    const LoadedModel* model_ = nullptr;
    const Monitor* monitor_ = nullptr;
    std::vector<std::vector<Token>> sequences_;
    std::vector<std::vector<Expectation>> expected_;  ///< at each position of each sequence
    std::shared_ptr<llama_context> context_;
    CacheTypes cache_{};  ///< of the context
};

/// See Runtime::time_prompt.
[[nodiscard]] Result<double> time_prompt(const std::filesystem::path& path, const RunSettings& settings, std::size_t tokens,
                                         const Monitor& monitor);

}  // namespace apreqel
