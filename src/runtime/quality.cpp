#include "runtime/quality.h"

#include "base/file.h"
#include "runtime/context.h"
#include "runtime/expectation.h"

#include <apreqel/statistics.h>

#include <algorithm>
#include <cmath>
#include <execution>
#include <functional>
#include <numeric>
#include <ranges>

namespace apreqel {
namespace {

/// llama-perplexity's default -b, at most: its batches shape the rounding of the logits.
constexpr std::size_t kBatch = 2048;

/// What the logits of a batch may take; one chunk's they always may.
constexpr std::size_t kMostLogitBytes = 256 << 20;

/// One chunk's logits at the scored positions: `rows` × vocabulary, and the token that truly follows each row.
struct ScoredChunk {
    std::size_t chunk;
    std::vector<std::span<const float>> rows;
    std::span<const Token> targets;
};

using ChunkVisitor = std::function<Result<>(const ScoredChunk&)>;

std::size_t scored_per_chunk(std::size_t context) { return context - 1 - context / 2; }

/// Runs the text chunk by chunk and shows the logits that predict its second halves: positions context/2 … context−2
/// predict tokens context/2+1 … context−1 (tools/perplexity, `perplexity()`). `skip`: of the chunks, those that are left out.
Result<> visit_chunks(const LoadedModel& model, std::span<const Token> tokens, std::size_t skip, std::size_t chunks,
                      std::size_t context, Monitor& monitor, const ChunkVisitor& visit)
{
    const std::size_t first = context / 2;
    const std::vector<Token> opening = model.opening();
    const std::size_t vocabulary = model.vocabulary_size();
    const std::size_t fitting = kMostLogitBytes / ((context - first) * vocabulary * sizeof(float));
    const std::size_t sequences = std::max<std::size_t>(1, std::min(kBatch / context, fitting));
    const std::size_t batch_size = std::min(kBatch, sequences * context);
    const std::size_t batches = (context + batch_size - 1) / batch_size;

    const RunSettings& run = model.settings();
    auto params = context_params(model, run.cache_in_quality ? run.cache : CacheTypes{});
    if (!params) return std::unexpected(params.error());
    params->n_ctx = static_cast<uint32_t>(sequences * context);
    params->n_batch = static_cast<uint32_t>(batch_size);
    params->n_seq_max = static_cast<uint32_t>(sequences);
    auto llama = make_context(model, *params, monitor);
    if (!llama) return std::unexpected(llama.error());
    Batch batch(batch_size);
    // With several batches a chunk, libllama overwrites the logits of the one before: keep them here.
    std::vector<float> kept;

    for (std::size_t group = skip; group < chunks; group += sequences) {
        const std::size_t members = std::min(sequences, chunks - group);
        llama_memory_clear(llama_get_memory(llama->get()), true);
        kept.clear();
        for (std::size_t b = 0; b < batches; ++b) {
            if (monitor.stop_requested()) return std::unexpected(Error{ErrorCode::interrupted, "measure: interrupted"});
            const std::size_t begin = b * batch_size;
            const std::size_t length = std::min(batch_size, context - begin);
            batch.clear();
            for (std::size_t member = 0; member < members; ++member) {
                for (std::size_t position = begin; position < begin + length; ++position) {
                    const bool replace = position == 0 && !opening.empty();
                    const Token token = replace ? opening.front() : tokens[(group + member) * context + position];
                    batch.add(token, position, member, position >= first);
                }
            }
            if (auto decoded = batch.decode(model, llama->get()); !decoded) return decoded;
            const std::size_t outputs = begin + length - std::clamp(first, begin, begin + length);
            if (batches > 1 && outputs > 0) {
                const float* logits = llama_get_logits(llama->get());
                kept.insert(kept.end(), logits, logits + outputs * vocabulary);
            }
        }
        const float* logits = batches > 1 ? kept.data() : llama_get_logits(llama->get());
        for (std::size_t member = 0; member < members; ++member) {
            ScoredChunk scored{.chunk = group + member, .rows = {}, .targets = {}};
            for (std::size_t row = 0; row < scored_per_chunk(context); ++row) {
                scored.rows.emplace_back(logits + (member * (context - first) + row) * vocabulary, vocabulary);
            }
            scored.targets = tokens.subspan((group + member) * context + first + 1, scored.rows.size());
            if (auto visited = visit(scored); !visited) return visited;
        }
        monitor.advance(static_cast<double>(group + members - skip));
    }
    return {};
}

template <class Visit>
void for_each_row(std::size_t count, Visit visit)
{
    const auto rows = std::views::iota(std::size_t{0}, count);
    std::for_each(std::execution::par, rows.begin(), rows.end(), visit);
}

struct TokenScore {
    double nll = 0;  ///< −log p(target)
    double kld = 0;
    bool same_top = false;
};

class QualitySum {
public:
    /// `reference`: what the full-precision model expects in the same rows; empty: not compared.
    void add(const ScoredChunk& chunk, std::span<const Expectation> reference)
    {
        std::vector<TokenScore> scores(chunk.rows.size());
        for_each_row(scores.size(), [&](std::size_t row) {
            const std::span<const float> logits = chunk.rows[row];
            const LogSoftmax softmax(logits);
            scores[row].nll = -softmax(logits[static_cast<std::size_t>(chunk.targets[row])]);
            if (reference.empty()) return;
            scores[row].kld = reference[row].divergence(logits, softmax);
            scores[row].same_top = reference[row].likeliest() == std::ranges::max_element(logits) - logits.begin();
        });
        chunk_nll_.push_back(0);
        if (!reference.empty()) chunk_kld_.push_back(0);
        for (const TokenScore& score : scores) {
            nll_.add(score.nll);
            chunk_nll_.back() += score.nll;
            if (reference.empty()) continue;
            kld_.add(score.kld);
            chunk_kld_.back() += score.kld;
            same_top_ += score.same_top ? 1 : 0;
        }
    }

