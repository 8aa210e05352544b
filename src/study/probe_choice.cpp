#include "study/probe_choice.h"

#include <apreqel/measurement.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace apreqel {
namespace {

/// Tokens through the model that a sensitivity takes, where its sequences are not the shortest.
constexpr std::size_t kTokens = 20'000;

/// What probes of short sequences are compared on, at least and at most. Fewer tokens order the groups no better than their
/// weight errors do; more tell nothing new of a group.
constexpr std::size_t kLeastTokens = 128;
constexpr std::size_t kMostTokens = 1024;

/// Several short sequences are of more kinds of text than a long one.
constexpr std::size_t kLength = 128;

constexpr double kAnchorBits = 3.5;
constexpr double kSecondBits = 6;
constexpr std::size_t kHeldOut = 6;

/// Above so many bits a probe tells more of the rounding of a 16-bit form, activations included, than of the type: what is
/// filled in is nearer to the truth (SmolLM2-135M in bf16: q8_0 probed at 7 times what other types make of it).
constexpr double kFineBits = 7;

/// Bits that a type must be nearer by to be probed although it is slow to make.
constexpr double kSlowness = 1;

/// Bits by which types differ that tell more than one alone.
constexpr double kApartBits = 0.25;

/// What happens in the first two blocks and the last one follows no rule of the others, nor does the embedding.
bool is_special(const Group& group, std::size_t blocks)
{
    return group.layer.empty() || group.block < 2 || group.block + 1 >= blocks;
}

}  // namespace

ProbeChoice::ProbeChoice(std::span<const Group> groups, const Sensitivity& outline, std::vector<bool> slow,
                         std::size_t choosable)
    : groups_(groups), outline_(outline), slow_(std::move(slow)), choosable_(choosable)
{
    std::size_t blocks = 0;
    for (const Group& group : groups) blocks = std::max(blocks, group.block + 1);
    for (std::size_t g = 0; g < groups.size(); ++g) {
        for (std::size_t q = 0; q < outline.types.size(); ++q)
            if (outline.groups[g].fixed_type == outline.types[q] && bits(g, q) > 0) known_.push_back({g, q});
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
        if (is_special(groups[g], blocks)) special_.push_back(g);
        known_.append_range(nearest(g, kAnchorBits));
    }
    for (const std::size_t g : special_) known_.append_range(nearest(g, kSecondBits));
    hold_out();
}

ProbeSequences ProbeChoice::sequences() const
{
    // The reference on twice what a probe runs, one probe that changes nothing, and a second probe of some.
    const std::size_t probes = groups_.size() + special_.size() + kHeldOut + kAgain + 3;
    const std::size_t tokens = std::clamp(kTokens / probes, kLeastTokens, kMostTokens);
    const std::size_t count = std::max<std::size_t>(1, (tokens + kLength / 2) / kLength);
    return {.count = count, .length = tokens / count / 4 * 4};  // kernels take tokens by four
}

std::vector<Cell> ProbeChoice::second(Cell cell) const
{
    std::vector<Cell> cells;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        if (std::ranges::count(known_, g, &Cell::group) == 1) cells.append_range(nearest(g, bits(cell.group, cell.type)));
    }
    return cells;
}

double ProbeChoice::bits(std::size_t group, std::size_t type) const
{
    if (outline_.types[type] == kSource) return 0;
    const GroupSensitivity& outlined = outline_.groups[group];
    return 8 * static_cast<double>(outlined.probes[type].memory_bytes) / static_cast<double>(outlined.parameters);
}

std::vector<Cell> ProbeChoice::nearest(std::size_t group, double wanted) const
{
    std::vector<Cell> best;
    double least = 0;
    for (std::size_t q = 0; q < choosable_; ++q) {
        const double own = bits(group, q);
        const bool alike = std::ranges::any_of(known_, [&](const Cell& cell) {
            return cell.group == group && std::abs(bits(group, cell.type) - own) < kApartBits;
        });
        if (own == 0 || alike) continue;
        const double distance = std::abs(own - wanted) + (slow_[q] ? kSlowness : 0);
        if (!best.empty() && distance >= least) continue;
        best = {{group, q}};
        least = distance;
    }
    return best;
}

void ProbeChoice::hold_out()
{
    std::vector<std::size_t> usual;
    for (std::size_t g = 0; g < groups_.size(); ++g)
        if (!std::ranges::contains(special_, g)) usual.push_back(g);
    if (usual.empty()) usual = special_;
    for (std::size_t i = 0; i < kHeldOut && !usual.empty(); ++i) {
        const std::size_t g = usual[(2 * i + 1) * usual.size() / (2 * kHeldOut)];
        std::vector<std::size_t> types;
        for (std::size_t q = 0; q < choosable_; ++q)
            if (bits(g, q) > 0 && !std::ranges::contains(known_, Cell{g, q})) types.push_back(q);
        const auto is_fine = [&](std::size_t q) { return bits(g, q) > kFineBits; };
        if (std::ranges::count_if(types, is_fine) + 2 <= std::ssize(types)) std::erase_if(types, is_fine);
        if (types.empty()) continue;
        std::ranges::stable_sort(types, {}, [&](std::size_t q) { return bits(g, q); });
        const Cell cell{g, types[(2 * i * (types.size() - 1) + kHeldOut - 1) / (2 * (kHeldOut - 1))]};
        if (!std::ranges::contains(held_, cell)) held_.push_back(cell);
    }
}

}  // namespace apreqel
