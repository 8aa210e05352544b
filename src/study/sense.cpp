#include "base/file.h"
#include "model/readiness.h"
#include "study/keys.h"
#include "study/outline.h"
#include "study/prober.h"
#include "study/study.h"
#include "study/text.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace apreqel {
namespace {

/// What is known of one type: a probe of each group. It is kept in a file of its own, so that neither other types nor other
/// settings touch it.
struct Column {
    Variant variant;
    TypeAssignment assignment;
    std::filesystem::path file;
    std::vector<Probe> probes;

    [[nodiscard]] static bool is_known(const Probe& probe) { return probe.measured || probe.squared_error > 0; }
};

/// All columns of a sensitivity, and where they are kept.
class Table {
public:
    /// One column for each of the study's types, and others for what groups are fixed to where that is none of them: there only
    /// those groups are probed.
    Table(const Study& study, const SenseSettings& settings, const std::string& text)
        : study_(study),
          groups_(groups_of(study.inventory, settings.granularity)),
          facts_(Facts::of(study)
                     .with(Input::calibration, digest({text}))
                     .with(Input::probing, std::format("context {} chunks {} granularity {}", study.settings.quality.context,
                                                       settings.chunks, static_cast<int>(settings.granularity)))),
          sensitivity_(outline(study, groups_))
    {
        for (const Variant& variant : study.settings.types) columns_.push_back(column_of(variant));
        const Variant& embedding = study.settings.embedding_type;
        const bool fixed = std::ranges::contains(sensitivity_.groups, embedding.name, &GroupSensitivity::fixed_type);
        if (!fixed || std::ranges::contains(study.settings.types, embedding)) return;
        columns_.push_back(column_of(embedding));
        for (std::size_t g = 0; g < groups_.size(); ++g)
            if (sensitivity_.groups[g].fixed_type != embedding.name) columns_.back().probes[g] = {};
    }

    [[nodiscard]] std::span<const Group> groups() const { return groups_; }
    [[nodiscard]] const Facts& facts() const { return facts_; }
    /// Whether group g is of that column's type in every uniform variant.
    [[nodiscard]] bool is_fixed(std::size_t g, const Column& column) const
    {
        return sensitivity_.groups[g].fixed_type == column.variant.name;
    }
    [[nodiscard]] std::vector<Column>& columns() { return columns_; }
    void set_noise_floor(double kld) { sensitivity_.noise_floor = kld; }

    /// Takes what was measured before.
    void read()
    {
        for (Column& column : columns_) read(column);
    }

    /// Keeps what is known of a column.
    [[nodiscard]] Result<> write(const Column& column) const
    {
        Sensitivity kept = sensitivity_;
        kept.types.clear();
        add(kept, column.variant.name, column.probes);
        return write_text(column.file, to_json(kept, key_of(column.variant)));
    }

    /// The sensitivity with all that is known, of types that were measured earlier too. → sensitivity.json
    [[nodiscard]] Result<Sensitivity> finish()
    {
        Sensitivity all = sensitivity_;
        for (const Column& column : columns_) add(all, column.variant.name, column.probes);
        const std::string key = facts_.key(kSensitivity);
        const auto path = study_.workspace.path(kSensitivity.name);
        if (const auto earlier = read_kept(path, read_sensitivity, study_.monitor))
            add_others(all, *earlier, read_key(path) == key);
        if (auto filled = fill_in(all); !filled) return std::unexpected(filled.error());
        if (auto written = write_text(path, to_json(all, key)); !written) return std::unexpected(written.error());
        return all;
    }

private:
    [[nodiscard]] std::string key_of(const Variant& variant) const
    {
        return facts_.with(Input::type, made_with(study_.inventory, variant)).key(kProbes);
    }

    [[nodiscard]] Column column_of(const Variant& variant) const
    {
        Column column{
            .variant = variant,
            .assignment = assign_all(study_.inventory, groups_, variant),
            .file =
                facts_.with(Input::type, made_with(study_.inventory, variant)).path(study_.workspace, kProbes, variant.name),
            .probes = std::vector<Probe>(groups_.size())};
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            if (can_store(study_.inventory, groups_[g], variant))
                column.probes[g] = {.memory_bytes = bytes_of(study_.inventory, groups_[g], column.assignment.types),
                                    .measured = variant.as_it_is};  // with a divergence of 0
        }
        return column;
    }

    /// False if nothing is kept of it.
    bool read(Column& column)
    {
        const auto kept = read_kept(column.file, read_sensitivity, study_.monitor);
        if (!kept || !has_our_groups(*kept) || kept->types.size() != 1) return false;
        for (std::size_t g = 0; g < column.probes.size(); ++g) {
            const std::uint64_t bytes = column.probes[g].memory_bytes;
            column.probes[g] = kept->groups[g].probes.front();
            column.probes[g].memory_bytes = bytes;
        }
        sensitivity_.noise_floor = kept->noise_floor;
        return true;
    }

    /// Adds the types of an earlier sensitivity that are not asked for now. `same`: it has the key of this one, but for what
    /// its types are made with.
    void add_others(Sensitivity& all, const Sensitivity& earlier, bool same)
    {
        for (std::size_t q = 0; q < earlier.types.size(); ++q) {
            const std::string& name = earlier.types[q];
            if (std::ranges::contains(all.types, name)) continue;
            const bool matrix = !study_.inventory.importance.empty();
            if (const auto variant = parse_variant(name, matrix)) {
                Column column = column_of(*variant);
                if (read(column)) {
                    add(all, name, column.probes);
                    continue;
                }
            }
            const bool other_matrix = matrix && name.ends_with(kWithImportance);
            if (!same || other_matrix || !has_our_groups(earlier)) continue;
            std::vector<Probe> probes;
            for (std::size_t g = 0; g < groups_.size(); ++g) probes.push_back(earlier.groups[g].probes[q]);
            add(all, name, probes);
        }
    }

