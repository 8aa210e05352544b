#include "base/memory.h"
#include "model/hessian.h"
#include "model/importance.h"
#include "model/readiness.h"
#include "study/form.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>
#include <execution>
#include <vector>

namespace apreqel {
namespace {

/// Chunks that --imatrix auto reads: sensitivities need no more either. Of a mixture of experts each sees a part of them only.
constexpr std::size_t kOwnChunks = 8;
constexpr std::size_t kOwnChunksOfExperts = 32;

/// For error feedback: twice as many tokens as the widest span has columns, and hardly worse than four times as many.
constexpr std::size_t kMomentChunks = 20;

/// How many of `inputs`, from the `first` on, are collected in one run of the text: a quarter of the free memory, at least one.
std::size_t inputs_at_once(const Inventory& inventory, std::span<const SharedInput> inputs, std::size_t first)
{
    constexpr std::uint64_t kUnlessKnown = 1ULL << 30;
    const std::uint64_t most = available_memory().value_or(4 * kUnlessKnown) / 4;
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (; first + count < inputs.size(); ++count) {
        bytes += span_elements(inventory.tensors[inputs[first + count].front()].columns()) * sizeof(float);
        if (count > 0 && bytes > most) break;
    }
    return count;
}

Result<> write_factors(const Inventory& inventory, std::span<const SharedInput> inputs, std::size_t first,
                       std::vector<InputMoments>& moments, HessianWriter& writer)
{
    std::vector<char> finite(moments.size());
    std::vector<std::size_t> all(moments.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    const auto tensor = [&](std::size_t i) -> const Tensor& { return inventory.tensors[inputs[first + i].front()]; };
    std::for_each(std::execution::par, all.begin(), all.end(),
                  [&](std::size_t i) { finite[i] = factor_inverse(moments[i], tensor(i).columns()) ? 1 : 0; });
    for (const std::size_t i : all) {
        if (finite[i] == 0)
            return fail("error feedback {}: the inputs of {} are not finite numbers", inventory.files.front().string(),
                        tensor(i).name);
        if (auto written = writer.write(first + i, moments[i]); !written) return written;
    }
    return {};
}

Result<> collect_hessian(const Study& study, RunnableModel& model, const std::string& text, const ImportanceSettings& settings,
                         const std::filesystem::path& output)
{
    const auto tokens = model.tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    const auto inputs = model.find_shared_inputs(study.inventory, study.monitor);
    if (!inputs) return std::unexpected(inputs.error());
    auto writer = HessianWriter::create(output, study.inventory, *inputs);
    if (!writer) return std::unexpected(writer.error());
    std::size_t parts = 0;
    for (std::size_t first = 0; first < inputs->size(); first += inputs_at_once(study.inventory, *inputs, first)) ++parts;
    std::size_t part = 0;
    for (std::size_t first = 0; first < inputs->size();) {
        const std::size_t count = inputs_at_once(study.inventory, *inputs, first);
        auto moments = model.collect_moments(study.inventory, std::span(*inputs).subspan(first, count), *tokens, settings,
                                             parts > 1 ? std::format("{} of {}", ++part, parts) : "", study.monitor);
        if (!moments) return std::unexpected(moments.error());
        if (auto written = write_factors(study.inventory, *inputs, first, *moments, *writer); !written) return written;
        first += count;
    }
    return writer->commit();
}

Result<ImportanceMatrix> collect_on(const Study& study, RunnableModel& model, const std::string& text,
                                    const ImportanceSettings& settings, const std::filesystem::path& output)
{
    const auto tokens = model.tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    auto matrix = model.collect_importance(study.inventory, *tokens, settings, study.monitor);
    if (!matrix) return matrix;
    matrix->text = calibration_source(study);
    if (auto written = write_importance(output, *matrix); !written) return std::unexpected(written.error());
    return matrix;
}

}  // namespace

Result<ImportanceMatrix> make_importance(const Study& study, const ImportanceSettings& settings,
                                         const std::filesystem::path& output)
{
    if (auto ready = check_ready(study.inventory, "imatrix", {Task::load, Task::text}); !ready)
        return std::unexpected(ready.error());
    if (auto enough = check_texts(study, {collecting(settings)}); !enough) return std::unexpected(enough.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto model = study.runtime->load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    return collect_on(study, **model, *text, settings, output);
}

Result<> use_own_importance(Study& study)
{
    if (auto ready = check_ready(study.inventory, "imatrix", {Task::load, Task::text, Task::quantize}); !ready) return ready;
    const ImportanceSettings settings{.chunks = study.inventory.experts > 0 ? kOwnChunksOfExperts : kOwnChunks};
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const auto path = Facts::of(study)
                          .with(Input::calibration, digest({*text}))
                          .with(Input::form, type_name(*form))
                          .with(Input::collecting, std::format("context {} chunks {}", settings.context, settings.chunks))
                          .path(study.workspace, kImatrix);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) {
        auto read = read_importance(path, study.inventory, "imatrix.gguf");
        if (read) return read;
        set_aside(path, read.error().message, study.monitor);
    }
    std::vector<TextNeed> needs{collecting(settings)};  // and of what will be used afterwards, what is known already
    if (!study.settings.text.empty()) needs.push_back(measuring(study));
    if (!study.settings.prompts.empty()) needs.push_back(scoring());
    if (auto enough = check_texts(study, needs); !enough) return enough;
    const auto model = load_in_form(study, *form);
    if (!model) return std::unexpected(model.error());
    if (const auto made = collect_on(study, **model, *text, settings, path); !made) return std::unexpected(made.error());
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return sealed;
    return read_importance(path, study.inventory, "imatrix.gguf");
}

Result<> use_own_hessian(Study& study)
{
    if (auto ready = check_ready(study.inventory, "error feedback", {Task::load, Task::text, Task::quantize}); !ready)
        return ready;
    const ImportanceSettings settings{.chunks = kMomentChunks};
    if (auto enough = check_texts(study, {collecting(settings)}); !enough) return enough;
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const auto path = Facts::of(study)
                          .with(Input::calibration, digest({*text}))
                          .with(Input::form, type_name(*form))
                          .with(Input::collecting, std::format("context {} chunks {}", settings.context, settings.chunks))
                          .path(study.workspace, kHessian);
    const auto there = study.workspace.holds(path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) {
        auto read = read_hessian(path, study.inventory);
        if (read) return read;
        set_aside(path, read.error().message, study.monitor);
    }
    const auto model = load_in_form(study, *form);
    if (!model) return std::unexpected(model.error());
    if (auto made = collect_hessian(study, **model, *text, settings, path); !made) return made;
    if (auto sealed = study.workspace.seal(path, study.monitor); !sealed) return sealed;
    return read_hessian(path, study.inventory);
}

}  // namespace apreqel
