// Numbers with units, as people type them: one reading for every flag.
#pragma once

#include <apreqel/error.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace apreqel {

/// What may follow a number, and what it multiplies it by; letter case and spaces do not matter. "" stands for none.
struct Unit {
    std::string_view name;
    double factor;
};

/// Bytes. K, M, G, T are powers of 1024 as in coreutils, and so are KiB and its like; KB and its like are powers of 1000.
inline constexpr Unit kSizeUnits[]{{"", 1},       {"B", 1},        {"K", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30},
                                   {"T", 0x1p40}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
                                   {"KB", 1e3},   {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
/// Milliseconds.
inline constexpr Unit kTimeUnits[]{{"", 1}, {"ms", 1}, {"s", 1e3}, {"us", 1e-3}, {"µs", 1e-3}};
/// Joules.
inline constexpr Unit kEnergyUnits[]{{"", 1}, {"J", 1}, {"mJ", 1e-3}, {"Ws", 1}, {"Wh", 3600}};
/// A share of 1.
inline constexpr Unit kShareUnits[]{{"", 1}, {"%", 0.01}};
inline constexpr Unit kNoUnits[]{{"", 1}};

/// `text` without spaces around it.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// Reads "4 GiB", "40ms", "1%". Error: no finite number, a unit that is none of `units`.
[[nodiscard]] Result<double> parse_quantity(std::string_view text, std::span<const Unit> units);

/// Reads a flag's value as a quantity from `least` to `most`, and leaves it to CLI11 without its unit.
[[nodiscard]] CLI::Validator quantity(std::span<const Unit> units, double least, double most);

/// The same above 0.
[[nodiscard]] CLI::Validator positive_quantity(std::span<const Unit> units, double most = std::numeric_limits<double>::max());

/// Reads a flag's value as a whole number from `least` to `most`.
[[nodiscard]] CLI::Validator whole_number(std::int64_t least, std::int64_t most);

}  // namespace apreqel