    [[nodiscard]] bool has_our_groups(const Sensitivity& other) const
    {
        return std::ranges::equal(other.groups, sensitivity_.groups, {}, &GroupSensitivity::group, &GroupSensitivity::group);
    }

    static void add(Sensitivity& sensitivity, const std::string& type, const std::vector<Probe>& probes)
    {
        sensitivity.types.push_back(type);
        for (std::size_t g = 0; g < probes.size(); ++g) sensitivity.groups[g].probes.push_back(probes[g]);
    }

    const Study& study_;
    std::vector<Group> groups_;
    Facts facts_;
    Sensitivity sensitivity_;  ///< without types and probes
    std::vector<Column> columns_;
};

/// Group and column of a probe.
struct Place {
    std::size_t group;
    std::size_t column;
};

/// Every probe in the order they are made. First groups in what they are fixed to: nothing else tells of that. Then each type
/// through all groups, so that a budget that ends early leaves every group with a measurement; the least precise types first,
/// as they tell most. `fast`: two types.
std::vector<Place> probe_order(const Study& study, Table& table, bool fast)
{
    std::vector<std::size_t> types(study.settings.types.size());
    std::iota(types.begin(), types.end(), 0);
    std::ranges::stable_sort(types, {},
                             [&](std::size_t q) { return bits_per_weight(study.inventory, study.settings.types[q]); });
    if (fast && types.size() > 2) types = {types.front(), types[types.size() / 2]};
    std::vector<Place> order;
    const auto add = [&](std::size_t q, bool fixed) {
        for (std::size_t g = 0; g < table.groups().size(); ++g) {
            const Column& column = table.columns()[q];
            if (column.variant.as_it_is) continue;  // there is nothing to find out
            if (column.probes[g].memory_bytes > 0 && table.is_fixed(g, column) == fixed) order.push_back({g, q});
        }
    };
    for (std::size_t q = 0; q < table.columns().size(); ++q) add(q, true);
    for (const std::size_t q : types) add(q, false);
    return order;
}

/// Probes what is not known yet; the squared errors of the rest tell of what there was no time for. Each is kept at once.
Result<> probe_missing(const Study& study, const SenseSettings& settings, Table& table, const std::vector<Place>& order,
                       Prober& prober)
{
    const auto start = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 60; };
    study.monitor.begin("sensitivity", static_cast<double>(order.size() + 1));
    if (auto recorded = prober.record(); !recorded) return recorded;
    const auto unchanged = prober.measure();
    if (!unchanged) return std::unexpected(unchanged.error());
    table.set_noise_floor(unchanged->kld);
    std::size_t done = 1;
    std::size_t left_out = 0;
    for (const auto& [g, q] : order) {
        study.monitor.advance(static_cast<double>(done++));
        Column& column = table.columns()[q];
        if (column.probes[g].measured && !study.settings.remeasure) continue;
        if (settings.minutes > 0 && spent() > settings.minutes && !table.is_fixed(g, column)) {
            if (!column.probes[g].measured) ++left_out;
            continue;
        }
        auto probe = prober.probe(table.groups()[g].tensors, column.assignment);
        if (!probe) return std::unexpected(probe.error());
        probe->memory_bytes = column.probes[g].memory_bytes;
        column.probes[g] = *probe;
        if (auto written = table.write(column); !written) return written;
    }
    for (Column& column : table.columns()) {
        for (std::size_t g = 0; g < column.probes.size(); ++g) {
            if (column.probes[g].memory_bytes == 0 || Column::is_known(column.probes[g])) continue;
            const auto error = prober.squared_error(table.groups()[g].tensors, column.assignment, false);
            if (!error) return std::unexpected(error.error());
            column.probes[g].squared_error = *error;
        }
        if (auto written = table.write(column); !written) return written;
    }
    study.monitor.end(std::format("{} probes", order.size() - left_out));
    if (left_out > 0)
        study.monitor.warn(std::format("sense: {} probes are filled in, the time was up; the same command goes on", left_out));
    return {};
}

}  // namespace

Result<Sensitivity> sense(const Study& study, const SenseSettings& settings)
{
    if (auto ready = check_ready(study.inventory, "sense", {Task::load, Task::text, Task::quantize}); !ready)
        return std::unexpected(ready.error());
    if (auto possible = check_storage(study.inventory, study.settings.types, study.settings.embedding_type); !possible)
        return std::unexpected(possible.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());

    Table table(study, settings, *text);
    table.read();
    const std::vector<Place> order = probe_order(study, table, settings.fast);
    const bool measured = std::ranges::all_of(
        order, [&](const Place& place) { return table.columns()[place.column].probes[place.group].measured; });
    const bool known = std::ranges::all_of(table.columns(), [](const Column& column) {
        return std::ranges::all_of(column.probes,
                                   [](const Probe& probe) { return probe.memory_bytes == 0 || Column::is_known(probe); });
    });
    if (study.settings.remeasure || !measured || !known) {
        if (auto enough = check_texts(study, {probing(study)}); !enough) return std::unexpected(enough.error());
        const auto prober = Prober::open(study, settings, table.groups(), *text,
                                         table.facts().path(study.workspace, kProbeLogits), table.facts().key(kProbeLogits));
        if (!prober) return std::unexpected(prober.error());
        if (auto probed = probe_missing(study, settings, table, order, **prober); !probed)
            return std::unexpected(probed.error());
    }
    return table.finish();
}

}  // namespace apreqel
