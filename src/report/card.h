// What goes with a model file that is to be used and published: its card, and the file by which Ollama takes it up.
#pragma once

#include <apreqel/layout.h>
#include <apreqel/measurement.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// What was measured of the file, beside others.
struct CardMeasurements {
    std::vector<Measurement> models;  ///< the file's is `mix`
    std::string mix;                  ///< name of its measurement
    std::string device;
    std::string text;
    std::string because;  ///< why this one was chosen; may be empty
};

/// What a card states. All texts may be anything: they are made safe where they are written. Empty: not stated.
struct Card {
    std::string file;  ///< name of the GGUF
    std::string model;
    std::string architecture;
    std::string repository;                ///< of the model that was quantized, as OWNER/NAME
    std::vector<std::string> base_models;  ///< what that was made from, the same
    std::string license;
    std::string license_name;
    std::string license_link;
    std::vector<std::string> languages;
    std::uint64_t parameters = 0;
    std::uint64_t file_bytes = 0;
    double bits_per_weight = 0;
    std::string importance;     ///< the importance matrix, where one was used
    std::string calibration{};  ///< what weights were rounded with error feedback on, where they were
    std::string embedding_type;
    std::vector<GroupType> allocation;
    std::vector<Fallback> fallbacks;
    std::optional<CardMeasurements> measured;
    std::string version;               ///< of the program
    std::vector<std::string> command;  ///< that made the file
    bool has_chat_template = false;
    std::string modelfile;               ///< name of the Modelfile beside it
    std::optional<CacheChoice> cache{};  ///< that the file was planned with
    std::uint64_t context = 0;           ///< tokens of it
};

/// The card in Markdown, with the front matter that Hugging Face reads.
[[nodiscard]] std::string format_card(const Card& card);

/// The Modelfile of the GGUF that lies at `path`, as seen from it, with / between folders.
/// Error: the path has a character that a Modelfile cannot have.
[[nodiscard]] Result<std::string> format_modelfile(std::string_view path, bool has_chat_template);

/// An argument as a POSIX shell reads it: quoted where that is needed.
[[nodiscard]] std::string shell_word(std::string_view argument);

}  // namespace apreqel
