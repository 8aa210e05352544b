#include "decide/names.h"

#include <apreqel/layout.h>
#include <apreqel/quant_type.h>

#include <algorithm>
#include <charconv>
#include <format>

namespace apreqel {
namespace {

/// "blk.3.ffn" as block 3 and role "ffn".
struct Place {
    std::uint64_t block = 0;
    std::string role;
};

std::optional<Place> place_of(const std::string& group)
{
    if (!is_group_name(group) || group == kEmbedding) return std::nullopt;
    constexpr std::size_t kNumber = 4;  // after "blk."
    const std::size_t dot = group.find('.', kNumber);
    Place place{.block = 0, .role = group.substr(dot + 1)};
    const auto read = std::from_chars(group.data() + kNumber, group.data() + dot, place.block);
    if (read.ec != std::errc()) return std::nullopt;
    return place;
}

}  // namespace

std::vector<LayoutRun> runs_of(const std::vector<GroupType>& allocation)
{
    std::vector<std::pair<Place, std::string>> places;
    std::vector<std::string> roles;
    for (const GroupType& entry : allocation) {
        auto place = place_of(entry.group);
        if (!place) continue;
        if (!std::ranges::contains(roles, place->role)) roles.push_back(place->role);
        places.emplace_back(std::move(*place), entry.type);
    }
    std::ranges::stable_sort(places, {}, [&](const auto& entry) {
        return std::pair(std::ranges::find(roles, entry.first.role) - roles.begin(), entry.first.block);
    });
    std::vector<LayoutRun> runs;
    for (const auto& [place, type] : places) {
        const bool goes_on =
            !runs.empty() && runs.back().role == place.role && runs.back().type == type && runs.back().last + 1 == place.block;
        if (goes_on)
            runs.back().last = place.block;
        else
            runs.push_back({place.role, place.block, place.block, type});
    }
    return runs;
}

Result<Layout> layout_of(const Plan& plan, std::string architecture, std::string version)
{
    if (architecture.empty()) {
        return std::unexpected(Error{ErrorCode::failed, "write the layout: the architecture of its model is not known",
                                     "measure the profile again, or add \"architecture\" to it, such as \"llama\""});
    }
    Layout layout{.architecture = std::move(architecture),
                  .model_name = plan.model_name,
                  .device = plan.device,
                  .text = plan.text,
                  .version = std::move(version),
                  .embedding_type = plan.embedding_type,
                  .runs = runs_of(plan.allocation),
                  .fallbacks = plan.fallbacks};
    for (const GroupType& entry : plan.allocation) {
        const std::string type = entry.type.substr(0, entry.type.find('+'));
        if (!parse_type(type))
            return fail("write the layout: {} is {}, which is no type that another model could have", entry.group, entry.type);
        if (entry.group == kEmbedding)
            layout.embedding = entry.type;
        else if (const auto place = place_of(entry.group))
            layout.blocks = std::max(layout.blocks, place->block + 1);
        else
            return fail("write the layout: \"{}\" is no name of a layer", entry.group);
    }
    return layout;
}

}  // namespace apreqel
