// A sensitivity that was probed in several places.
#pragma once

#include "records/format.h"

#include <filesystem>
#include <span>
#include <string>

namespace apreqel {

/// A shard, and what to call it.
struct ShardFile {
    std::string name;
    SensitivityShard shard;
};

/// Adds to `probe` what only `other` knows of the same cell: who found the error of the weights need not be who measured.
void learn(Probe& probe, const Probe& other);

/// Error: the two are of different sensitivities, and in what these differ.
[[nodiscard]] Result<> check_joins(const ShardFile& one, const ShardFile& other);

/// What all of `shards` know, of which there is one at least; of what two of them measured, that of the first. Errors: those of
/// check_joins; a shard of the last round is missing.
[[nodiscard]] Result<SensitivityShard> join(std::span<const ShardFile> shards);

/// The same, from files.
[[nodiscard]] Result<SensitivityShard> read_joined(std::span<const std::filesystem::path> paths);

/// The sensitivity that one machine would have found. Error: what was found asks for more probes; the hint says how to make them.
[[nodiscard]] Result<Sensitivity> merge(const SensitivityShard& joined);

}  // namespace apreqel
