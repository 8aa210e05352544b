// What a model will cost, predicted from what was measured, for every way to give types to its groups.
#pragma once

#include <apreqel/front.h>
#include <apreqel/plan.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace apreqel {

/// ln perplexity = intercept + slope · KL divergence, through everything that was measured whole.
struct PerplexityLine {
    double intercept = 0;  ///< kUnknown if nothing was
    double slope = 0;
    double reference = 0;  ///< the full-precision model's perplexity, measured or where the line says; kUnknown as above

    [[nodiscard]] double at(double kld) const;
    [[nodiscard]] double increase(double kld) const;  ///< over the reference, as a share; known in any case
};

struct Prediction {
    Objectives objectives;
    std::vector<std::string> types;                  ///< those that profile and sensitivity share
    std::vector<const GroupSensitivity*> groups;     ///< that are free to choose
    std::vector<std::vector<std::uint8_t>> choices;  ///< of each group: which of `types` it can have
    /// The keys and the values of the KV cache, where their types are chosen too: groups of `costs` behind `groups`, which can have
    /// all of their types.
    std::vector<const std::vector<CacheCost>*> caches;
    AdditiveCosts costs;               ///< columns: `objectives`; a group's types: its `choices`
    std::vector<std::size_t> counted;  ///< criteria that are exact, whether anything is searched by them or not
    AdditiveCosts bytes;               ///< the same by these
    PerplexityLine perplexity;
    double latency_error =
        0;  ///< largest relative error of a measured latency that was left out of its prediction; 0: not known
};

/// Memory is exact, times and KL divergence are sums over groups. `measured`: mixes that were built and measured. The profile's
/// types may be of unknown quality (perplexity 0): divergences are then those of the probes.
/// Errors: profile and sensitivity do not belong together; something measured is not there.
[[nodiscard]] Result<Prediction> predict(const Profile& profile, const Sensitivity& sensitivity, const PlanRequest& request,
                                         std::span<const MixedModel> measured);

/// The type of each group, as an index into Prediction::types.
[[nodiscard]] std::vector<std::uint8_t> types_of(const Prediction& prediction, const FrontPoint& point);

/// The KV cache, where its types are chosen too.
[[nodiscard]] std::optional<CacheChoice> cache_of(const Prediction& prediction, const FrontPoint& point);

[[nodiscard]] Candidate candidate_of(const Prediction& prediction, const FrontPoint& point);

}  // namespace apreqel
