// What is typed: weights and types.
#include "fuzz/targets.h"

#include <apreqel/plan.h>
#include <apreqel/quant_type.h>

#include <array>

namespace apreqel::fuzz {
namespace {

bool accepts_weights(std::string_view input) { return parse_weights(input).has_value(); }

bool accepts_type(std::string_view input)
{
    const auto type = parse_type(input);
    if (!type) return false;
    static_cast<void>(check_target_type(*type));
    static_cast<void>(bits_per_weight(*type));
    return true;
}

constexpr std::array kArgumentTargets{
    Target{"weights", accepts_weights},
    Target{"type", accepts_type},
};

}  // namespace

std::span<const Target> argument_targets() { return kArgumentTargets; }

}  // namespace apreqel::fuzz
