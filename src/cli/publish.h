// What goes with a model file that was made: a name by convention, a model card, a Modelfile for Ollama, a layout.
#pragma once

#include "cli/flags.h"
#include "records/format.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace apreqel {

/// Files to write beside the output; empty: not.
struct Publishing {
    std::filesystem::path card;
    std::filesystem::path modelfile;
    std::filesystem::path layout;
};

void add_publishing(CLI::App& verb, Publishing& publishing);  ///< --card, --modelfile
void add_layout(CLI::App& verb, std::filesystem::path& layout);

/// The command line of this process, as the card states it; `main` sets it.
[[nodiscard]] std::vector<std::string>& command_line();

/// Whether `output` is a folder, in which the file gets its name by convention: NAME-APQ-4.6bpw.gguf.
[[nodiscard]] bool names_folder(const std::filesystem::path& output);

/// Where a file of `bits` bits per weight goes that is made of the model: flags.output, or a name by convention in it. `bits` of 0: not
/// known yet, NAME-APQ.gguf. Makes the folder. Error: what check_output says of it, or of what is to be written beside it.
[[nodiscard]] Result<std::filesystem::path> place_output(const Flags& flags, const Publishing& publishing, double bits,
                                                         const std::vector<std::filesystem::path>& inputs);

/// Writes what goes with the file that `quantize` wrote.
[[nodiscard]] Result<> publish(const Flags& flags, const Publishing& publishing, const Inventory& inventory, const Plan& plan,
                               std::span<const Variant> foreign, const std::filesystem::path& output);

/// The same for `run`. Where --output is a folder, the file first gets its name, with a number where that is taken and --force is not
/// given; `output` and the name in the result and in run.json become that.
[[nodiscard]] Result<> publish(const Flags& flags, const Publishing& publishing, const Study& study, RunResult& result,
                               std::filesystem::path& output);

}  // namespace apreqel
