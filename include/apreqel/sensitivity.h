// How much each group of tensors suffers from each type: measured, one group at a time.
#pragma once

#include <apreqel/error.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// One group of tensors in one type while all others stay in full precision.
struct Probe {
    std::uint64_t memory_bytes = 0;  ///< of the group in this type, exact, fallbacks included; 0: it is no candidate
    bool measured = false;           ///< false: `kld` is filled in from the group's or the type's other probes
    double kld = 0;                  ///< mean KL divergence to the full-precision model, nats per token
    double kld_error = 0;            ///< standard error; of what is measured only
    std::uint64_t tokens = 0;
    double squared_error = 0;  ///< Σ‖W − Ŵ‖² / Σ‖W‖² over the group's weights
    /// The same with each column weighted by its importance, where it has one; and where columns are known to feel each other's
    /// errors, as the share of what the weights put out that changes. 0: not known.
    double weighted_error = 0;
};

/// What one group suffers from each type.
struct GroupSensitivity {
    std::string group;             ///< "blk.3.attn", "blk.3.ffn_gate+ffn_up", "embedding"
    std::string layer;             ///< the layer it is part of: "blk.3.ffn"; empty outside the layers
    std::string part;              ///< where it does its work: see Group::part
    std::uint64_t parameters = 0;  ///< weights that take the group's type
    std::string fixed_type{};      ///< what it has in every uniform variant, and in a plan unless that frees it; empty: any
    std::vector<Probe> probes;     ///< one for each of Sensitivity::types
};

/// How well filling in holds, where measurements can tell: measured ÷ filled in, leaving the probe out, or all that were held
/// out for this.
struct Separability {
    std::size_t pairs = 0;
    double median_factor = 1;  ///< of max(ratio, 1 / ratio)
    double worst_factor = 1;
};

struct Sensitivity {
    std::string model;  ///< fingerprint
    std::string model_name;
    std::string text;
    std::string version;
    std::uint64_t fixed_bytes = 0;         ///< of all tensors in no group: norms, biases
    std::uint64_t kv_bytes_per_token = 0;  ///< of an f16 KV cache; 0: not known
    double noise_floor = 0;                ///< KL divergence of a probe that changes nothing
    std::string form;                      ///< full-precision type of the weights that the probes ran with: "bf16"
    std::uint64_t tokens = 0;              ///< that went through the model for all that is measured
    std::vector<std::string> types;        ///< the columns of all probes, fixed types among them
    std::vector<GroupSensitivity> groups;
    Separability separability;
};

/// A group in a type: places in Sensitivity::groups and Sensitivity::types.
struct Cell {
    std::size_t group;
    std::size_t type;
    auto operator<=>(const Cell&) const = default;
};

/// Fills in the probes that were not measured. The KL divergence of a group grows with its weighted error, or its squared error
/// where the other is not known everywhere: what is missing has the factor of the group's nearest probe in error, or one
/// between those of the two that it lies between, so that one type tells of another. A group without any measurement takes the
/// median factor of the others. Sets `separability`, leaving out each measured probe of a group in turn. Error: nothing is measured.
[[nodiscard]] Result<> fill_in(Sensitivity& sensitivity);

/// Measured ÷ filled in for those of `held` that are measured, where only those of `known` are used to fill in.
[[nodiscard]] Separability held_out(const Sensitivity& sensitivity, std::span<const Cell> known, std::span<const Cell> held);

/// Those of `cells` whose measured KL divergence is more than `factor` times what their surroundings make of their error, or
/// less than its inverse; the farthest first. The surroundings are those of `cells` in the next two groups of the same kind to
/// either side, such as the FFNs around an FFN; where these are fewer than three, nothing is said of it.
[[nodiscard]] std::vector<Cell> outliers(const Sensitivity& sensitivity, std::span<const Cell> cells, double factor);

}  // namespace apreqel
