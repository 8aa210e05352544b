// Everything that reads bytes from outside, as functions of those bytes: for libFuzzer, and for the tests that feed them
// tests/fuzz/corpus/TARGET/ again.
#pragma once

#include <span>
#include <string_view>

namespace apreqel::fuzz {

/// A reader, together with what works on whatever that reader accepts.
struct Target {
    std::string_view name;
    bool (*accepts)(std::string_view input);  ///< false: refused with an error. Anything else is a crash.
};

[[nodiscard]] std::span<const Target> gguf_targets();
[[nodiscard]] std::span<const Target> record_targets();
[[nodiscard]] std::span<const Target> plan_targets();
[[nodiscard]] std::span<const Target> argument_targets();

/// The target of that name, or null.
[[nodiscard]] const Target* find_target(std::string_view name);

/// Calls `visit` with every target.
template <typename Visit>
void for_each_target(Visit visit)
{
    for (const auto targets : {gguf_targets(), record_targets(), plan_targets(), argument_targets()})
        for (const Target& target : targets) visit(target);
}

}  // namespace apreqel::fuzz
