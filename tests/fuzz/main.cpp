// apreqel_fuzz TARGET [libFuzzer's arguments]   without TARGET: their names, one a line
#include "fuzz/targets.h"

#include <cstdint>
#include <cstdlib>
#include <print>

namespace {

const apreqel::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Takes the first argument before libFuzzer reads the others.
int LLVMFuzzerInitialize(int* count, char*** arguments)
{
    if (*count < 2) {
        apreqel::fuzz::for_each_target([](const apreqel::fuzz::Target& each) { std::println("{}", each.name); });
        std::exit(0);
    }
    target = apreqel::fuzz::find_target((*arguments)[1]);
    if (target == nullptr) {
        std::println(stderr, "no such target: {}", (*arguments)[1]);
        std::exit(2);
    }
    (*arguments)[1] = (*arguments)[0];
    ++*arguments;
    --*count;
    return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static_cast<void>(target->accepts({reinterpret_cast<const char*>(data), size}));
    return 0;
}
