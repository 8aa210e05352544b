#include "report/tables.h"
#include "report/table.h"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <ranges>

namespace apreqel {
namespace {

TEST_CASE("tables are aligned by characters, not bytes", "[report]")
{
    CHECK(format_table({{"a", "b"}, {"± 1", "22"}, {"x", "3"}}) == "a     b\n± 1  22\nx     3\n");
}

TEST_CASE("what files say cannot break a Markdown table", "[report]")
{
    const std::string text = tables_markdown({{.title = "T", .rows = {{"name", "n"}, {"a|b<script>\nc", "1"}}, .note = "so"}});
    CHECK(text == "## T\n\n| name | n |\n|---|---:|\n| a\\|b\\<script> c | 1 |\n\nso.\n");
}

TEST_CASE("an interval is printed with what it covers", "[report]")
{
    Measurement model{.name = "q4_K", .memory_bytes = 1024};
    model.speed.latency_ms = {.median = 0.2, .low = 0.19, .high = 0.21, .confidence = 0.5, .samples = {0.19, 0.21}};
    CHECK(measurement_row(model)[3] == "0.200 [0.190, 0.210] 50.0 %");
    CHECK(!measurement_header("")[3].contains("95"));
}

Measurement measured(std::string name, std::uint64_t bytes, double latency, double kld)
{
    Measurement model{.name = std::move(name),
                      .memory_bytes = bytes,
                      .quality = {.perplexity = 20 + kld, .kld = kld, .tokens = 60, .kld_tokens = 60}};
    model.speed.latency_ms = {.median = latency, .low = latency, .high = latency, .samples = std::vector(6, latency)};
    for (int chunk = 0; chunk < 6; ++chunk) {
        model.quality.chunk_nll.push_back(30 + chunk % 2 + 10 * kld);
        model.quality.chunk_kld.push_back(10 * kld * (1 + chunk % 3));
    }
    return model;
}

/// Two uniform types, one setting, and two models beside rivals.
Evaluation evaluation_with_rivals()
{
    Evaluation evaluation;
    evaluation.reference = measured("full precision", 16 << 20, 4, 0);
    evaluation.uniform = {measured("q4_K", 4 << 20, 1, 0.04), measured("q8_0", 8 << 20, 2, 0.01)};
    for (const Measurement& uniform : evaluation.uniform) {
        evaluation.profile.model.types.push_back(
            {.type = uniform.name, .memory_bytes = uniform.memory_bytes, .quality = uniform.quality, .fallbacks = {}});
        evaluation.profile.device.models.push_back({.name = uniform.name, .speed = uniform.speed});
    }
    evaluation.models = {{.allocation = {}, .measurement = measured("mix 1", 4 << 20, 1, 0.03)},
                         {.allocation = {}, .measurement = measured("mix 2", 6 << 20, 1.5, 0.02)}};
    Plan plan{.types = {"q4_K", "q8_0"}};
    plan.ranking.best = {{.counts = {1, 0}, .estimate = metrics_of(evaluation.uniform.front())}};
    evaluation.settings = {{.category = "fairness", .plan = plan}};
    evaluation.orders = {{.order = "contribution", .models = {0}}};
    evaluation.sets = {{.name = "beside rivals",
                        .types = plan.types,
                        .candidates = {plan.chosen(), plan.chosen()},
                        .models = {0, 1},
                        .baseline = {},
                        .estimated_gain = {},
                        .rivals = {measured("Q4_K_M", 4 << 20, 1, 0.04), measured("mine, \"Q5\".gguf", 5 << 20, 2, 0.01)}}};
    return evaluation;
}

TEST_CASE("each rival stands beside ours, with ratios, their intervals, and what could not be had", "[report]")
{
    const auto tables = study_tables(evaluation_with_rivals());
    REQUIRE(tables);
    const auto table = std::ranges::find(*tables, "Beside each rival: no larger, no slower", &Table::title);
    REQUIRE(table != tables->end());
    REQUIRE(table->rows.size() == 3);
    CHECK(table->rows[1] == std::vector<std::string>{"Q4_K_M", "4.00 MiB", "1.000", "0.04000", "1.000", "1.000 [1.000, 1.000]",
                                                     "0.750 [0.750, 0.750]", "+0.0300 (+0.0400) ± 0.0000", "better"});
    CHECK(table->rows[2].front() == "mine, \"Q5\".gguf");
    CHECK(table->rows[2].back() == "larger, not closer to full precision");
    CHECK(table->note.contains("better in everything: 1 of 2"));
    CHECK(table->note.contains("1.225"));  // √(0.75 · 2)
    CHECK(tables->front().rows.back().front() == "the rivals");
}

TEST_CASE("every line of a study's CSV has as many fields, and what a model is called is one of them", "[report]")
{
    const std::string csv = measurements_csv(evaluation_with_rivals());
    std::vector<std::size_t> fields;
    for (const auto line : std::views::split(csv, '\n')) {
        if (line.empty()) continue;
        bool quoted = false;
        fields.push_back(1);
        for (const char c : line) {
            quoted ^= c == '"';
            fields.back() += c == ',' && !quoted ? 1 : 0;
        }
    }
    CHECK(fields == std::vector<std::size_t>(8, 26));  // the header, 2 uniform types, 1 setting, 2 models, 2 rivals
    CHECK(csv.contains("\"beside rivals\",,,,,mix 1,4194304,"));
    CHECK(csv.contains(",Q4_K_M,1,1,1,1,0.75,"));
    CHECK(csv.contains("rival,,,,,\"mine, \"\"Q5\"\".gguf\",5242880,"));
}

}  // namespace
}  // namespace apreqel
