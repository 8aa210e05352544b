#include "cli/generate.h"

#include "base/file.h"
#include "cli/verbs.h"
#include "support/temp_dir.h"
#include "support/tool.h"

#include <algorithm>
#include <vector>

namespace apreqel {
namespace {

/// The program as it describes itself.
struct Described {
    CLI::App app;
    Action chosen;
    Described() { add_verbs(app, chosen); }

    std::vector<const CLI::App*> verbs() const
    {
        return static_cast<const CLI::App&>(app).get_subcommands(
            [](const CLI::App* verb) { return !verb->get_group().empty(); });
    }
};

/// The line of `text` that begins with `begin`.
std::string line_of(const std::string& text, const std::string& begin)
{
    const std::size_t at = ("\n" + text).find("\n" + begin);
    return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

TEST_CASE("every verb and flag says what it is, and appears in manual and completions", "[cli]")
{
    const Described described;
    const std::string man = man_page(described.app);
    const std::string bash = bash_completion(described.app);
    const std::string zsh = zsh_completion(described.app);
    const std::string fish = fish_completion(described.app);
    CHECK(described.verbs().size() == 13);
    for (const CLI::App* verb : described.verbs()) {
        const std::string name = verb->get_name();
        INFO(name);
        CHECK(!verb->get_description().empty());
        CHECK(verb->get_footer().contains("apreqel " + name + " "));
        CHECK(man.contains("\n.SS apreqel " + name));
        CHECK(zsh.contains("'" + name + ":"));
        CHECK(!line_of(fish, "complete -c apreqel -f -n __fish_use_subcommand -a " + name + " ").empty());
        const std::string flags = line_of(bash, "        " + name + ") ");
        const std::size_t section = man.find("\n.SS apreqel " + name);
        const std::string manual = man.substr(section, man.find("\n.S", section + 1) - section);
        const std::size_t branch = zsh.find("                " + name + ") ");
        const std::string zsh_flags = zsh.substr(branch, zsh.find(";;", branch) - branch);
        for (const CLI::Option* option : verb->get_options()) {
            if (option->get_group().empty()) continue;
            INFO(option->get_name());
            CHECK(!option->get_description().empty());
            for (const std::string& flag : option->get_lnames()) {
                CHECK((flags + " ").find("--" + flag) != std::string::npos);
                std::string in_roff;
                for (const char c : flag) in_roff += c == '-' ? "\\-" : std::string(1, c);
                CHECK(manual.contains("\\fB\\-\\-" + in_roff + "\\fR"));
                CHECK(zsh_flags.contains("--" + flag));
                CHECK(fish.contains("__fish_seen_subcommand_from " + name + "'"));
                CHECK(fish.contains(" -l " + flag + " "));
            }
        }
    }
    CHECK(!man.contains("apreqel generate"));
    for (const std::string* completion : {&bash, &zsh, &fish}) {
        CHECK(!completion->contains("generate man"));
        CHECK(completion->contains("paper front"));
    }
}

TEST_CASE("bash completes verbs, flags and values", "[cli]")
{
    APREQEL_NEEDS_TOOL("bash");
    const TempDir folder;
    const Described described;
    const std::string script = R"(
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _apreqel; echo "${COMPREPLY[*]}"; }
complete_words apreqel qu
complete_words apreqel run model.gguf --max-l
complete_words apreqel run model.gguf --method ''
complete_words apreqel -q plan -w l
complete_words apreqel sense model.gguf --imatrix a
complete_words apreqel run mod
)";
    REQUIRE(write_text(folder / "completion", bash_completion(described.app)));
    REQUIRE(write_text(folder / "try", ". ./completion\n" + script));
    REQUIRE(std::system(std::format("cd {} && bash try >out 2>err", folder.path().string()).c_str()) == 0);
    CHECK(read_text(folder / "err") == "");
    CHECK(read_text(folder / "out") == "quantize\n--max-latency\npaper front\nlatency\nauto\n\n");
}

TEST_CASE("groff formats the manual without a warning", "[cli]")
{
    APREQEL_NEEDS_TOOL("groff");
    const TempDir folder;
    const Described described;
    REQUIRE(write_text(folder / "apreqel.1", man_page(described.app)));
    REQUIRE(std::system(
                std::format("cd {} && groff -k -man -Tutf8 -ww apreqel.1 >out 2>err", folder.path().string()).c_str()) == 0);
    CHECK(read_text(folder / "err") == "");
    CHECK(read_text(folder / "out").value().contains("apreqel imatrix MODEL"));
}

TEST_CASE("the other shells read their completions", "[cli]")
{
    const TempDir folder;
    const Described described;
    REQUIRE(write_text(folder / "zsh", zsh_completion(described.app)));
    REQUIRE(write_text(folder / "fish", fish_completion(described.app)));
    int tried = 0;
    for (const std::string shell : {"zsh", "fish"}) {
        if (!have_tool(shell)) continue;
        ++tried;
        CHECK(run_tool(std::format("{} -n {}", shell, (folder / shell).string())));
    }
    if (tried == 0) SKIP("neither zsh nor fish is installed");
}

}  // namespace
}  // namespace apreqel
