#include <apreqel/quant_type.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace apreqel;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("types are found by name in any letter case", "[gguf]")
{
    CHECK(type_name(parse_type("q4_K").value()) == "q4_K");
    CHECK(parse_type("Q4_k").value() == parse_type("q4_K").value());
    CHECK(parse_type("IQ4_XS").value() == parse_type("iq4_xs").value());
    for (const char* wrong : {"", "q4_K_M", "q4", "DEPRECATED", "type 4"}) {
        CAPTURE(wrong);
        REQUIRE_FALSE(parse_type(wrong));
        CHECK(parse_type(wrong).error().code == ErrorCode::usage);
        CHECK_THAT(parse_type(wrong).error().message, ContainsSubstring("q4_K"));
    }
}

TEST_CASE("bits per weight are those of the paper's types", "[gguf]")
{
    CHECK(bits_per_weight(parse_type("q3_K").value()) == 3.4375);
    CHECK(bits_per_weight(parse_type("q4_K").value()) == 4.5);
    CHECK(bits_per_weight(parse_type("q5_K").value()) == 5.5);
    CHECK(bits_per_weight(parse_type("q6_K").value()) == 6.5625);
    CHECK(bits_per_weight(parse_type("q8_0").value()) == 8.5);
    CHECK(bits_per_weight(parse_type("f16").value()) == 16);
    CHECK(block_size(parse_type("q4_K").value()) == 256);
    CHECK(row_bytes(parse_type("q8_0").value(), 64) == 68);
}

TEST_CASE("a target is a quantized type that can be made without an importance matrix", "[gguf]")
{
    for (const char* good :
         {"q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "iq4_xs", "iq3_s"}) {
        CAPTURE(good);
        CHECK(check_target_type(parse_type(good).value()));
    }
    for (const char* bad : {"f32", "f16", "bf16", "i8", "i32", "f64", "q8_1", "q8_K", "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs",
                            "iq2_s", "iq3_xxs"}) {
        CAPTURE(bad);
        REQUIRE_FALSE(check_target_type(parse_type(bad).value()));
        CHECK(check_target_type(parse_type(bad).value()).error().code == ErrorCode::usage);
    }
    CHECK_FALSE(check_target_type(QuantType{4}));
    CHECK_FALSE(check_target_type(QuantType{-1}));
    CHECK_FALSE(check_target_type(QuantType{1000}));
    CHECK(is_full_precision(parse_type("bf16").value()));
    CHECK_FALSE(is_full_precision(parse_type("q8_0").value()));
    CHECK_FALSE(is_quantized(parse_type("f16").value()));
}
