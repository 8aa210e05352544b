// What a user of the installed library writes: planning from numbers, and a type's properties from libggml.
#include <apreqel/plan.h>
#include <apreqel/quant_type.h>
#include <apreqel/version.h>

int main()
{
    const auto weights = apreqel::parse_weights("balanced");
    const auto type = apreqel::parse_type("q4_K");
    const apreqel::Metrics costs[] = {{3e9, 40, 7}, {5e9, 50, 6}};
    const auto ranking = apreqel::rank_distributions(16, costs, *weights);
    return ranking && ranking->candidates == 17 && bits_per_weight(*type) == 4.5 && !apreqel::kVersion.empty() ? 0 : 1;
}
