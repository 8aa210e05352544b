// The ways to quantize a model that a plan chooses from.
#pragma once

#include <apreqel/inventory.h>

#include <filesystem>
#include <memory>
#include <string>

namespace apreqel {

/// Follows the name of a type that is quantized with the importance matrix: "q4_K+imatrix".
inline constexpr std::string_view kWithImportance = "+imatrix";

/// Follows the name of a type whose weights are rounded with error feedback: "q4_K+gptq". Where a tensor has no Hessian, it is as
/// with the importance matrix.
inline constexpr std::string_view kWithFeedback = "+gptq";

/// Begins the name of the type that a rival's file lends: "as-Q4_K_M".
inline constexpr std::string_view kLent = "as-";

/// One way to store the weights of a layer. Its name stands for it in profiles, sensitivities and plans.
struct Variant {
    std::string name;                          ///< "q4_K", "q4_K+imatrix", kSource, or the user's own for a file made elsewhere
    QuantType type{};                          ///< of every tensor; of a file made elsewhere, whatever it has
    bool importance = false;                   ///< quantized with the model's importance matrix
    bool feedback = false;                     ///< rounded with error feedback; a file made elsewhere then lends its types
    std::shared_ptr<const Inventory> foreign;  ///< a file made elsewhere from the same model
    bool as_it_is = false;                     ///< every tensor as it is in the model's own file; kSource

    Variant() = default;
    /// NOLINTNEXTLINE(google-explicit-constructor): a type is the usual variant
    Variant(QuantType of, bool with_importance = false)
        : name(type_name(of) + std::string(with_importance ? kWithImportance : "")), type(of), importance(with_importance)
    {
    }
    /// The same type with error feedback.
    [[nodiscard]] static Variant with_feedback(QuantType of, bool with_importance);
    bool operator==(const Variant& other) const { return name == other.name; }
};

/// kSource, "q4_K", "q4_K+imatrix" or "q4_K+gptq". Errors: no such type; not a target of quantization; importance without a matrix to take it from.
[[nodiscard]] Result<Variant> parse_variant(std::string_view name, bool has_importance);

/// What embedding and output tensors are to be: kSource, or any type there is.
[[nodiscard]] Result<Variant> parse_embedding_type(std::string_view name);

/// True if `variant` is but another name for the group as it is (asked of what is stored: see assign_types) in a model that is quantized already.
[[nodiscard]] bool keeps(const Inventory& inventory, const Group& group, const Variant& variant);

/// True if it is that for all layers, embedding and output.
[[nodiscard]] bool keeps(const Inventory& inventory, const Variant& variant);

/// The GGUF at `path`, made elsewhere from `source`, as a variant.
/// Errors: the name is a type's; another architecture; a tensor missing, of another shape or of a type libggml cannot read
/// back; a norm or bias that differs, so that its layers do not fit among those of `source`; bytes that are not those that were
/// written, where it is a file of this program, or else weights that are not finite: the whole file is read for that.
[[nodiscard]] Result<Variant> read_foreign_variant(std::string name, const std::filesystem::path& path,
                                                   const Inventory& source);

}  // namespace apreqel
