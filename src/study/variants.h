// The uniform variants of a model: built once, measured, and spliced into every mix.
#pragma once

#include "study/study.h"

namespace apreqel {

/// Where the variant lives in the workspace. Its bytes are those that were written if `is_whole` says so.
[[nodiscard]] std::filesystem::path variant_path(const Workspace& workspace, const Inventory& inventory, const Variant& variant,
                                                 const Variant& embedding_type);

/// The uniform variants of the study's types, as files to measure.
[[nodiscard]] std::vector<ModelFile> variant_files(const Study& study);

/// Error: the workspace's disk has no room for the variants that are missing and `mixes` mixed models beside them, each as
/// large as the smallest variant at least.
[[nodiscard]] Result<> check_space_for(const Study& study, std::size_t mixes);

/// The same for the mixed model at `output`, in its folder.
[[nodiscard]] Result<> check_space_for(const Study& study, const std::filesystem::path& output);

/// Builds the missing and the damaged variants of the study's types, all in one read of the source.
[[nodiscard]] Result<> build_variants(const Study& study);

/// The mixed model of `plan` as an artifact of the workspace, spliced if it is not there yet. `mixes`: to splice from beside the
/// variants.
[[nodiscard]] Result<std::filesystem::path> build_mix(const Study& study, const Plan& plan, Monitor& monitor,
                                                      std::span<const BuiltMix> mixes = {});

/// Splices the mixes that are missing into the workspace; they stay there until `remove_mixes`.
[[nodiscard]] Result<std::vector<std::filesystem::path>> build_mixes(const Study& study,
                                                                     const std::vector<std::vector<GroupType>>& allocations);

/// What was measured on a mix is kept; the file is spliced again in a moment, and takes room until then.
void remove_mixes(const Study& study, const std::vector<std::filesystem::path>& mixes);

}  // namespace apreqel
