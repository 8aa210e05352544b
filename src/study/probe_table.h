// The probes of a sensitivity, and where they are kept.
#pragma once

#include "quantize/write_models.h"
#include "study/keys.h"
#include "study/probe_choice.h"
#include "study/study.h"

#include <apreqel/sensitivity.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// What is known of one type: a probe of each group. It is kept in a file of its own, so that neither other types nor other
/// settings touch it.
struct ProbeColumn {
    Variant variant;
    TypeAssignment assignment;
    std::filesystem::path file;
    std::vector<Probe> probes;

    [[nodiscard]] static bool is_known(const Probe& probe) { return probe.measured || probe.squared_error > 0; }
};

/// All columns of a sensitivity, and where they are kept.
class ProbeTable {
public:
    /// One column for each of the study's types, and others for what groups are fixed to where that is none of them: there only
    /// those groups are probed. `facts`: of the study and of how it is probed.
    ProbeTable(const Study& study, std::vector<Group> groups, Facts facts, QuantType form);

    [[nodiscard]] std::span<const Group> groups() const { return groups_; }
    [[nodiscard]] const Facts& facts() const { return facts_; }
    /// Whether group g is of that column's type in every uniform variant.
    [[nodiscard]] bool is_fixed(std::size_t g, const ProbeColumn& column) const
    {
        return sensitivity_.groups[g].fixed_type == column.variant.name;
    }
    [[nodiscard]] std::vector<ProbeColumn>& columns() { return columns_; }
    [[nodiscard]] Probe& at(Cell cell) { return columns_[cell.type].probes[cell.group]; }
    [[nodiscard]] std::size_t choices() const { return study_.settings.types.size(); }
    void set_noise_floor(double kld) { sensitivity_.noise_floor = kld; }

    /// Takes what was measured before.
    void read();

    /// Takes what others measured, and keeps it. Error: see check_joins.
    [[nodiscard]] Result<> take(const SensitivityShard& joined);

    /// What is known, but for measurements of cells outside `part`, as one of several shards. `joined`: what was taken.
    [[nodiscard]] SensitivityShard cut(Share share, std::size_t context, std::span<const Cell> part,
                                       const std::optional<SensitivityShard>& joined) const;

    /// Keeps what is known of a column.
    [[nodiscard]] Result<> write(const ProbeColumn& column) const;

    /// Whether every candidate is measured, or its error is known.
    [[nodiscard]] bool is_known() const;

    /// All columns as they stand, nothing filled in.
    [[nodiscard]] Sensitivity standing() const;

    /// The sensitivity with all that is known, of types that were measured earlier too. `known`, `held`: as for held_out, if any
    /// were. → sensitivity.json
    [[nodiscard]] Result<Sensitivity> finish(const TokenCount& tokens, std::span<const Cell> known = {},
                                             std::span<const Cell> held = {});

private:
    [[nodiscard]] std::string key_of(const Variant& variant) const;
    [[nodiscard]] ProbeColumn column_of(const Variant& variant) const;
    /// False if nothing is kept of it.
    bool read(ProbeColumn& column);
    /// Adds the types of an earlier sensitivity that are not asked for now. `same`: it has the key of this one, but for what
    /// its types are made with.
    void add_others(Sensitivity& all, const Sensitivity& earlier, bool same);
    [[nodiscard]] bool has_our_groups(const Sensitivity& other) const;

    const Study& study_;
    std::vector<Group> groups_;
    Facts facts_;
    Sensitivity sensitivity_;  ///< without types and probes
    std::vector<ProbeColumn> columns_;
};

}  // namespace apreqel
