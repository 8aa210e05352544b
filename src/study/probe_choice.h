// Which groups are probed in which types, where one type tells of the others.
#pragma once

#include <apreqel/inventory.h>
#include <apreqel/sensitivity.h>

#include <cstddef>
#include <span>
#include <vector>

namespace apreqel {

/// What a probe runs: `count` sequences of `length` tokens.
struct ProbeSequences {
    std::size_t count = 0;
    std::size_t length = 0;
};

/// Factor that what is filled in is off by in the median, at most, or groups are probed in a second type.
inline constexpr double kPromisedFactor = 1.5;

/// Factor that a probe may be away from its surroundings, or it is made again on other text.
inline constexpr double kPlausibleFactor = 4;

/// How many probes are made again at most.
inline constexpr std::size_t kAgain = 4;

/// Cells to be probed: places of groups and of types, of a sensitivity whose types are those to choose from, and others behind
/// them that groups are fixed to.
class ProbeChoice {
public:
    /// `slow`: of each type, whether it takes longer to make than to probe. `choosable`: how many types there are to choose from.
    /// Of the probes only what they weigh is used: 0 is no candidate, and a group as it is needs no probe.
    ProbeChoice(std::span<const Group> groups, const Sensitivity& outline, std::vector<bool> slow, std::size_t choosable);

    [[nodiscard]] ProbeSequences sequences() const;

    /// What groups are fixed to; then each group in its anchor, the type of about 3.5 bits: the better half of the types is less
    /// than rounding can hide, and what lies below is near. Special groups in another one of about 6 bits too.
    [[nodiscard]] const std::vector<Cell>& known() const { return known_; }
    /// Some of the others, of all kinds of groups and types, to compare what is filled in with.
    [[nodiscard]] const std::vector<Cell>& held() const { return held_; }
    /// Every group that has one type only in `known` in another: the one most like the type of `cell`. It may be in `held`.
    [[nodiscard]] std::vector<Cell> second(Cell cell) const;

private:
    /// Per weight; 0: there is nothing to probe.
    [[nodiscard]] double bits(std::size_t group, std::size_t type) const;
    /// The type of `group` nearest to `wanted` bits, if there is any that does not weigh as much as one in `known_`.
    [[nodiscard]] std::vector<Cell> nearest(std::size_t group, double wanted) const;
    void hold_out();

    std::span<const Group> groups_;
    const Sensitivity& outline_;
    std::vector<bool> slow_;
    std::size_t choosable_;
    std::vector<std::size_t> special_;  ///< groups
    std::vector<Cell> known_;
    std::vector<Cell> held_;
};

}  // namespace apreqel
