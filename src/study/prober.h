// Probes in place: one group of tensors at a time in one loaded model.
#pragma once

#include "base/file.h"
#include "quantize/convert.h"
#include "quantize/write_models.h"
#include "study/study.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// Probes one group at a time in one loaded model, whose weights are overwritten by the image of their quantized form and
/// then restored bit by bit.
class Prober {
public:
    /// Loads the model with its weights to be overwritten. `logits`: where the full-precision model's are kept as long as the
    /// prober lives; `identity` says what they depend on.
    static Result<std::unique_ptr<Prober>> open(const Study& study, const SenseSettings& settings,
                                                std::span<const Group> groups, const std::string& text,
                                                std::filesystem::path logits, std::string identity);

    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;
    ~Prober();

    /// Runs the full-precision model, which every probe is compared with.
    Result<> record();

    /// KL divergence with `tensors` as assigned.
    Result<Probe> probe(std::span<const std::size_t> tensors, const TypeAssignment& assignment);

    /// KL divergence as the weights stand.
    Result<Quality> measure();

    /// Σ‖W − Ŵ‖² / Σ‖W‖²; `apply`: and the weights become their image Ŵ.
    Result<double> squared_error(std::span<const std::size_t> tensors, const TypeAssignment& assignment, bool apply);

private:
    /// Rows of one tensor, to be quantized.
    struct Slab {
        std::size_t tensor;
        QuantType type;
        const TensorOrigin* origin;
        std::int64_t first_row;
        std::int64_t rows;
    };

    /// Asks to stop where the study's monitor does, and shows nothing: a probe is a unit of its own step.
    struct Quiet : Monitor {
        explicit Quiet(const Monitor& watched) : watched_(watched) {}
        [[nodiscard]] bool stop_requested() const override { return watched_.stop_requested(); }
        const Monitor& watched_;
    };

    Prober(const Study& study, const SenseSettings& settings, std::unique_ptr<RunnableModel> model,
           std::vector<InputFile> sources, std::vector<Token> tokens, std::filesystem::path logits, std::string identity);

    [[nodiscard]] QualitySettings quality() const;
    [[nodiscard]] const Tensor& tensor(std::size_t t) const { return study_.inventory.tensors[t]; }
    [[nodiscard]] std::vector<Slab> cut(std::span<const std::size_t> tensors, const TypeAssignment& assignment) const;
    Result<> convert(const Slab& slab, RowConverter::Distortion& distortion, bool apply);
    Result<std::span<const std::byte>> foreign_image(const Slab& slab, RowConverter& converter,
                                                     RowConverter::Distortion& distortion) const;
    Result<> restore(std::span<const std::size_t> tensors);

    const Study& study_;
    SenseSettings settings_;
    std::unique_ptr<RunnableModel> model_;
    std::vector<InputFile> sources_;
    std::vector<Token> tokens_;
    std::filesystem::path logits_;
    std::string identity_;
    Quiet unseen_{study_.monitor};
};

}  // namespace apreqel
