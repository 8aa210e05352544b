// Records with random values, valid and hard to write: what reads them back must find the same.
#pragma once

#include "records/format.h"

#include <random>
#include <string>

namespace apreqel {

class RandomRecords {
public:
    explicit RandomRecords(std::uint64_t seed) : random_(seed) {}

    [[nodiscard]] Scores scores(std::size_t layers);
    [[nodiscard]] Profile profile(std::size_t layers);
    /// Of the types of `profile` and as many layers.
    [[nodiscard]] Sensitivity sensitivity(const Profile& profile);
    /// Not one that `profile` would give: every field has a value.
    [[nodiscard]] Plan plan(const Profile& profile);
    [[nodiscard]] Layout layout();
    [[nodiscard]] RunResult run(const Profile& profile);
    [[nodiscard]] Evaluation evaluation(const Profile& profile, const Scores& scores);
    [[nodiscard]] Quality quality();
    [[nodiscard]] Speed speed();

private:
    [[nodiscard]] std::size_t below(std::size_t end) { return random_() % end; }
    [[nodiscard]] double number();  ///< above 0, of any size that is read
    [[nodiscard]] std::uint64_t count() { return random_() >> (11 + below(53)); }
    [[nodiscard]] double share() { return std::uniform_real_distribution()(random_); }
    [[nodiscard]] std::string text();
    [[nodiscard]] Sampled sampled();
    [[nodiscard]] Measurement measurement(std::string name);
    [[nodiscard]] std::optional<CacheChoice> cache_choice();
    [[nodiscard]] std::vector<CacheCost> cache_part(std::uint64_t usual_bytes);
    [[nodiscard]] std::vector<GroupType> allocation(const Profile& profile);
    [[nodiscard]] MixedModel mixed(const Profile& profile);
    [[nodiscard]] Metrics metrics();
    [[nodiscard]] ContextMemory context();
    [[nodiscard]] std::vector<Fallback> fallbacks();
    [[nodiscard]] Candidate candidate(std::size_t types);

    std::mt19937_64 random_;
};

[[nodiscard]] std::string layer_name(std::size_t layer);

}  // namespace apreqel
