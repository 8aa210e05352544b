#include "study/merge.h"

#include "base/joined.h"
#include "study/probe_choice.h"

#include <algorithm>
#include <ranges>
#include <set>
#include <string_view>

namespace apreqel {
namespace {

/// Missing shards that are named.
constexpr std::size_t kNamed = 8;

constexpr const char* kAlike =
    "make all shards from the same model, text and settings, and name their full-precision form with --form";

/// Where two keys part: "form bf16".
std::pair<std::string_view, std::string_view> difference(std::string_view one, std::string_view other)
{
    const auto part = std::ranges::mismatch(one, other);
    const auto piece = [](std::string_view key, std::size_t at) {
        const std::size_t comma = at == 0 ? std::string_view::npos : key.rfind(", ", at - 1);
        const std::size_t begin = comma == std::string_view::npos ? 0 : comma + 2;
        return key.substr(begin, key.find(", ", begin) - begin);
    };
    return {piece(one, static_cast<std::size_t>(part.in1 - one.begin())),
            piece(other, static_cast<std::size_t>(part.in2 - other.begin()))};
}

/// A sensitivity before anything is measured.
std::string bare(Sensitivity sensitivity)
{
    sensitivity.noise_floor = 0;
    for (GroupSensitivity& group : sensitivity.groups)
        for (Probe& probe : group.probes) probe = {.memory_bytes = probe.memory_bytes};
    return to_json(sensitivity);
}

/// "shard 2 of 3 is", "shards 2, 3, … of 64 are".
std::string name_missing(const std::set<std::size_t>& there, std::size_t count)
{
    std::string names;
    std::size_t named = 0;
    for (std::size_t number = 1; number <= count && named <= kNamed; ++number) {
        if (there.contains(number)) continue;
        ++named;
        names += (named == 1 ? "" : ", ") + (named > kNamed ? "…" : std::to_string(number));
    }
    return std::format("shard{} {} of {} {}", named == 1 ? "" : "s", names, count, named == 1 ? "is" : "are");
}

void add(Sensitivity& all, const Sensitivity& more)
{
    all.noise_floor = std::max(all.noise_floor, more.noise_floor);
    for (std::size_t g = 0; g < all.groups.size(); ++g)
        for (std::size_t q = 0; q < all.types.size(); ++q) learn(all.groups[g].probes[q], more.groups[g].probes[q]);
}

std::size_t count_missing(const Sensitivity& sensitivity, std::span<const Cell> cells)
{
    return static_cast<std::size_t>(std::ranges::count_if(
        cells, [&](const Cell& cell) { return !sensitivity.groups[cell.group].probes[cell.type].measured; }));
}

std::vector<Cell> all_candidates(const Sensitivity& sensitivity)
{
    std::vector<Cell> cells;
    for (std::size_t g = 0; g < sensitivity.groups.size(); ++g)
        for (std::size_t q = 0; q < sensitivity.types.size(); ++q)
            if (sensitivity.groups[g].probes[q].memory_bytes > 0) cells.push_back({g, q});
    return cells;
}

/// Error: not even what was to be probed in any case is there.
Result<> check_first(const Sensitivity& sensitivity, std::span<const Cell> cells)
{
    if (const std::size_t missing = count_missing(sensitivity, cells); missing > 0)
        return fail("merge: {} of {} probes are in none of the shards", missing, cells.size());
    return {};
}

Error more(std::string what, std::string how) { return {ErrorCode::failed, "merge: " + std::move(what), std::move(how)}; }

}  // namespace

void learn(Probe& probe, const Probe& other)
{
    if (probe.squared_error == 0) {
        probe.squared_error = other.squared_error;
        probe.weighted_error = other.weighted_error;
    }
    if (probe.measured || !other.measured) return;
    probe.measured = true;
    probe.kld = other.kld;
    probe.kld_error = other.kld_error;
    probe.tokens = other.tokens;
}

Result<> check_joins(const ShardFile& one, const ShardFile& other)
{
    const auto refuse = [&](std::string_view own, std::string_view others) {
        return std::unexpected(Error{
            ErrorCode::failed, std::format("merge {}: it is of {}, {} is of {}", other.name, others, one.name, own), kAlike});
    };
    const SensitivityShard& a = one.shard;
    const SensitivityShard& b = other.shard;
    if (a.key != b.key) {
        const auto [own, others] = difference(a.key, b.key);
        return refuse(own, others);
    }
    const auto types_of = [](const SensitivityShard& shard) { return "types " + joined(shard.probes.types, ","); };
    if (a.probes.types != b.probes.types || a.choices != b.choices) return refuse(types_of(a), types_of(b));
    if (a.context != b.context || bare(a.probes) != bare(b.probes)) return refuse("other groups", "its own");
    return {};
}

Result<SensitivityShard> join(std::span<const ShardFile> shards)
{
    const ShardFile& newest = *std::ranges::max_element(shards, {}, [](const ShardFile& file) { return file.shard.round; });
    SensitivityShard all = newest.shard;
    std::set<std::size_t> there;
    for (const ShardFile& file : shards) {
        if (auto joins = check_joins(newest, file); !joins) return std::unexpected(joins.error());
        add(all.probes, file.shard.probes);
        if (file.shard.round != all.round) continue;
        if (file.shard.share.count != all.share.count)
            return fail("merge {}: it is one of {} shards, {} one of {}", file.name, file.shard.share.count, newest.name,
                        all.share.count);
        there.insert(file.shard.share.number);
    }
    if (there.size() < all.share.count)
        return std::unexpected(Error{ErrorCode::failed, std::format("merge: {} missing", name_missing(there, all.share.count)),
                                     "sense --shard NUMBER/COUNT makes it, with the flags of the others"});
    all.share = {};
    return all;
}

Result<SensitivityShard> read_joined(std::span<const std::filesystem::path> paths)
{
    std::vector<ShardFile> shards;
    for (const auto& path : paths) {
        auto shard = read_shard(path);
        if (!shard) return std::unexpected(shard.error());
        shards.push_back({path.string(), std::move(*shard)});
    }
    return join(shards);
}

Result<Sensitivity> merge(const SensitivityShard& joined)
{
    const Sensitivity& standing = joined.probes;
    Sensitivity all = standing;
    if (joined.context > 0) {
        if (auto complete_first = check_first(standing, all_candidates(standing)); !complete_first)
            return std::unexpected(complete_first.error());
        if (auto done = complete(all, standing, thorough_tokens(standing, joined.context)); !done)
            return std::unexpected(done.error());
        return all;
    }
    const ProbeChoice choice(standing, joined.choices);
    if (auto complete_first = check_first(standing, choice.first()); !complete_first)
        return std::unexpected(complete_first.error());
    const ProbeChoice::Second second = choice.second(standing);
    if (const std::size_t missing = count_missing(standing, second.cells); missing > 0)
        return std::unexpected(more(
            std::format("more probes are needed, {}: {}", missing, describe(second)),
            "sense MODEL --with SHARD… --shard NUMBER/COUNT -o … spreads them, to be merged then; without --shard, one machine "
            "makes them"));
    if (const auto again = choice.again(standing); !again.empty())
        return std::unexpected(
            more(std::format("probes that are unlike those around them are to be made again on other text: {}", again.size()),
                 "sense MODEL --with SHARD… makes them, and sensitivity.json"));
    const ProbeChoice::Comparison compared = choice.comparison(second);
    if (auto done = complete(all, standing, choice.tokens(standing), compared.known, compared.held); !done)
        return std::unexpected(done.error());
    return all;
}

}  // namespace apreqel
