#include "model/readiness.h"
#include "study/keys.h"
#include "study/probe_choice.h"
#include "study/probe_table.h"
#include "study/prober.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <numeric>
#include <set>

namespace apreqel {
namespace {

/// Makes probes and keeps each at once, in the time there is.
class ProbeSession {
public:
    ProbeSession(const Study& study, const SenseSettings& settings, ProbeTable& table, Probing probing, std::string text)
        : study_(study), settings_(settings), table_(table), probing_(std::move(probing)), text_(std::move(text))
    {
    }

    /// Those of `cells` that are to be probed.
    [[nodiscard]] std::vector<Cell> missing(std::span<const Cell> cells)
    {
        std::vector<Cell> missing;
        std::ranges::copy_if(cells, std::back_inserter(missing), [&](const Cell& cell) {
            return study_.settings.remeasure ? !made_.contains(cell) : !table_.at(cell).measured;
        });
        return missing;
    }

    /// Probes those of `cells` that are missing. What there is no time for is left out, but for what groups are fixed to.
    Result<> make(std::string_view step, std::span<const Cell> cells)
    {
        const std::vector<Cell> wanted = missing(cells);
        if (wanted.empty()) return {};
        if (auto opened = open(); !opened) return opened;
        study_.monitor.begin(step, static_cast<double>(wanted.size()));
        std::size_t done = 0;
        std::size_t made = 0;
        for (const Cell& cell : wanted) {
            study_.monitor.advance(static_cast<double>(done++));
            ProbeColumn& column = table_.columns()[cell.type];
            if (is_time_up() && !table_.is_fixed(cell.group, column)) {
                if (!column.probes[cell.group].measured) left_out_.insert(cell);
                continue;
            }
            auto probe = prober_->probe(table_.groups()[cell.group].tensors, column.assignment);
            if (!probe) return std::unexpected(probe.error());
            Probe& place = column.probes[cell.group];
            probe->memory_bytes = place.memory_bytes;
            if (!settings_.thorough) {  // taken from the same rows for all types
                probe->squared_error = place.squared_error;
                probe->weighted_error = place.weighted_error;
            }
            place = *probe;
            made_.insert(cell);
            ++made;
            if (auto written = table_.write(column); !written) return written;
        }
        study_.monitor.end(std::format("{} probes", made));
        return {};
    }

    /// Probes `cells` on other text too, and keeps the means, all at once: what was measured decides which these are.
    Result<> make_again(std::span<const Cell> cells)
    {
        if (cells.empty() || is_time_up()) return {};
        if (auto opened = open(); !opened) return opened;
        study_.monitor.begin("sensitivity, again", static_cast<double>(cells.size()));
        std::vector<Probe> probes;
        for (const auto& [g, q] : cells) {
            auto probe = prober_->probe(table_.groups()[g].tensors, table_.columns()[q].assignment, true);
            if (!probe) return std::unexpected(probe.error());
            probes.push_back(*probe);
            study_.monitor.advance(static_cast<double>(probes.size()));
        }
        for (std::size_t i = 0; i < cells.size(); ++i) {
            Probe& place = table_.at(cells[i]);
            place.kld = (place.kld + probes[i].kld) / 2;
            place.kld_error = std::hypot(place.kld_error, probes[i].kld_error) / 2;
            place.tokens += probes[i].tokens;
        }
        for (const ProbeColumn& column : table_.columns())
            if (auto written = table_.write(column); !written) return written;
        study_.monitor.end(std::format("{} probes that were unlike those around them", cells.size()));
        return {};
    }

    /// The errors of what is not probed, from all rows.
    Result<> find_errors()
    {
        if (table_.is_known()) return {};
        if (auto opened = open(); !opened) return opened;
        for (ProbeColumn& column : table_.columns()) {
            for (std::size_t g = 0; g < column.probes.size(); ++g) {
                Probe& probe = column.probes[g];
                if (probe.memory_bytes == 0 || ProbeColumn::is_known(probe)) continue;
                const auto distortion = prober_->distortion(table_.groups()[g].tensors, column.assignment);
                if (!distortion) return std::unexpected(distortion.error());
                if (distortion->energy > 0) probe.squared_error = distortion->error / distortion->energy;
            }
            if (auto written = table_.write(column); !written) return written;
        }
        return {};
    }

    /// Fewer than asked for, as the time was up.
    void warn_of_left_out() const
    {
        if (!left_out_.empty())
            study_.monitor.warn(
                std::format("sense: {} probes are filled in, the time was up; the same command goes on", left_out_.size()));
    }

private:
    Result<> open()
    {
        if (prober_) return {};
        if (auto enough = check_texts(study_, {probing(study_)}); !enough) return enough;
        auto prober = Prober::open(study_, probing_, text_);
        if (!prober) return std::unexpected(prober.error());
        if (auto recorded = (*prober)->record(); !recorded) return recorded;
        const auto unchanged = (*prober)->measure_unchanged();
        if (!unchanged) return std::unexpected(unchanged.error());
        table_.set_noise_floor(unchanged->kld);
        prober_ = std::move(*prober);
        return {};
    }

