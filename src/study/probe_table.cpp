#include "study/probe_table.h"

#include "base/file.h"
#include "study/merge.h"
#include "study/outline.h"

#include <algorithm>

namespace apreqel {
namespace {

void add(Sensitivity& sensitivity, const std::string& type, const std::vector<Probe>& probes)
{
    sensitivity.types.push_back(type);
    for (std::size_t g = 0; g < probes.size(); ++g) sensitivity.groups[g].probes.push_back(probes[g]);
}

}  // namespace

ProbeTable::ProbeTable(const Study& study, std::vector<Group> groups, Facts facts, QuantType form)
    : study_(study), groups_(std::move(groups)), facts_(std::move(facts)), sensitivity_(outline(study, groups_))
{
    sensitivity_.form = type_name(form);
    for (const Variant& variant : study.settings.types) columns_.push_back(column_of(variant));
    const Variant& embedding = study.settings.embedding_type;
    const bool fixed = std::ranges::contains(sensitivity_.groups, embedding.name, &GroupSensitivity::fixed_type);
    if (!fixed || std::ranges::contains(study.settings.types, embedding)) return;
    columns_.push_back(column_of(embedding));
    for (std::size_t g = 0; g < groups_.size(); ++g)
        if (sensitivity_.groups[g].fixed_type != embedding.name) columns_.back().probes[g] = {};
}

void ProbeTable::read()
{
    for (ProbeColumn& column : columns_) read(column);
}

Result<> ProbeTable::write(const ProbeColumn& column) const
{
    Sensitivity kept = sensitivity_;
    add(kept, column.variant.name, column.probes);
    return write_text(column.file, to_json(kept, key_of(column.variant)));
}

Result<> ProbeTable::take(const SensitivityShard& joined)
{
    const SensitivityShard own{.key = facts_.key(kSensitivity), .choices = choices(), .probes = standing()};
    if (auto same = check_joins({"this sense", own}, {"the shards", joined}); !same) return same;
    sensitivity_.noise_floor = joined.probes.noise_floor;
    for (std::size_t q = 0; q < columns_.size(); ++q) {
        for (std::size_t g = 0; g < groups_.size(); ++g) learn(columns_[q].probes[g], joined.probes.groups[g].probes[q]);
        if (auto written = write(columns_[q]); !written) return written;
    }
    return {};
}

SensitivityShard ProbeTable::cut(Share share, std::size_t context, std::span<const Cell> part,
                                 const std::optional<SensitivityShard>& joined) const
{
    SensitivityShard shard{.key = facts_.key(kSensitivity),
                           .share = share,
                           .round = joined ? joined->round + 1 : 1,
                           .context = context,
                           .choices = choices(),
                           .probes = standing()};
    for (std::size_t q = 0; q < columns_.size(); ++q) {
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            Probe& probe = shard.probes.groups[g].probes[q];
            const bool taken = joined && joined->probes.groups[g].probes[q].measured;
            if (columns_[q].variant.as_it_is || taken || std::ranges::contains(part, Cell{g, q})) continue;
            probe = {.memory_bytes = probe.memory_bytes,
                     .squared_error = probe.squared_error,
                     .weighted_error = probe.weighted_error};
        }
    }
    return shard;
}

bool ProbeTable::is_known() const
{
    return std::ranges::all_of(columns_, [](const ProbeColumn& column) {
        return std::ranges::all_of(column.probes,
                                   [](const Probe& probe) { return probe.memory_bytes == 0 || ProbeColumn::is_known(probe); });
    });
}

Sensitivity ProbeTable::standing() const
{
    Sensitivity all = sensitivity_;
    for (const ProbeColumn& column : columns_) add(all, column.variant.name, column.probes);
    return all;
}

Result<Sensitivity> ProbeTable::finish(const TokenCount& tokens, std::span<const Cell> known, std::span<const Cell> held)
{
    Sensitivity all = standing();
    const std::string key = facts_.key(kSensitivity);
    const auto path = study_.workspace.path(kSensitivity.name);
    if (const auto earlier = read_kept(path, read_sensitivity, study_.monitor))
        add_others(all, *earlier, read_key(path) == key);
    if (auto completed = complete(all, standing(), tokens, known, held); !completed) return std::unexpected(completed.error());
    if (auto written = write_text(path, to_json(all, key)); !written) return std::unexpected(written.error());
    return all;
}

std::string ProbeTable::key_of(const Variant& variant) const
{
    return facts_.with(Input::type, made_with(study_.inventory, variant)).key(kProbes);
}

ProbeColumn ProbeTable::column_of(const Variant& variant) const
{
    ProbeColumn column{
        .variant = variant,
        .assignment = assign_all(study_.inventory, groups_, variant),
        .file = facts_.with(Input::type, made_with(study_.inventory, variant)).path(study_.workspace, kProbes, variant.name),
        .probes = std::vector<Probe>(groups_.size())};
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        if (can_store(study_.inventory, groups_[g], variant))
            column.probes[g] = {.memory_bytes = bytes_of(study_.inventory, groups_[g], column.assignment.types),
                                .measured = variant.as_it_is};  // at no divergence
    }
    return column;
}

bool ProbeTable::read(ProbeColumn& column)
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

void ProbeTable::add_others(Sensitivity& all, const Sensitivity& earlier, bool same)
{
    for (std::size_t q = 0; q < earlier.types.size(); ++q) {
        const std::string& name = earlier.types[q];
        if (std::ranges::contains(all.types, name)) continue;
        const bool matrix = !study_.inventory.importance.empty();
        if (const auto variant = parse_variant(name, matrix)) {
            ProbeColumn column = column_of(*variant);
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

bool ProbeTable::has_our_groups(const Sensitivity& other) const
{
    return std::ranges::equal(other.groups, sensitivity_.groups, {}, &GroupSensitivity::group, &GroupSensitivity::group);
}

}  // namespace apreqel
