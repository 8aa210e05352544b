// What a profile says whether its models were built or are only shapes.
#pragma once

#include "study/study.h"

#include <string>
#include <vector>

namespace apreqel {

/// Mixes that tell what each type costs in attention, in FFN and in the embedding: attention takes every type in turn, FFN and,
/// where it is mixed too, the embedding take others. `few`: hardly more than there are types, for a fit that knows what to
/// expect; else with the embedding as it is in the uniform variants, and again with it mixed. Where a part of the blocks is on
/// accelerators, they have other types than the rest, too.
[[nodiscard]] std::vector<std::vector<GroupType>> telling_mixes(const Study& study, bool few);

/// Settings with which shapes are timed: medians to 1 %, what the fit of latencies takes them to be good for; samples of a third
/// of a second, which no switch between programs makes much longer. Rounds and tokens of `settings` are the most there are.
[[nodiscard]] SpeedSettings as_needed(SpeedSettings settings);

/// What the speeds of `mixes` depend on.
[[nodiscard]] std::string made_with(const Study& study, const std::vector<std::vector<GroupType>>& mixes);

/// A profile of the study's types with what their headers tell: bits, memory and fallbacks. No quality, no speed.
/// Error: a tensor cannot be stored as one of the types.
[[nodiscard]] Result<Profile> weighed_profile(const Study& study);

/// Times the shapes of the study's types and of `mixes`, with its settings, and adds what they take.
[[nodiscard]] Result<> time_shapes(DeviceProfile& device, const Study& study, const std::vector<std::vector<GroupType>>& mixes);

/// Adds the speed of each type and of each of `mixes`, in this order.
void add_speeds(DeviceProfile& device, const Study& study, const std::vector<std::vector<GroupType>>& mixes,
                const std::vector<Speed>& speeds);

}  // namespace apreqel
