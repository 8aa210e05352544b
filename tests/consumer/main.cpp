// What a user of the installed library writes: a profile and scores from JSON, a plan, and the plan as JSON.
#include <apreqel/json.h>
#include <apreqel/plan.h>

#include <cstdio>
#include <fstream>

int main(int count, char** arguments)
{
    if (count != 4) return 2;
    const auto profile = apreqel::read_profile(arguments[1]);
    const auto scores = apreqel::read_scores(arguments[2]);
    const auto weights = apreqel::parse_weights("memory=0.5,accuracy=0.5");
    if (!profile || !scores || !weights) {
        std::puts((!profile ? profile.error() : scores.error()).message.c_str());
        return 1;
    }
    const auto plan = apreqel::make_plan(*profile, *scores, {.weights = *weights});
    if (!plan) {
        std::puts(plan.error().message.c_str());
        return 1;
    }
    for (const apreqel::GroupType& entry : plan->allocation) std::printf("%s %s\n", entry.group.c_str(), entry.type.c_str());
    std::ofstream(arguments[3]) << apreqel::to_json(*plan);
    return apreqel::read_plan(arguments[3]) ? 0 : 1;
}
