#include "model/importance.h"
#include "base/memory.h"
#include "model/hessian.h"
#include "model/readiness.h"
#include "study/form.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>
#include <execution>
#include <numeric>
#include <vector>

namespace apreqel {
namespace {

/// Chunks that are read, for error feedback twice as many tokens as the widest span has columns, and hardly worse than four times
/// as many. One run of them serves an importance matrix too. Of a mixture of experts each sees a part of them only.
constexpr std::size_t kOwnChunks = 20;
constexpr std::size_t kOwnChunksOfExperts = 32;

/// `inputs` in parts, each collected in one run of the text: what a quarter of the free memory holds, at least one.
std::vector<std::size_t> parts_of(const Inventory& inventory, std::span<const SharedInput> inputs)
{
    constexpr std::uint64_t kUnlessKnown = 1ULL << 32;
    const std::uint64_t most = available_memory().value_or(kUnlessKnown) / 4;
    std::vector<std::size_t> parts;
    std::uint64_t bytes = 0;
    for (const SharedInput& input : inputs) {
        const std::uint64_t more = span_elements(inventory.tensors[input.front()].columns()) * sizeof(float);
        bytes += more;
        if (parts.empty() || bytes > most) {
            parts.push_back(0);
            bytes = more;
        }
        ++parts.back();
    }
    return parts;
}

Result<> write_factors(const Inventory& inventory, std::span<const SharedInput> inputs, std::size_t first,
                       std::vector<InputMoments>& moments, HessianWriter& writer)
{
    std::vector<char> finite(moments.size());
    std::vector<std::size_t> all(moments.size());
    std::iota(all.begin(), all.end(), 0);
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

Result<> keep_matrix(const Study& study, ImportanceMatrix& matrix, const std::filesystem::path& output)
{
    matrix.text = calibration_source(study);
    return write_importance(output, matrix);
}

/// `matrix`: where to write the importance matrix of the same run of the text; empty: nowhere.
Result<> collect_hessian(const Study& study, RunnableModel& model, const std::string& text, const ImportanceSettings& settings,
                         const std::filesystem::path& output, const std::filesystem::path& matrix)
{
    const auto tokens = model.tokenize(text);
    if (!tokens) return std::unexpected(tokens.error());
    const auto inputs = model.find_shared_inputs(study.inventory, study.monitor);
    if (!inputs) return std::unexpected(inputs.error());
    auto writer = HessianWriter::create(output, study.inventory, *inputs);
    if (!writer) return std::unexpected(writer.error());
    const std::vector<std::size_t> parts = parts_of(study.inventory, *inputs);
    std::size_t first = 0;
    for (std::size_t p = 0; p < parts.size(); first += parts[p++]) {
        ImportanceMatrix importance;
        const bool with_matrix = p == 0 && !matrix.empty();
        auto moments = model.collect_moments(study.inventory, std::span(*inputs).subspan(first, parts[p]), *tokens, settings,
                                             parts.size() > 1 ? std::format("{} of {}", p + 1, parts.size()) : "",
                                             with_matrix ? &importance : nullptr, study.monitor);
        if (!moments) return std::unexpected(moments.error());
        if (with_matrix) {
            if (auto written = keep_matrix(study, importance, matrix); !written) return written;
            if (auto sealed = study.workspace.seal(matrix, study.monitor); !sealed) return sealed;
        }
        if (auto written = write_factors(study.inventory, *inputs, first, *moments, *writer); !written) return written;
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
    if (auto written = keep_matrix(study, *matrix, output); !written) return std::unexpected(written.error());
    return matrix;
}

std::string words_of(const ImportanceSettings& settings)
{
    return std::format("context {} chunks {}", settings.context, settings.chunks);
}

/// Where the workspace has a kind that is collected on the calibration text. `how`: what else decides what is in it.
struct Collected {
    std::string text;
    QuantType form;
    std::filesystem::path path;
};

Result<Collected> find_collected(const Study& study, const Artifact& kind, const std::string& how)
{
    auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    auto path = Facts::of(study)
                    .with(Input::calibration, digest({*text}))
                    .with(Input::form, type_name(*form))
                    .with(Input::collecting, how)
                    .path(study.workspace, kind);
    return Collected{std::move(*text), *form, std::move(path)};
}

/// Gives the inventory what the workspace has there; `collect` writes the file if it is not there yet, of texts that have all that
/// `needs` says.
template <typename Collect, typename Read>
Result<> use_collected(const Study& study, const Collected& what, const ImportanceSettings& settings,
                       const std::vector<TextNeed>& needs, Collect collect, Read read)
{
    const auto there = study.workspace.holds(what.path, study.monitor);
    if (!there) return std::unexpected(there.error());
    if (*there) {
        Result<> had = read(what.path);
        if (had) return had;
        set_aside(what.path, had.error().message, study.monitor);
    }
    if (auto enough = check_texts(study, needs); !enough) return enough;
    const auto model = load_in_form(study, what.form);
    if (!model) return std::unexpected(model.error());
    if (const auto made = collect(study, **model, what.text, settings, what.path); !made) return std::unexpected(made.error());
    if (auto sealed = study.workspace.seal(what.path, study.monitor); !sealed) return sealed;
    return read(what.path);
}

/// What collecting reads, and of what will be used afterwards, what is known already.
std::vector<TextNeed> needs_of(const Study& study, const ImportanceSettings& settings)
{
    std::vector<TextNeed> needs{collecting(settings)};
    if (!study.settings.text.empty()) needs.push_back(measuring(study));
    if (!study.settings.prompts.empty()) needs.push_back(scoring());
    return needs;
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
    const auto matrix = find_collected(study, kImatrix, words_of(settings));
    if (!matrix) return std::unexpected(matrix.error());
    return use_collected(
        study, *matrix, settings, needs_of(study, settings), collect_on,
        [&](const std::filesystem::path& path) { return read_importance(path, study.inventory, "imatrix.gguf"); });
}

Result<> use_own_hessian(Study& study, bool with_importance)
{
    if (auto ready = check_ready(study.inventory, "error feedback", {Task::load, Task::text, Task::quantize}); !ready)
        return ready;
    const ImportanceSettings settings{.chunks = kOwnChunks};
    const auto hessian =
        find_collected(study, kHessian, std::format("{} correlations {} triangles of bf16", words_of(settings), kCorrelations));
    if (!hessian) return std::unexpected(hessian.error());
    std::filesystem::path missing;  // the importance matrix, if the same run of the text is to make it
    if (with_importance && study.inventory.experts == 0) {
        const auto matrix = find_collected(study, kImatrix, words_of(settings));
        if (!matrix) return std::unexpected(matrix.error());
        const auto there = study.workspace.holds(matrix->path, study.monitor);
        if (!there) return std::unexpected(there.error());
        if (!*there) missing = matrix->path;
    }
    const auto collect = [&](const Study& from, RunnableModel& model, const std::string& text, const ImportanceSettings& chunks,
                             const std::filesystem::path& output) {
        return collect_hessian(from, model, text, chunks, output, missing);
    };
    if (auto used = use_collected(study, *hessian, settings, needs_of(study, settings), collect,
                                  [&](const std::filesystem::path& path) { return read_hessian(path, study.inventory); });
        !used)
        return used;
    return with_importance ? use_own_importance(study) : Result<>();
}

}  // namespace apreqel