    [[nodiscard]] bool is_time_up() const
    {
        const std::chrono::duration<double, std::ratio<60>> spent = std::chrono::steady_clock::now() - start_;
        return settings_.minutes > 0 && spent.count() > settings_.minutes;
    }

    const Study& study_;
    const SenseSettings& settings_;
    ProbeTable& table_;
    Probing probing_;
    std::string text_;
    std::unique_ptr<Prober> prober_;
    std::set<Cell> made_;
    std::set<Cell> left_out_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Every probe in the order they are made. First groups in what they are fixed to: nothing else tells of that. Then each type
/// through all groups, so that a budget that ends early leaves every group with a measurement; the least precise types first,
/// as they tell most.
std::vector<Cell> all_cells(const Study& study, ProbeTable& table)
{
    std::vector<std::size_t> types(study.settings.types.size());
    std::iota(types.begin(), types.end(), 0);
    std::ranges::stable_sort(types, {},
                             [&](std::size_t q) { return bits_per_weight(study.inventory, study.settings.types[q]); });
    std::vector<Cell> order;
    const auto add = [&](std::size_t q, bool fixed) {
        for (std::size_t g = 0; g < table.groups().size(); ++g) {
            const ProbeColumn& column = table.columns()[q];
            if (column.variant.as_it_is) continue;  // there is nothing to find out
            if (column.probes[g].memory_bytes > 0 && table.is_fixed(g, column) == fixed) order.push_back({g, q});
        }
    };
    for (std::size_t q = 0; q < table.columns().size(); ++q) add(q, true);
    for (const std::size_t q : types) add(q, false);
    return order;
}

/// The weight errors of that share of the groups in all types that they can have, from some of their rows.
Result<> sample_errors(const Study& study, ProbeTable& table, Share share)
{
    std::vector<std::size_t> wanted;
    for (std::size_t g = 0; g < table.groups().size(); ++g) {
        const bool known = std::ranges::all_of(table.columns(), [&](const ProbeColumn& column) {
            return column.variant.as_it_is || column.probes[g].memory_bytes == 0 || column.probes[g].squared_error > 0;
        });
        if (share.has(g) && !known) wanted.push_back(g);
    }
    if (wanted.empty()) return {};
    study.monitor.begin("weight errors", static_cast<double>(wanted.size()));
    double done = 0;
    for (const std::size_t g : wanted) {
        study.monitor.advance(done++);
        std::vector<Probe*> probes;
        std::vector<const TypeAssignment*> assignments;
        for (ProbeColumn& column : table.columns()) {
            if (column.probes[g].memory_bytes == 0 || column.variant.as_it_is) continue;
            probes.push_back(&column.probes[g]);
            assignments.push_back(&column.assignment);
        }
        const auto distortions = sampled_distortions(study, table.groups()[g].tensors, assignments);
        if (!distortions) return std::unexpected(distortions.error());
        for (std::size_t i = 0; i < probes.size(); ++i) {
            const RowConverter::Distortion& distortion = (*distortions)[i];
            if (distortion.energy > 0) probes[i]->squared_error = distortion.error / distortion.energy;
            if (distortion.weighted_energy > 0)
                probes[i]->weighted_error = distortion.weighted_error / distortion.weighted_energy;
        }
    }
    study.monitor.end(std::format("{} groups in {} types", wanted.size(), table.columns().size()));
    for (const ProbeColumn& column : table.columns())
        if (auto written = table.write(column); !written) return written;
    return {};
}

/// Facts of how text is probed, in a form.
Facts facts_of(const Study& study, const std::string& text, QuantType form, std::string how)
{
    return Facts::of(study)
        .with(Input::calibration, digest({text}))
        .with(Input::form, type_name(form))
        .with(Input::probing, std::format("{}, {}", how, kEstimated));
}

/// What a sensitivity begins with.
struct Beginning {
    QuantType form;
    std::string text;
    ProbeTable table;
};

/// Refuses what cannot be done, and takes what is known already.
Result<Beginning> begin(const Study& study, const SenseSettings& settings)
{
    if (auto ready = check_ready(study.inventory, "sense", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (auto possible = check_storage(study.inventory, study.settings.types, study.settings.embedding_type); !possible)
        return std::unexpected(possible.error());
    auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());
    const auto form = fastest_form(study);
    if (!form) return std::unexpected(form.error());
    const int granularity = static_cast<int>(settings.granularity);
    std::string how = settings.thorough ? std::format("context {} chunks {} granularity {}, rounded as built",
                                                      study.settings.quality.context, settings.chunks, granularity)
                                        : std::format("anchors granularity {} weighted by {} {}", granularity,
                                                      importance_digest(study.inventory), study.inventory.hessian);
    ProbeTable table(study, groups_of(study.inventory, settings.granularity), facts_of(study, *text, *form, std::move(how)),
                     *form);
    table.read();
    if (settings.joined)
        if (auto taken = table.take(*settings.joined); !taken) return std::unexpected(taken.error());
    return Beginning{*form, std::move(*text), std::move(table)};
}

ProbeSession thorough_session(const Study& study, const SenseSettings& settings, Beginning& begun)
{
    const ProbeTable& table = begun.table;
    return {study, settings, begun.table,
            Probing{.form = begun.form,
                    .sequences = {},
                    .chunks = settings.chunks,
                    .reference = table.facts().path(study.workspace, kProbeReference),
                    .identity = table.facts().key(kProbeReference)},
            begun.text};
}

ProbeSession anchor_session(const Study& study, const SenseSettings& settings, Beginning& begun, const ProbeChoice& choice)
{
    return {study, settings, begun.table,
            Probing{.form = begun.form, .sequences = choice.sequences(), .chunks = 0, .reference = {}, .identity = {}},
            begun.text};
}

constexpr std::string_view kFirstStep = "sensitivity";
constexpr std::string_view kSecondStep = "sensitivity, another type";

/// Each group in each type.
Result<Sensitivity> sense_all(const Study& study, const SenseSettings& settings, Beginning& begun)
{
    ProbeTable& table = begun.table;
    ProbeSession session = thorough_session(study, settings, begun);
    if (auto made = session.make(kFirstStep, all_cells(study, table)); !made) return std::unexpected(made.error());
    if (auto found = session.find_errors(); !found) return std::unexpected(found.error());
    session.warn_of_left_out();
    return table.finish(thorough_tokens(table.standing(), study.settings.quality.context));
}

/// One type tells of the others, in all groups or in those where that holds.
Result<Sensitivity> sense_some(const Study& study, const SenseSettings& settings, Beginning& begun)
{
    ProbeTable& table = begun.table;
    const ProbeChoice choice(table.standing(), table.choices());
    ProbeSession session = anchor_session(study, settings, begun, choice);
    if (auto sampled = sample_errors(study, table, {}); !sampled) return std::unexpected(sampled.error());
    if (auto made = session.make(kFirstStep, choice.first()); !made) return std::unexpected(made.error());
    const ProbeChoice::Second second = choice.second(table.standing());
    if (const std::size_t more = session.missing(second.cells).size(); more > 0)
        study.monitor.warn(std::format("sense: {}: {} groups are probed in another one", describe(second), more));
    if (auto made = session.make(kSecondStep, second.cells); !made) return std::unexpected(made.error());
    if (auto made = session.make_again(choice.again(table.standing())); !made) return std::unexpected(made.error());
    session.warn_of_left_out();
    const ProbeChoice::Comparison compared = choice.comparison(second);
    return table.finish(choice.tokens(table.standing()), compared.known, compared.held);
}

/// Those of `cells` that are this share of them.
std::vector<Cell> part_of(std::span<const Cell> cells, Share share)
{
    std::vector<Cell> part;
    for (std::size_t i = 0; i < cells.size(); ++i)
        if (share.has(i)) part.push_back(cells[i]);
    return part;
}

Result<SensitivityShard> shard_all(const Study& study, const SenseSettings& settings, Share share, Beginning& begun)
{
    const std::vector<Cell> part = part_of(all_cells(study, begun.table), share);
    if (auto made = thorough_session(study, settings, begun).make(kFirstStep, part); !made)
        return std::unexpected(made.error());
    return begun.table.cut(share, study.settings.quality.context, part, settings.joined);
}

Result<SensitivityShard> shard_some(const Study& study, const SenseSettings& settings, Share share, Beginning& begun)
{
    ProbeTable& table = begun.table;
    const ProbeChoice choice(table.standing(), table.choices());
    ProbeSession session = anchor_session(study, settings, begun, choice);
    if (auto sampled = sample_errors(study, table, share); !sampled) return std::unexpected(sampled.error());
    const auto nothing_left = [&](std::string_view why) {
        return std::unexpected(Error{ErrorCode::failed, std::format("sense: there is nothing to spread: {}", why),
                                     "the same command without --shard and --output ends with sensitivity.json"});
    };
    if (choice.has_again(table.standing())) return nothing_left("the workspace has the whole sensitivity");
    const ProbeChoice::Second second = settings.joined ? choice.second(table.standing()) : ProbeChoice::Second{};
    if (settings.joined && second.cells.empty()) return nothing_left("what was found asks for no second type");
    const std::vector<Cell> part = part_of(settings.joined ? second.cells : choice.first(), share);
    if (auto made = session.make(settings.joined ? kSecondStep : kFirstStep, part); !made) return std::unexpected(made.error());
    return table.cut(share, 0, part, settings.joined);
}

}  // namespace

Result<Sensitivity> sense(const Study& study, const SenseSettings& settings)
{
    auto begun = begin(study, settings);
    if (!begun) return std::unexpected(begun.error());
    return settings.thorough ? sense_all(study, settings, *begun) : sense_some(study, settings, *begun);
}

Result<SensitivityShard> sense_shard(const Study& study, const SenseSettings& settings, Share share)
{
    if (settings.minutes > 0) return usage_error("sense: a shard takes no limit of time: others depend on its probes");
    auto begun = begin(study, settings);
    if (!begun) return std::unexpected(begun.error());
    return settings.thorough ? shard_all(study, settings, share, *begun) : shard_some(study, settings, share, *begun);
}

}  // namespace apreqel
