// The models that people have without this program.
#pragma once

#include "study/study.h"

namespace apreqel {

/// A model to be better than.
struct Rival {
    Measurement measurement;      ///< memory and quality
    std::filesystem::path timed;  ///< what its speed is measured on beside shapes: the file, or its shape
};

/// Error: `what` is neither a file nor the name of a file type. Asked before long work begins.
[[nodiscard]] Result<> check_rival(const std::string& what);

/// The GGUF file `what`, or the study's model as llama.cpp quantizes it to the file type of that name, with the same importance
/// matrix as the study's types; of that, what was measured and its shape are kept in the workspace, and not the file.
/// Errors: also a file that is no quantization of this model.
[[nodiscard]] Result<Rival> open_rival(const Study& study, const std::string& what);

/// The files of rivals, to be timed beside the output. Those of file types are made where they are not there, and removed with this
/// object.
class RivalFiles {
public:
    RivalFiles(const Study& study, std::vector<std::string> rivals) : study_(study), rivals_(std::move(rivals)) {}
    RivalFiles(const RivalFiles&) = delete;
    RivalFiles& operator=(const RivalFiles&) = delete;
    ~RivalFiles();

    /// What each rival has, as one more type of every layer: "as-Q4_K_M". So every rival is itself among the plans, and what a
    /// few layers gain beside it is seldom lost in what is not known of the others. Left out are rivals that cannot be had, and files whose
    /// layers do not fit among the model's.
    [[nodiscard]] Result<std::vector<Variant>> types() const;

    /// Of those of the rivals that could be had.
    [[nodiscard]] Result<std::vector<std::filesystem::path>> make(const std::vector<std::string>& rivals) const;

private:
    const Study& study_;
    std::vector<std::string> rivals_;
};

}  // namespace apreqel
