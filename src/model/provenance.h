// What a model file says of where it is from and under which licence: for the name and the card of what is made from it.
#pragma once

#include <apreqel/error.h>

#include <filesystem>
#include <string>
#include <vector>

namespace apreqel {

/// From the metadata general.*; empty: not stated. Texts are as they are in the file, whatever that is.
struct Provenance {
    std::string name{};
    std::string basename{};
    std::string finetune{};
    std::string version{};
    std::string size_label{};
    std::string license{};
    std::string license_name{};
    std::string license_link{};
    std::string repository{};                      ///< OWNER/NAME on Hugging Face, of the model itself
    std::vector<std::string> base_repositories{};  ///< the same of the models that it was made from
    std::vector<std::string> languages{};
    bool has_chat_template = false;
};

/// Errors: not a GGUF, damaged.
[[nodiscard]] Result<Provenance> read_provenance(const std::filesystem::path& path);

/// "SmolLM2-135M-Instruct": the name of the model as the naming convention of GGUF files has it, of letters, digits and . _ - only.
/// Where the file says neither basename nor name, its own name serves, without the type that it may end in.
[[nodiscard]] std::string file_stem_of(const Provenance& provenance, const std::filesystem::path& path);

}  // namespace apreqel
