#include "base/file.h"
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

/// What is known of one type: a probe of each group, the embedding's last. It is kept in a file of its own, so that neither
/// other types nor other settings touch it.
struct Column {
    Variant variant;
    TypeAssignment assignment;
    std::filesystem::path file;
    std::vector<Probe> probes;

    [[nodiscard]] static bool is_known(const Probe& probe) { return probe.measured || probe.squared_error > 0; }
};

/// What is known of a probed group.
template <typename Of>
auto& group_of(Of& sensitivity, std::size_t group)
{
    return group < sensitivity.layers.size() ? sensitivity.layers[group] : sensitivity.embedding;
}

/// All columns of a sensitivity, and where they are kept.
class Table {
public:
    /// One column for each of the study's types, and another for the embedding's own type where it is none of them: of that
    /// one only the embedding is probed.
    Table(const Study& study, const SenseSettings& settings, const std::string& text)
        : study_(study),
          groups_(probed_groups(study.inventory, settings.granularity)),
          facts_(Facts::of(study)
                     .with(Input::calibration, digest({text}))
                     .with(Input::probing,
                           std::format("context {} chunks {} precision {} granularity {}", study.settings.quality.context,
                                       settings.chunks, settings.precision, static_cast<int>(settings.granularity)))),
          sensitivity_(outline(study, groups_))
    {
        for (const Variant& variant : study.settings.types) columns_.push_back(column_of(variant));
        const Variant embedding(study.settings.embedding_type);
        const auto own = std::ranges::find(study.settings.types, embedding);
        embedding_ = static_cast<std::size_t>(own - study.settings.types.begin());
        if (embedding_ == columns_.size()) columns_.push_back(column_of(embedding));
    }

    [[nodiscard]] std::span<const Group> groups() const { return groups_; }
    [[nodiscard]] const Facts& facts() const { return facts_; }
    [[nodiscard]] std::size_t embedding() const { return embedding_; }
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
        for (std::size_t q = 0; q < study_.settings.types.size(); ++q) add(all, columns_[q].variant.name, columns_[q].probes);
        all.embedding_kld = columns_[embedding_].probes.back().kld;
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
                column.probes[g].memory_bytes = bytes_of(study_.inventory, groups_[g], column.assignment.types);
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
            column.probes[g] = group_of(*kept, g).probes.front();
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
            if (!same || other_matrix || !has_our_groups(earlier) || earlier.embedding.probes.empty()) continue;
            std::vector<Probe> probes;
            for (std::size_t g = 0; g < groups_.size(); ++g) probes.push_back(group_of(earlier, g).probes[q]);
            add(all, name, probes);
        }
    }

    [[nodiscard]] bool has_our_groups(const Sensitivity& other) const
    {
        return std::ranges::equal(other.layers, sensitivity_.layers, {}, &GroupSensitivity::layer, &GroupSensitivity::layer) &&
               other.embedding.layer == sensitivity_.embedding.layer;
    }

    static void add(Sensitivity& sensitivity, const std::string& type, const std::vector<Probe>& probes)
    {
        sensitivity.types.push_back(type);
        for (std::size_t g = 0; g < probes.size(); ++g) group_of(sensitivity, g).probes.push_back(probes[g]);
    }

    const Study& study_;
    std::vector<Group> groups_;
    Facts facts_;
    Sensitivity sensitivity_;  ///< without types and probes
    std::vector<Column> columns_;
    std::size_t embedding_ = 0;  ///< column of the embedding's own type
};

/// Group and column of a probe.
struct Place {
    std::size_t group;
    std::size_t column;
};

/// Every probe in the order they are made: the embedding in its own type, then each type through all groups, so that a budget
/// that ends early leaves every group with a measurement; the least precise types first, as they tell most. `fast`: two types.
std::vector<Place> probe_order(const Study& study, Table& table, bool fast)
{
    std::vector<std::size_t> types(study.settings.types.size());
    std::iota(types.begin(), types.end(), 0);
    std::ranges::stable_sort(types, {}, [&](std::size_t q) { return bits_per_weight(study.settings.types[q]); });
    if (fast && types.size() > 2) types = {types.front(), types[types.size() / 2]};
    const std::size_t groups = table.groups().size();
    std::vector<Place> order{{groups - 1, table.embedding()}};
    for (const std::size_t q : types) {
        for (std::size_t g = 0; g < groups; ++g) {
            const bool first = q == table.embedding() && g == groups - 1;
            if (!first && table.columns()[q].probes[g].memory_bytes > 0) order.push_back({g, q});
        }
    }
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
        const bool first = done == 1;  // nothing tells of the embedding's own type but its probe
        study.monitor.advance(static_cast<double>(done++));
        Column& column = table.columns()[q];
        if (column.probes[g].measured && !study.settings.remeasure) continue;
        if (settings.minutes > 0 && spent() > settings.minutes && !first) {
            if (!column.probes[g].measured) ++left_out;
            continue;
        }
        auto probe = prober.probe(table.groups()[g].tensors, column.assignment);
        if (!probe) return std::unexpected(probe.error());
        probe->memory_bytes = column.probes[g].memory_bytes;
        column.probes[g] = *probe;
        if (auto written = table.write(column); !written) return written;
    }
    for (std::size_t q = 0; q < study.settings.types.size(); ++q) {
        Column& column = table.columns()[q];
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
    if (auto precise = check_full_precision(study.inventory); !precise) return std::unexpected(precise.error());
    const auto text = calibration_text(study);
    if (!text) return std::unexpected(text.error());

    Table table(study, settings, *text);
    table.read();
    const std::vector<Place> order = probe_order(study, table, settings.fast);
    const bool measured = std::ranges::all_of(
        order, [&](const Place& place) { return table.columns()[place.column].probes[place.group].measured; });
    const bool known =
        std::ranges::all_of(std::span(table.columns()).first(study.settings.types.size()), [](const Column& column) {
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
