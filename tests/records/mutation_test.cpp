// Damaged documents: each is refused with one line, or read as a record that the next stage takes or refuses.
#include "records/random_records.h"
#include "study/study.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include "base/printable.h"

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <random>

namespace apreqel {
namespace {

constexpr std::size_t kMutants = 1000;

/// `text` with one to three changes: bytes, pieces of itself, or what parsers and arithmetic stumble over.
std::string mutated(std::string text, std::mt19937_64& random)
{
    using namespace std::string_view_literals;
    static constexpr std::string_view kPieces[] = {"0",
                                                   "-0",
                                                   "1",
                                                   "2",
                                                   "1e400",
                                                   "-1",
                                                   "1e99",
                                                   "1e-99",
                                                   "1e308",
                                                   "5e-324",
                                                   "18446744073709551616",
                                                   "9007199254740993",
                                                   "0.5",
                                                   "null",
                                                   "true",
                                                   "[]",
                                                   "{}",
                                                   "\"\"",
                                                   "\"q4_K\"",
                                                   "\"\\u001b[2J\"",
                                                   "\"\\ud800\"",
                                                   "\xff",
                                                   "\0"sv,
                                                   "[[[[[[[[",
                                                   "}",
                                                   ",",
                                                   "\"layers\":0,",
                                                   "\"blk.0.attn\""};
    for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
        const std::size_t at = random() % (text.size() + 1);
        const std::size_t length = std::min<std::size_t>(random() % 12, text.size() - at);
        const std::string_view piece = kPieces[random() % std::size(kPieces)];
        // The value or name that stands at or after this place, so that most mutants are JSON still.
        const std::size_t value = text.find_first_of("0123456789-\"[{", at);
        const std::size_t end = value == std::string::npos ? value : text.find_first_of(",}]:\n", value + 1);
        switch (random() % 6) {
            case 0: text.erase(at, length); break;
            case 1: text.insert(at, piece); break;
            case 2: text.insert(at, text.substr(random() % (text.size() + 1), length)); break;
            case 3:
                if (at < text.size()) text[at] = static_cast<char>(random());
                break;
            default:
                if (end != std::string::npos) text.replace(value, end - value, piece);
        }
    }
    return text;
}

/// Counts the mutants of `document` that `accepts` takes. An error is one printable line.
std::size_t accepted(const std::string& document, std::uint64_t seed,
                     const std::function<Result<>(const std::string& text)>& accepts)
{
    std::mt19937_64 random(seed);
    std::size_t count = 0;
    for (std::size_t m = 0; m < kMutants; ++m) {
        const std::string text = mutated(document, random);
        const auto result = accepts(text);
        if (result) ++count;
        if (result || is_printable(result.error().message)) continue;
        INFO(text);
        FAIL_CHECK(result.error().message);
    }
    return count;
}

template <typename T>
Result<> without_value(const Result<T>& result)
{
    return result ? Result<>() : std::unexpected(result.error());
}

void add_type(Profile& profile, std::string type, double bits, double latency, double perplexity, double kld)
{
    const Sampled sampled{latency, latency * 0.9, latency * 1.1, 0.5, {latency * 0.9, latency * 1.1}};
    profile.device.models.push_back({.name = type, .speed = {.latency_ms = sampled, .prompt_tokens_per_second = {}}});
    profile.model.types.push_back({.type = std::move(type),
                                   .bits_per_weight = bits,
                                   .memory_bytes = static_cast<std::uint64_t>(bits * 1000),
                                   .quality = {.perplexity = perplexity, .kld = kld, .tokens = 9, .kld_tokens = 9},
                                   .fallbacks = {}});
}

Profile plausible_profile()
{
    Profile profile{.model = {.model = "m", .layers = 4, .embedding_type = "q6_K", .types = {}}, .device = {.models = {}}};
    add_type(profile, "q3_K", 3.4375, 10, 8, 0.2);
    add_type(profile, "q4_K", 4.5, 12, 7, 0.05);
    TimedModel mix{.name = "mix", .speed = profile.device.models.front().speed};
    for (std::size_t l = 0; l < 4; ++l) mix.allocation.push_back({layer_name(l), l < 2 ? "q3_K" : "q4_K"});
    profile.device.models.push_back(std::move(mix));
    return profile;
}

Sensitivity plausible_sensitivity()
{
    Sensitivity made{.model = "m",
                     .fixed_bytes = 100,
                     .kv_bytes_per_token = 4,
                     .types = {"q3_K", "q4_K", "q6_K"},
                     .groups = {},
                     .separability = {}};
    const auto add = [&](std::string name, std::string layer, std::string part, std::string fixed_type) {
        made.groups.push_back({.group = std::move(name),
                               .layer = std::move(layer),
                               .part = std::move(part),
                               .parameters = 250,
                               .fixed_type = std::move(fixed_type),
                               .probes = {{.memory_bytes = 110, .measured = true, .kld = 0.05, .tokens = 9},
                                          {.memory_bytes = 140, .measured = true, .kld = 0.01, .tokens = 9},
                                          {.memory_bytes = 200, .measured = true, .kld = 0.001, .tokens = 9}}});
    };
    for (std::size_t l = 0; l < 4; ++l) add(layer_name(l), layer_name(l), l % 2 == 0 ? "attn" : "ffn", "");
    add("embedding", "", "embedding", "q6_K");
    return made;
}

Scores plausible_scores()
{
    Scores scores{.model = "m", .layers = {}};
    for (std::size_t l = 0; l < 4; ++l) scores.layers.push_back({.layer = layer_name(l), .score = static_cast<double>(l)});
    return scores;
}

PlanRequest equal(bool mix_embedding = false, const Limits& limits = {})
{
    return {.weights = *parse_weights("1,1,1"), .limits = limits, .mix_embedding = mix_embedding, .runners_up = 1};
}

/// What planning needs of a plan, and what writes it.
Result<> use(const Result<Plan>& plan)
{
    if (!plan) return std::unexpected(plan.error());
    if (const auto patterns = tensor_type_file(*plan)) CHECK(!patterns->empty());
    return without_value(parse_plan(to_json(*plan)));
}

TEST_CASE("damaged profiles and scores are refused, or planned with", "[records]")
{
    const std::size_t profiles = accepted(to_json(plausible_profile()), 1, [](const std::string& text) {
        const auto profile = parse_profile(text);
        if (!profile) return without_value(profile);
        if (const auto front = make_front_plan(*profile, plausible_sensitivity(), equal(true)); front) CHECK(use(front));
        return use(make_plan(*profile, plausible_scores(), equal()));
    });
    const std::size_t scores = accepted(to_json(plausible_scores()), 2, [](const std::string& text) {
        const auto scored = parse_scores(text);
        return scored ? use(make_plan(plausible_profile(), *scored, equal())) : without_value(scored);
    });
    CHECK(profiles > kMutants / 20);  // else nothing was tested
    CHECK(scores > kMutants / 20);
}

TEST_CASE("damaged sensitivities are refused, or planned with", "[records]")
{
    const std::size_t count = accepted(to_json(plausible_sensitivity()), 3, [](const std::string& text) -> Result<> {
        const auto sensitivity = parse_sensitivity(text);
        if (!sensitivity) return without_value(sensitivity);
        Sensitivity filled = *sensitivity;
        static_cast<void>(fill_in(filled));
        for (const bool embedding : {false, true}) {
            Limits limits{.context = {.tokens = 10, .cache_bytes = 40}};
            limits.most[kMemory] = 2000;
            limits.most[kDivergence] = 1;
            if (const auto plan = make_front_plan(plausible_profile(), *sensitivity, equal(embedding, limits)); plan)
                CHECK(use(plan));
        }
        return without_value(plan_front(plausible_profile(), *sensitivity, equal(true)));
    });
    CHECK(count > kMutants / 20);
}

TEST_CASE("damaged plans are refused, or weighed for a model", "[records]")
{
    const TempDir folder;
    const auto inventory = read_inventory(make_tiny_model(folder / "", {}));
    REQUIRE(inventory);
    const auto plan = make_plan(plausible_profile(), plausible_scores(), equal());
    REQUIRE(plan);
    Plan ours = *plan;
    ours.model = "";
    REQUIRE(quantized_bytes(*inventory, ours));
    const std::size_t count = accepted(to_json(ours), 4, [&](const std::string& text) {
        const auto read = parse_plan(text);
        return read ? without_value(quantized_bytes(*inventory, *read)) : without_value(read);
    });
    CHECK(count > kMutants / 20);
}

TEST_CASE("damaged results are refused, or written again", "[records]")
{
    RandomRecords random(5);
    const Profile profile = random.profile(3);
    const Scores scores = random.scores(3);
    const auto rewritten = [](const auto& record) {
        if (record) CHECK(!to_json(*record).empty());
        return without_value(record);
    };
    std::size_t count =
        accepted(to_json(random.run(profile)), 5, [&](const std::string& text) { return rewritten(parse_run(text)); });
    count += accepted(to_json(random.evaluation(profile, scores)), 6,
                      [&](const std::string& text) { return rewritten(parse_evaluation(text, profile, scores)); });
    count += accepted(to_json(random.quality()), 7, [&](const std::string& text) { return rewritten(parse_quality(text)); });
    count += accepted(to_json(std::vector{random.speed()}), 8,
                      [&](const std::string& text) { return rewritten(parse_speeds(text)); });
    count += accepted(prompts_jsonl({"a", "b\n\"c\""}) + "{\"turns\": [\"x\"]}\nline\n", 9,
                      [](const std::string& text) { return without_value(parse_prompts(text)); });
    CHECK(count > kMutants / 4);
}

}  // namespace
}  // namespace apreqel
