// Types that a GPU computes with wrongly.
#include "support/inventory.h"
#include "support/lab.h"
#include "support/recorder.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace apreqel {
namespace {

std::vector<std::string> names(const std::vector<Variant>& types)
{
    std::vector<std::string> all;
    for (const Variant& variant : types) all.push_back(variant.name);
    return all;
}

TEST_CASE("a type that a GPU multiplies wrongly is left out by name, and what falls back to it", "[study][fake]")
{
    Lab lab(false);
    lab.settings.types = {*parse_variant("q4_0", false), *parse_variant("q4_K", false), *parse_variant("q8_0", false)};
    Recorder said;
    const Study opened = lab.study();
    const auto trusted = [&](std::vector<WrongType> wrong) {
        said = {};
        Study study{.inventory = opened.inventory,
                    .workspace = opened.workspace,
                    .settings = lab.settings,
                    .monitor = said,
                    .runtime = lab.runtime};
        lab.runtime->wrong = std::move(wrong);
        const auto left = leave_out_wrong_types(study);
        if (!left) return std::vector{left.error().message};
        return names(study.settings.types);
    };
    const std::vector<std::string> all{"q4_0", "q4_K", "q8_0"};
    CHECK(trusted({}) == all);
    CHECK(trusted({{type("iq3_s"), "GPU has no product of it"}}) == all);
    CHECK(said.warnings.empty());
    CHECK(trusted({{type("q4_0"), "GPU multiplies it 12 % off"}}) == std::vector<std::string>{"q4_K", "q8_0"});
    CHECK(said.warnings == std::vector<std::string>{"left out: q4_0 (q4_0: GPU multiplies it 12 % off)"});
    // Rows of 32 weights are no multiple of q4_K's block, so they become q5_0.
    CHECK(trusted({{type("q5_0"), "GPU has no product of it"}}) == std::vector<std::string>{"q4_0", "q8_0"});
    // The embedding's type is in every model.
    CHECK(trusted({{type("q8_0"), "off"}}).front().contains("no type can be used"));
}

}  // namespace
}  // namespace apreqel
