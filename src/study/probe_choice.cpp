#include "study/probe_choice.h"

#include "model/names.h"
#include "quantize/variant.h"
#include "runtime/runtime.h"

#include <apreqel/measurement.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <ranges>
#include <string_view>

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
bool is_special(const GroupSensitivity& group, std::size_t last_block)
{
    const std::size_t block = block_of(group.group).value_or(0);
    return group.layer.empty() || block < 2 || block >= last_block;
}

/// Types whose blocks are found by a search of a codebook, which takes longer than a probe of them. No file made elsewhere is
/// called like a type.
bool is_slow(const std::string& type)
{
    return type.starts_with("iq") && !type.starts_with("iq4") && parse_variant(type, true).has_value();
}

}  // namespace

TokenCount thorough_tokens(const Sensitivity& standing, std::size_t context)
{
    // Every probe runs as much as the reference, and the probe that changes nothing.
    TokenCount tokens{.run = context, .compared = context - 1 - context / 2};
    for (const GroupSensitivity& group : standing.groups)
        for (const Probe& probe : group.probes)
            if (probe.tokens > 0) tokens.before = 2 * probe.tokens / tokens.compared * tokens.run;
    return tokens;
}

Result<> complete(Sensitivity& all, const Sensitivity& standing, const TokenCount& tokens, std::span<const Cell> known,
                  std::span<const Cell> held)
{
    all.tokens = tokens.before;
    for (const GroupSensitivity& group : all.groups)
        for (const Probe& probe : group.probes)
            if (probe.measured) all.tokens += probe.tokens / tokens.compared * tokens.run;
    if (auto filled = fill_in(all); !filled) return filled;
    if (!held.empty()) all.separability = held_out(standing, known, held);
    return {};
}

ProbeChoice::ProbeChoice(Sensitivity outline, std::size_t choosable) : outline_(std::move(outline)), choosable_(choosable)
{
    const std::vector<GroupSensitivity>& groups = outline_.groups;
    for (const std::string& type : outline_.types) slow_.push_back(is_slow(type));
    std::size_t last_block = 0;
    for (const GroupSensitivity& group : groups) last_block = std::max(last_block, block_of(group.group).value_or(0));
    for (std::size_t g = 0; g < groups.size(); ++g) {
        for (std::size_t q = 0; q < outline_.types.size(); ++q)
            if (groups[g].fixed_type == outline_.types[q] && bits(g, q) > 0) known_.push_back({g, q});
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
        (is_special(groups[g], last_block) ? special_ : usual_).push_back(g);
        known_.append_range(nearest(g, kAnchorBits));
    }
    for (const std::size_t g : special_) known_.append_range(nearest(g, kSecondBits));
    hold_out();
}

ProbeSequences ProbeChoice::sequences() const
{
    // The reference on twice what a probe runs, one probe that changes nothing, and a second probe of some and of one role.
    std::map<std::string_view, std::size_t> roles;
    for (const std::size_t g : usual_) ++roles[role(g)];
    const std::size_t most = roles.empty() ? 0 : std::ranges::max(roles | std::views::values);
    const std::size_t probes = outline_.groups.size() + special_.size() + kHeldOut + kAgain + 3 + most;
    const std::size_t tokens = std::clamp(kTokens / probes, kLeastTokens, kMostTokens);
    const std::size_t count = (tokens + kLength - 1) / kLength;
    return {.count = count, .length = tokens / count / 4 * 4};  // kernels take tokens by four
}

std::vector<Cell> ProbeChoice::first() const
{
    std::vector<Cell> cells = known_;
    cells.append_range(held_);
    return cells;
}

ProbeChoice::Second ProbeChoice::second(const Sensitivity& standing) const
{
    const Separability found = held_out(standing, known_, held_);
    if (found.median_factor <= kPromisedFactor) return {.factor = found.median_factor};
    std::map<std::string_view, std::vector<Cell>> roles;
    for (const Cell& cell : held_) roles[role(cell.group)].push_back(cell);
    Second second{.factor = found.median_factor};
    for (const auto& [role, cells] : roles) {
        if (held_out(standing, known_, cells).median_factor <= kPromisedFactor) continue;
        const Cell farthest = *std::ranges::max_element(
            cells, {}, [&](const Cell& cell) { return held_out(standing, known_, std::span(&cell, 1)).worst_factor; });
        second.cells.append_range(like(farthest));
    }
    return second;
}

ProbeChoice::Comparison ProbeChoice::comparison(const Second& second) const
{
    Comparison compared{.known = known_, .held = held_};
    compared.known.append_range(second.cells);
    std::erase_if(compared.held, [&](const Cell& cell) { return std::ranges::contains(compared.known, cell); });
    return compared;
}

std::vector<std::uint64_t> ProbeChoice::compared(const Sensitivity& standing) const
{
    std::vector<std::uint64_t> compared;
    for (const auto& [g, q] : first())
        if (const Probe& probe = standing.groups[g].probes[q]; probe.measured) compared.push_back(probe.tokens);
    return compared;
}

bool ProbeChoice::has_again(const Sensitivity& standing) const
{
    // All run alike but for those that were made again.
    const std::vector<std::uint64_t> tokens = compared(standing);
    return !tokens.empty() && std::ranges::max(tokens) > std::ranges::min(tokens);
}

std::vector<Cell> ProbeChoice::again(const Sensitivity& standing) const
{
    if (has_again(standing)) return {};
    std::vector<Cell> odd = outliers(standing, known_, kPlausibleFactor);
    odd.resize(std::min(odd.size(), kAgain));
    return odd;
}

TokenCount ProbeChoice::tokens(const Sensitivity& standing) const
{
    const std::vector<std::uint64_t> all = compared(standing);
    const std::size_t count = sequences().count;
    TokenCount tokens{.run = 0, .compared = all.empty() ? 1 : std::max<std::size_t>(1, std::ranges::min(all))};
    tokens.run = tokens.compared + count * kUncompared;
    tokens.before = 2 * tokens.run + tokens.run / count;
    return tokens;
}

std::vector<Cell> ProbeChoice::like(Cell cell) const
{
    std::vector<Cell> cells;
    for (const std::size_t g : usual_)
        if (role(g) == role(cell.group)) cells.append_range(nearest(g, bits(cell.group, cell.type)));
    return cells;
}

std::string_view ProbeChoice::role(std::size_t group) const { return role_of(outline_.groups[group].group); }

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
    const std::vector<std::size_t>& usual = usual_.empty() ? special_ : usual_;
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

std::string describe(const ProbeChoice::Second& second)
{
    return std::format("one type tells of the others within a factor of {:.2f} in the median, {:.2f} was promised",
                       second.factor, kPromisedFactor);
}

}  // namespace apreqel
