// What the search for a front of up to three criteria works on: costs in units that compare.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace apreqel {

/// Costs by up to three criteria, and weights of them. Where there are fewer, the last is on the third axis and the rest are 0.
inline constexpr std::size_t kAxes = 3;
using Axes = std::array<double, kAxes>;

inline constexpr std::size_t kFirst = 0;
inline constexpr std::size_t kSecond = 1;
inline constexpr std::size_t kThird = 2;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The first two: what a type takes beyond the least of its group, as a share of the range over all choices, in whole multiples
/// of 2⁻⁴⁴, so that sums are exact in any order and ties are seen. The third as it is: it may span orders of magnitude. No type
/// of a group dominates or equals another.
struct ScaledCosts {
    Axes fixed{};
    std::vector<std::vector<Axes>> groups;  ///< one row of types for each
};

struct Choice {
    Axes cost{};
    std::vector<std::uint8_t> types;  ///< of each group
    std::uint32_t multiplier = 0;     ///< those that suit it best: an index into `Multipliers`
};

}  // namespace apreqel
