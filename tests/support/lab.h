// A tiny model in a world without libllama, and what can befall a verb there.
#pragma once

#include "study/study.h"
#include "support/fake_runtime.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace apreqel {

/// In memory, where there is such a folder: thousands of small files are synced.
[[nodiscard]] inline std::filesystem::path fast_folder()
{
    const std::filesystem::path memory = "/dev/shm";
    return std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
}

/// A model of two blocks, a runtime, and workspaces as many as wanted.
struct Lab {
    /// `texts`: all texts are given; else they are sampled.
    explicit Lab(bool texts = true);

    /// A study as a process that starts has it, in the workspace of that name.
    [[nodiscard]] Study study(const std::string& workspace = "workspace");

    TempDir folder{fast_folder()};
    std::filesystem::path model = make_tiny_model(
        folder.path(), {.blocks = 2, .width = 32, .ffn = 64, .vocabulary = 64, .type = 0, .file = "model.gguf"});
    StudySettings settings{};
    std::shared_ptr<FakeRuntime> runtime = std::make_shared<FakeRuntime>();
    FakeMonitor monitor{*runtime};
};

inline constexpr SenseSettings kProbing{.thorough = true, .chunks = 2};

[[nodiscard]] PlanRequest front_request();

/// A verb: what it gives, as text. What it writes for the user goes into the folder.
using Verb = std::function<Result<std::string>(const Study& study, const std::filesystem::path& folder)>;

Result<std::string> as_text(const auto& result)
{
    if (!result) return std::unexpected(result.error());
    return to_json(*result);
}

/// How often each kind of call succeeded that takes long.
using Work = std::map<std::string, std::size_t>;
[[nodiscard]] Work work_of(const FakeRuntime& runtime);

/// A verb that something befell, and then once more in the same workspace.
struct Interrupted {
    Result<std::string> first;
    Work first_work;
    std::string second;
    Work second_work;
};

/// `befall` says what. Checks that no file is there half written afterwards, and that no mix stays. The workspace is `name`.
[[nodiscard]] Interrupted interrupt(Lab& lab, const Verb& verb, const std::string& name, const std::function<void()>& befall);

/// A verb that nothing befalls, in a workspace of its own.
struct Whole {
    std::string result;
    Work work;
    std::vector<std::size_t> calls;  ///< the places of all calls, from 1 on, but for a repetition of the one before
    std::size_t asked;               ///< how often it asked whether to stop
};

[[nodiscard]] Whole make_whole(Lab& lab, const Verb& verb);

}  // namespace apreqel
