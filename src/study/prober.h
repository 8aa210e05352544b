// Probes in place: one group of tensors at a time in one loaded model.
#pragma once

#include "base/file.h"
#include "quantize/convert.h"
#include "quantize/write_models.h"
#include "study/form.h"
#include "study/probe_choice.h"
#include "study/study.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// How a prober measures.
struct Probing {
    QuantType form;                   ///< full-precision type that the model runs in
    ProbeSequences sequences;         ///< what a probe runs; none: the leading chunks, scored as models are measured
    std::size_t chunks = 0;           ///< then how many
    std::filesystem::path reference;  ///< and where what the full-precision model expects is kept as long as the prober lives
    std::string identity;             ///< and what they depend on
};

/// Probes one group at a time in one loaded model, whose weights are overwritten by the image of their quantized form and
/// then restored bit by bit.
class Prober {
public:
    /// Loads the model with its weights to be overwritten.
    static Result<std::unique_ptr<Prober>> open(const Study& study, Probing probing, const std::string& text);

    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;
    ~Prober();

    /// Runs the full-precision model, which every probe is compared with.
    Result<> record();

    /// KL divergence with `tensors` as assigned. `again`: on other sequences. Errors are those of all rows.
    Result<Probe> probe(std::span<const std::size_t> tensors, const TypeAssignment& assignment, bool again = false);

    /// KL divergence as the weights stand: 0, but for noise.
    Result<Divergence> measure_unchanged();

    /// KL divergence as the weights stand with a KV cache of these types, on all sequences.
    Result<Divergence> measure_cache(const CacheTypes& cache);

    /// What quantization does to the weights of `tensors`, all rows.
    Result<RowConverter::Distortion> distortion(std::span<const std::size_t> tensors, const TypeAssignment& assignment);

private:
    /// Rows of one tensor, to be quantized.
    struct Slab {
        RowRange rows;
        QuantType type;
        const TensorOrigin* origin;
        std::vector<std::byte> original{};  ///< what was overwritten
    };

    /// Asks to stop where the study's monitor does, and shows nothing: a probe is a unit of its own step.
    struct Quiet : Monitor {
        explicit Quiet(const Monitor& watched) : watched_(watched) {}
        [[nodiscard]] bool stop_requested() const override { return watched_.stop_requested(); }
        const Monitor& watched_;
    };

    Prober(const Study& study, Probing probing, std::unique_ptr<RunnableModel> model, std::vector<InputFile> sources,
           std::vector<Token> tokens);

    [[nodiscard]] QualitySettings quality() const;
    [[nodiscard]] Result<Divergence> measure(std::size_t first, std::size_t count);
    [[nodiscard]] const Tensor& tensor(std::size_t t) const { return study_.inventory.tensors[t]; }
    [[nodiscard]] std::vector<Slab> cut(std::span<const std::size_t> tensors, const TypeAssignment& assignment) const;
    [[nodiscard]] Result<RowConverter::Distortion> convert(std::vector<Slab>& slabs, bool apply);
    Result<> convert(Slab& slab, RowConverter::Distortion& distortion, bool apply);

    const Study& study_;
    Probing probing_;
    Quiet unseen_{study_.monitor};
    std::unique_ptr<RunnableModel> model_;
    std::vector<InputFile> sources_;
    std::vector<Token> tokens_;
};

/// What quantization does to the weights of `tensors`, for each of several assignments: from some rows of each tensor only, evenly
/// spaced and the same for all, so that types that take long to make do not take longer than probes. Some 32,000 weights of a
/// tensor, and 16 rows at least. Error: interrupted, or the model cannot be read.
[[nodiscard]] Result<std::vector<RowConverter::Distortion>> sampled_distortions(
    const Study& study, std::span<const std::size_t> tensors, std::span<const TypeAssignment* const> assignments);

}  // namespace apreqel
