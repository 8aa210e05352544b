// Records as JSON. docs/formats.md is the contract; what is read is untrusted.
#pragma once

#include <apreqel/error.h>
#include <apreqel/evaluation.h>
#include <apreqel/layout.h>
#include <apreqel/measurement.h>
#include <apreqel/plan.h>
#include <apreqel/sensitivity.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// A document of the record's schema, indented, with a line break at its end. `key`: what the record depends on, for
/// `read_key`; empty: none.
[[nodiscard]] std::string to_json(const Scores& scores, std::string_view key = {});
/// Both profiles in one document, as people and other tools write it.
[[nodiscard]] std::string to_json(const Profile& profile);
[[nodiscard]] std::string to_json(const ModelProfile& profile, std::string_view key = {});
[[nodiscard]] std::string to_json(const DeviceProfile& profile, std::string_view key = {});
[[nodiscard]] std::string to_json(const CacheProfile& cache, std::string_view key = {});
[[nodiscard]] std::string to_json(const Sensitivity& sensitivity, std::string_view key = {});
[[nodiscard]] std::string to_json(const Plan& plan);
[[nodiscard]] std::string to_json(const Layout& layout);
[[nodiscard]] std::string to_json(const std::vector<Measurement>& measurements, const std::string& device,
                                  const std::string& text);
[[nodiscard]] std::string to_json(const Evaluation& evaluation);

/// The part of a measurement that is a property of the model, and the part that is one of the device.
[[nodiscard]] std::string to_json(const Quality& quality);
[[nodiscard]] std::string to_json(const std::vector<Speed>& speeds);

/// Records from text. Errors name field and cause, in one printable line: not JSON, not this schema, nested too deep, a field
/// missing, there twice, of another type or out of range, lists that do not fit each other. In texts for people, U+FFFD
/// stands for control characters; names with any are refused.
[[nodiscard]] Result<Scores> parse_scores(std::string_view text);
[[nodiscard]] Result<Profile> parse_profile(std::string_view text);
[[nodiscard]] Result<ModelProfile> parse_model_profile(std::string_view text);
[[nodiscard]] Result<DeviceProfile> parse_device_profile(std::string_view text);
[[nodiscard]] Result<CacheProfile> parse_cache_profile(std::string_view text);
[[nodiscard]] Result<Sensitivity> parse_sensitivity(std::string_view text);
/// Only the allocation is required; the rest is filled as far as the document has it.
[[nodiscard]] Result<Plan> parse_plan(std::string_view text);
[[nodiscard]] Result<Layout> parse_layout(std::string_view text);
/// `profile` and `scores`: those of the same model; the study's types are the profile's.
[[nodiscard]] Result<Evaluation> parse_evaluation(std::string_view text, const Profile& profile, const Scores& scores);
[[nodiscard]] Result<Quality> parse_quality(std::string_view text);
[[nodiscard]] Result<std::vector<Speed>> parse_speeds(std::string_view text);

/// The same from files. Errors name the file too.
[[nodiscard]] Result<Scores> read_scores(const std::filesystem::path& path);
[[nodiscard]] Result<Profile> read_profile(const std::filesystem::path& path);
[[nodiscard]] Result<ModelProfile> read_model_profile(const std::filesystem::path& path);
[[nodiscard]] Result<DeviceProfile> read_device_profile(const std::filesystem::path& path);
[[nodiscard]] Result<CacheProfile> read_cache_profile(const std::filesystem::path& path);
[[nodiscard]] Result<Sensitivity> read_sensitivity(const std::filesystem::path& path);
[[nodiscard]] Result<Plan> read_plan(const std::filesystem::path& path);
[[nodiscard]] Result<Layout> read_layout(const std::filesystem::path& path);
[[nodiscard]] Result<Evaluation> read_evaluation(const std::filesystem::path& path, const Profile& profile,
                                                 const Scores& scores);
[[nodiscard]] Result<Quality> read_quality(const std::filesystem::path& path);
[[nodiscard]] Result<std::vector<Speed>> read_speeds(const std::filesystem::path& path);

/// The `schema` of a document, or empty.
[[nodiscard]] std::string read_schema(const std::filesystem::path& path);

/// The `key` a document was written with, or empty.
[[nodiscard]] std::string read_key(const std::filesystem::path& path);

}  // namespace apreqel