    [[nodiscard]] Result<Quality> result(const LoadedModel& model) const
    {
        if (!std::isfinite(nll_.mean()) || !std::isfinite(kld_.mean())) {
            return fail("measure {}: its logits are not finite numbers", model.path().string());
        }
        Quality quality;
        quality.perplexity = std::exp(nll_.mean());
        quality.perplexity_error = quality.perplexity * nll_.standard_error();
        quality.tokens = nll_.count();
        quality.kld = kld_.mean();
        quality.kld_error = kld_.standard_error();
        quality.kld_tokens = kld_.count();
        if (kld_.count() > 0) quality.same_top = static_cast<double>(same_top_) / static_cast<double>(kld_.count());
        quality.chunk_nll = chunk_nll_;
        quality.chunk_kld = chunk_kld_;
        return quality;
    }

private:
    Mean nll_;
    Mean kld_;
    std::vector<double> chunk_nll_;
    std::vector<double> chunk_kld_;
    std::uint64_t same_top_ = 0;
};

/// Tokens of either kind in what is kept of a position.
constexpr std::size_t kReferenceKept = 1024;

/// The file of a reference: this header padded to kHeaderBytes, then what is expected in each row, chunk by chunk.
constexpr std::size_t kHeaderBytes = 4096;

std::string reference_header(const LoadedModel& model, std::string_view identity, std::size_t context, std::size_t chunks)
{
    std::string header = std::format("apreqel.reference/2\nvocabulary {}\nkept {}\ncontext {}\nchunks {}\n{}\n",
                                     model.vocabulary_size(), kReferenceKept, context, chunks, identity);
    header.resize(kHeaderBytes, '\0');
    return header;
}

std::size_t compared_chunks(std::size_t chunks, const QualitySettings& settings)
{
    return std::min(chunks, settings.kld_chunks);
}

}  // namespace

Result<Quality> record_reference(const LoadedModel& model, std::span<const Token> tokens, const QualitySettings& settings,
                                 const std::filesystem::path& expected, std::string_view identity, Monitor& monitor)
{
    const auto chunks = count_chunks(tokens.size(), settings);
    if (!chunks) return std::unexpected(chunks.error());
    const std::size_t compared = compared_chunks(*chunks, settings);
    const std::size_t row_bytes = Expectation::bytes(model.vocabulary_size(), kReferenceKept);
    const std::size_t chunk_bytes = scored_per_chunk(settings.context) * row_bytes;
    auto file = OutputFile::create(expected);
    if (!file) return std::unexpected(file.error());
    if (auto reserved = file->reserve(kHeaderBytes + compared * chunk_bytes); !reserved)
        return std::unexpected(reserved.error());
    const std::string header = reference_header(model, identity, settings.context, compared);
    if (auto written = file->write_at(0, std::as_bytes(std::span(header))); !written) return std::unexpected(written.error());

    QualitySum sum;
    const auto visited =
        visit_chunks(model, tokens, 0, *chunks, settings.context, monitor, [&](const ScoredChunk& chunk) -> Result<> {
            sum.add(chunk, {});
            if (chunk.chunk >= compared) return {};
            std::vector<std::byte> bytes(chunk_bytes);
            for_each_row(chunk.rows.size(), [&](std::size_t row) {
                const Expectation kept(chunk.rows[row], kReferenceKept, chunk.chunk * chunk.rows.size() + row);
                kept.write(std::span(bytes).subspan(row * row_bytes, row_bytes));
            });
            return file->write_at(kHeaderBytes + chunk.chunk * chunk_bytes, bytes);
        });
    if (!visited) return std::unexpected(visited.error());
    auto quality = sum.result(model);
    if (!quality) return quality;
    if (auto committed = file->commit(); !committed) return std::unexpected(committed.error());
    return quality;
}

Result<Quality> evaluate_quality(const LoadedModel& model, std::span<const Token> tokens, const QualitySettings& settings,
                                 const std::optional<std::filesystem::path>& expected, std::string_view identity,
                                 Monitor& monitor)
{
    const auto chunks = count_chunks(tokens.size(), settings);
    if (!chunks) return std::unexpected(chunks.error());
    std::size_t compared = 0;
    std::optional<InputFile> file;
    const std::size_t row_bytes = Expectation::bytes(model.vocabulary_size(), kReferenceKept);
    if (expected) {
        compared = compared_chunks(*chunks, settings);
        auto opened = InputFile::open(*expected);
        if (!opened) return std::unexpected(opened.error());
        file.emplace(std::move(*opened));
        std::string header(kHeaderBytes, '\0');
        if (auto read = file->read_at(0, std::as_writable_bytes(std::span(header))); !read)
            return std::unexpected(read.error());
        if (header != reference_header(model, identity, settings.context, compared)) {
            return fail("measure {}: the reference in {} is of another model, text or setting", model.path().string(),
                        expected->string());
        }
    }
    QualitySum sum;
    std::vector<std::byte> bytes(scored_per_chunk(settings.context) * row_bytes);
    std::vector<Expectation> reference;
    const std::size_t evaluated = settings.look > 0 ? std::min(*chunks, settings.look) : *chunks;
    const auto visited = visit_chunks(
        model, tokens, settings.skip, evaluated, settings.context, monitor, [&](const ScoredChunk& chunk) -> Result<> {
            reference.clear();
            if (chunk.chunk < compared) {
                if (auto read = file->read_at(kHeaderBytes + chunk.chunk * bytes.size(), bytes); !read) return read;
                reference.resize(chunk.rows.size());
                for (std::size_t row = 0; row < reference.size(); ++row)
                    if (!reference[row].read(std::span(bytes).subspan(row * row_bytes, row_bytes), model.vocabulary_size(),
                                             kReferenceKept))
                        return fail("read {}: it is damaged", expected->string());
            }
            sum.add(chunk, reference);
            return {};
        });
    if (!visited) return std::unexpected(visited.error());
    return sum.result(model);
}

}  // namespace apreqel
