// The kept corpus, fed once more without a fuzzer.
#include "fuzz/targets.h"
#include "support/compare.h"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <set>
#include <string>

namespace apreqel {
namespace {

namespace fs = std::filesystem;

TEST_CASE("every reader survives its corpus, and accepts what is valid there", "[fuzz]")
{
    std::set<std::string> folders;
    for (const auto& folder : fs::directory_iterator(APREQEL_FUZZ_CORPUS)) folders.insert(folder.path().filename());
    std::set<std::string> names;
    fuzz::for_each_target([&](const fuzz::Target& target) { names.emplace(target.name); });
    CHECK(folders == names);

    fuzz::for_each_target([&](const fuzz::Target& target) {
        bool accepted = false;
        for (const auto& entry : fs::directory_iterator(fs::path(APREQEL_FUZZ_CORPUS) / target.name)) {
            CAPTURE(entry.path());
            const bool accepts = target.accepts(slurp(entry.path()));
            CHECK(accepts == entry.path().filename().string().starts_with("valid"));
            accepted = accepted || accepts;
        }
        CAPTURE(target.name);
        CHECK(accepted);
    });
}

}  // namespace
}  // namespace apreqel
