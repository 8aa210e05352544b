// Which groups are probed in which types, where one type tells of the others.
#pragma once

#include <apreqel/sensitivity.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What a probe runs: `count` sequences of `length` tokens.
struct ProbeSequences {
    std::size_t count = 0;
    std::size_t length = 0;
};

/// Tokens that go through the model.
struct TokenCount {
    std::size_t run = 0;       ///< for each `compared`
    std::size_t compared = 0;  ///< tokens that a probe counts
    std::size_t before = 0;    ///< before the first probe
};

/// Factor that what is filled in is off by in the median, at most, or groups are probed in a second type.
inline constexpr double kPromisedFactor = 1.5;

/// Factor that a probe may be away from its surroundings, or it is made again on other text.
inline constexpr double kPlausibleFactor = 4;

/// How many probes are made again at most.
inline constexpr std::size_t kAgain = 4;

/// The tokens of a sensitivity whose probes are of all types, on chunks of `context` tokens.
[[nodiscard]] TokenCount thorough_tokens(const Sensitivity& standing, std::size_t context);

/// The last step of a sensitivity: fills in what was not measured, and tells by `known` and `held` of `standing`, if any were held
/// out, how well that holds. `all` may have more types than that. Error: nothing is measured.
[[nodiscard]] Result<> complete(Sensitivity& all, const Sensitivity& standing, const TokenCount& tokens,
                                std::span<const Cell> known = {}, std::span<const Cell> held = {});

/// Cells to be probed, in three steps, of which the second and the third follow from what was found before: the same wherever
/// that was measured. `standing` is the sensitivity as it stands, nothing filled in.
class ProbeChoice {
public:
    /// `choosable`: how many types there are to choose from; groups are fixed to those behind them. Of the probes of `outline`
    /// only what they weigh is used: 0 is no candidate, and a group as it is needs no probe.
    ProbeChoice(Sensitivity outline, std::size_t choosable);

    [[nodiscard]] ProbeSequences sequences() const;

    /// What groups are fixed to; then each group in its anchor, the type of about 3.5 bits: the better half of the types is less
    /// than rounding can hide, and what lies below is near. Special groups in another one of about 6 bits too.
    [[nodiscard]] const std::vector<Cell>& known() const { return known_; }
    /// Some of the others, of all kinds of groups and types, to compare what is filled in with.
    [[nodiscard]] const std::vector<Cell>& held() const { return held_; }
    /// Both: the first step.
    [[nodiscard]] std::vector<Cell> first() const;

    /// The second step: where what is filled in is off by more than kPromisedFactor, every group that is not special and of a role in
    /// which it is ("attn") in another type, the one most like the type of the role's cell that is off most. It may be in `held`.
    struct Second {
        double factor = 1;          ///< that what is filled in is off by in the median
        std::vector<Cell> cells{};  ///< none: it is good enough
    };
    [[nodiscard]] Second second(const Sensitivity& standing) const;

    /// What fills in and what that is compared with once the second step is done: as for held_out.
    struct Comparison {
        std::vector<Cell> known;
        std::vector<Cell> held;
    };
    [[nodiscard]] Comparison comparison(const Second& second) const;

    /// The third: what is to be probed once more on other text, kAgain at most. None where that was done.
    [[nodiscard]] std::vector<Cell> again(const Sensitivity& standing) const;
    [[nodiscard]] bool has_again(const Sensitivity& standing) const;

    /// Of all steps.
    [[nodiscard]] TokenCount tokens(const Sensitivity& standing) const;

private:
    [[nodiscard]] std::vector<Cell> like(Cell cell) const;
    [[nodiscard]] std::string_view role(std::size_t group) const;
    /// Per weight; 0: there is nothing to probe.
    [[nodiscard]] double bits(std::size_t group, std::size_t type) const;
    /// The type of `group` nearest to `wanted` bits, if there is any that does not weigh as much as one in `known_`.
    [[nodiscard]] std::vector<Cell> nearest(std::size_t group, double wanted) const;
    void hold_out();
    /// Tokens that each measured cell of the first step was compared on.
    [[nodiscard]] std::vector<std::uint64_t> compared(const Sensitivity& standing) const;

    Sensitivity outline_;
    std::size_t choosable_;
    std::vector<bool> slow_;            ///< of each type: it takes longer to make than to probe
    std::vector<std::size_t> special_;  ///< groups
    std::vector<std::size_t> usual_;    ///< the others
    std::vector<Cell> known_;
    std::vector<Cell> held_;
};

/// Why there is a second step.
[[nodiscard]] std::string describe(const ProbeChoice::Second& second);

}  // namespace apreqel
