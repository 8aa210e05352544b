// A model loaded by libllama, and its tokenizer. llama.h stays behind this folder's .cpp files.
#pragma once

#include "runtime/settings.h"

#include <apreqel/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct llama_model;
struct llama_context;
struct llama_vocab;

namespace apreqel {

class Placement;

/// The number of threads `settings` stands for.
[[nodiscard]] unsigned thread_count(const RunSettings& settings);

/// The processor and accelerators libllama runs on, with the threads: "AMD EPYC (2 threads)".
[[nodiscard]] std::string device_name(const RunSettings& settings);

/// What tells this machine from any other, of the same processor too: systemd's identifier of the installation where there is
/// one, the number of processors, and of every device its backend, name and memory in GiB. Not for people, and not to be
/// published: see machine-id(5).
[[nodiscard]] std::string machine_identity(const std::filesystem::path& machine_id = "/etc/machine-id");

/// How many blocks go to which accelerators, as far as this machine has any, and what else is put elsewhere: other kernels round
/// otherwise.
[[nodiscard]] std::string offloading(const RunSettings& settings);

/// `report` is called with libggml's message when it is about to abort the program; it may end the program itself.
void on_abort(void (*report)(const char* message));

/// A GGUF model in memory, ready to run.
class LoadedModel {
public:
    /// Errors: libllama cannot load the file; its own last message is the cause.
    [[nodiscard]] static Result<LoadedModel> load(const std::filesystem::path& path, const RunSettings& settings,
                                                  WeightAccess access = WeightAccess::fixed);

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] const RunSettings& settings() const { return settings_; }
    [[nodiscard]] llama_model* get() const { return model_.get(); }
    [[nodiscard]] const llama_vocab* vocabulary() const;
    [[nodiscard]] std::size_t vocabulary_size() const;
    [[nodiscard]] std::size_t trained_context() const;
    /// The token every sequence begins with (BOS), or nothing where the model's tokenizer adds none.
    [[nodiscard]] std::vector<Token> opening() const;

    /// Text to tokens, with the special tokens the tokenizer adds, as llama-perplexity does it; `markup`: and with those that the
    /// text names.
    [[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view text, bool markup = false) const;

    /// Tokens to text, special tokens left out. Always valid UTF-8.
    [[nodiscard]] std::string detokenize(std::span<const Token> tokens) const;

private:
    struct Deleter {
        void operator()(llama_model* model) const;
    };

    std::filesystem::path path_;
    RunSettings settings_;
    std::shared_ptr<const Placement> placement_;  ///< outlives the model, which may point into it
    std::unique_ptr<llama_model, Deleter> model_;
};

}  // namespace apreqel
