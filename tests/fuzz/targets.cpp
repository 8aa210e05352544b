#include "fuzz/targets.h"

namespace apreqel::fuzz {

const Target* find_target(std::string_view name)
{
    const Target* found = nullptr;
    for_each_target([&](const Target& target) {
        if (target.name == name) found = &target;
    });
    return found;
}

}  // namespace apreqel::fuzz
