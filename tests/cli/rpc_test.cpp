// Models that run on other machines: two servers on this one.
#include "runtime/rpc.h"

#include "base/file.h"
#include "records/format.h"
#include "runtime/context.h"
#include "support/places.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/tool.h"

#include <ggml-backend.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace apreqel {
namespace {

using Catch::Matchers::WithinRel;
namespace fs = std::filesystem;

/// A program that runs beside the test, its output in a file. It ends with the object.
class Process {
public:
    Process(std::vector<std::string> command, const fs::path& output) : id_(::fork())
    {
        if (id_ > 0) return;
        std::vector<char*> arguments;
        for (std::string& argument : command) arguments.push_back(argument.data());
        arguments.push_back(nullptr);
        const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ::dup2(file, STDOUT_FILENO);
        ::dup2(file, STDERR_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process()
    {
        if (id_ > 0) end();
    }

    [[nodiscard]] bool has_ended()
    {
        if (id_ > 0 && ::waitpid(id_, &status_, WNOHANG) == id_) id_ = 0;
        return id_ == 0;
    }
    int wait()
    {
        if (id_ > 0) ::waitpid(id_, &status_, 0);
        id_ = 0;
        return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    }
    void end()
    {
        ::kill(id_, SIGKILL);
        wait();
    }

private:
    pid_t id_;
    int status_ = 0;
};

/// A socket that listens on a port of its own, and never answers.
class Listener {
public:
    Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
        socklen_t size = sizeof address;
        REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(socket_, 4) == 0);
        REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port = std::to_string(ntohs(address.sin_port));
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() { ::close(socket_); }

    std::string port;

private:
    int socket_;
};

/// Where the server is, or nothing.
std::string server_program()
{
    std::error_code ignored;
    for (const auto& folder : fs::directory_iterator("/usr/libexec", ignored)) {
        const auto program = folder.path() / "llama/bin/ggml-rpc-server";
        if (fs::exists(program, ignored)) return program;
    }
    return "";
}

bool have_backend()
{
    start_backend();
    return ggml_backend_reg_by_name("RPC") != nullptr;
}

/// ggml-rpc-server on this machine, ready to serve.
class Server {
public:
    explicit Server(const fs::path& folder, std::string port = Listener().port)
        : endpoint("127.0.0.1:" + port),
          process_({server_program(), "-H", "127.0.0.1", "-p", port, "-t", "1"}, folder / ("server-" + port))
    {
        while (unreachable(endpoint, std::chrono::seconds(1))) {
            REQUIRE(!process_.has_ended());
            std::this_thread::yield();
        }
    }
    void end() { process_.end(); }

    std::string endpoint;

private:
    Process process_;
};

/// A folder with a tiny model and a text, and the program in it.
struct Place {
    explicit Place(std::int64_t blocks = 4)
    {
        model = make_tiny_model(folder.path(), {.blocks = blocks, .type = 0, .file = "m.gguf"});
        std::string words;
        for (int i = 0; i < 800; ++i) words += std::format("word {} ", i * i);
        REQUIRE(write_text(folder / "text.txt", words));
        REQUIRE(write_text(folder / "prompts.txt", "some words\nand others\n"));
    }

    /// `arguments` after the verb and the model.
    [[nodiscard]] std::vector<std::string> command(const std::string& verb, const std::vector<std::string>& arguments) const
    {
        std::vector<std::string> all{APREQEL_PROGRAM, verb, model.string()};
        all.append_range(arguments);
        return all;
    }
    int run(const std::string& verb, const std::vector<std::string>& arguments)
    {
        return Process(command(verb, arguments), folder / "out").wait();
    }
    [[nodiscard]] std::string out() const { return read_text(folder / "out").value(); }
    [[nodiscard]] std::string in(const std::string& name) const { return (folder / name).string(); }

    TempDir folder;
    fs::path model;
};

#define APREQEL_NEEDS_RPC()                                                 \
    if (server_program().empty()) SKIP("ggml-rpc-server is not installed"); \
    if (!have_backend()) SKIP("libggml's RPC backend is not installed")

TEST_CASE("a server that cannot be reached is named, and nothing is begun", "[cli]")
{
    Place place(1);
    std::string nobody = "127.0.0.1:" + Listener().port;
    const auto refusal = [&](const std::string& servers) {
        const int code = place.run("score", {"--prompts", place.in("prompts.txt"), "--rpc", servers});
        CHECK(place.out().starts_with("apreqel: error: "));
        CHECK(!fs::exists(place.model.string() + ".apreqel"));
        return std::pair(code, place.out());
    };
    const auto [code, said] = refusal(nobody);
    CHECK(code == 1);
    CHECK(said.contains("connect to RPC server " + nobody + ": Connection refused"));
    CHECK(said.contains("hint: start ggml-rpc-server there"));
    for (const char* wrong : {"nonsense", "host:", ":50052", "host:0", "host:65536", "host:1:2", "host:port"}) {
        const auto [usage, message] = refusal(wrong);
        CHECK(usage == 2);
        CHECK(message.contains(std::format("RPC server {}: it must be HOST:PORT", wrong)));
    }
}

TEST_CASE("what libggml says when it aborts is no server's fault where there is none", "[runtime]")
{
    CHECK(abort_error("/x/ggml-rpc.cpp:1: gone").message == "libggml stopped: /x/ggml-rpc.cpp:1: gone");
}

TEST_CASE("one who listens and does not answer is told from a server", "[cli][slow]")
{
    APREQEL_NEEDS_RPC();
    Place place(1);
    const Listener silent;
    CHECK(place.run("score", {"--prompts", place.in("prompts.txt"), "--rpc", "127.0.0.1:" + silent.port}) == 1);
    CHECK(place.out().contains("connect to RPC server 127.0.0.1:" + silent.port + ": it does not answer"));
}

TEST_CASE("everything that runs a model runs it on two servers, and finds what this machine finds", "[cli][slow]")
{
    APREQEL_NEEDS_RPC();
    Place place;
    const Server one(place.folder.path());
    const Server two(place.folder.path());
    const std::vector<std::string> servers{"--rpc", one.endpoint + "," + two.endpoint};
    const auto run = [&](const std::string& verb, std::vector<std::string> arguments, bool remote) {
        arguments.append_range(std::vector<std::string>{"--threads", "1"});
        if (remote) arguments.append_range(servers);
        const int code = place.run(verb, arguments);
        INFO(place.out());
        CHECK(code == 0);
    };
    const std::vector<std::string> sensing{"--calibration", place.in("text.txt"), "--types", "q3_K,q4_K"};
    std::vector<Sensitivity> sensed;
    std::vector<Scores> scores;
    for (const bool remote : {false, true}) {
        run("score", {"--prompts", place.in("prompts.txt")}, remote);
        scores.push_back(read_scores(place.model.string() + ".apreqel/scores.json").value());
        run("sense", sensing, remote);
        sensed.push_back(read_sensitivity(place.model.string() + ".apreqel/sensitivity.json").value());
    }
    for (std::size_t l = 0; l < scores[0].layers.size(); ++l)
        CHECK_THAT(scores[1].layers[l].mean_similarity, WithinRel(scores[0].layers[l].mean_similarity, 1e-3));
    for (std::size_t g = 0; g < sensed[0].groups.size(); ++g)
        CHECK_THAT(sensed[1].groups[g].probes[0].kld, WithinRel(sensed[0].groups[g].probes[0].kld, 0.02));
    run("imatrix", {"--calibration", place.in("text.txt"), "--context", "64", "-o", place.in("imatrix.gguf")}, true);
    run("measure", {"--text", place.in("text.txt"), "--context", "64", "-r", "1", "--generate", "2", "--prompt-tokens", "4"},
        true);
    CHECK(place.out().contains(one.endpoint + " + " + two.endpoint));
    CHECK(place.run("inspect", {"-o", place.in("shape.json")}) == 0);
    place.model = place.folder / "shape.json";
    run("bench", {"-o", place.in("latency.json"), "--types", "q4_0,q4_K,q8_0,iq4_nl", "-r", "1", "--generate", "2"}, true);
    CHECK(!place.out().contains("left out"));  // every product is right there too
    CHECK(read_device_profile(place.folder / "latency.json")->device.contains(two.endpoint));
}

TEST_CASE("layers on accelerators are those that libllama puts there", "[study][slow]")
{
    APREQEL_NEEDS_RPC();
    TempDir folder;
    const Server server(folder.path());
    const auto untied = make_tiny_model(folder.path(), {.blocks = 4, .type = 0, .file = "m.gguf"});
    const auto tied = make_tiny_model(folder.path(), {.blocks = 4, .type = 0, .tied = true, .file = "tied.gguf"});
    // A server that has just begun still closes the connection that found it ready, and has no room for many that wait.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    REQUIRE(add_servers({server.endpoint}));
    compare_places(untied, {.threads = 1});
    compare_places(tied, {.threads = 1});
}

TEST_CASE("with a limit for each place it is chosen what is on accelerators, and the command says it", "[cli][slow]")
{
    APREQEL_NEEDS_RPC();
    Place place;
    const Server server(place.folder.path());
    const auto run = [&](const std::string& limits) {
        return place.run("run", {"--max-memory",
                                 limits,
                                 "--text",
                                 place.in("text.txt"),
                                 "--calibration",
                                 place.in("text.txt"),
                                 "--types",
                                 "q4_0,q8_0",
                                 "--imatrix",
                                 "none",
                                 "--rounding",
                                 "nearest",
                                 "--context",
                                 "64",
                                 "--kv-context",
                                 "64",
                                 "-r",
                                 "1",
                                 "--generate",
                                 "4",
                                 "--threads",
                                 "1",
                                 "--rpc",
                                 server.endpoint,
                                 "-o",
                                 place.in("mixed.gguf"),
                                 "--force"});
    };
    // The smallest mix does not fit into main memory beside its context.
    constexpr std::uint64_t kGpu = 3500 << 10;
    constexpr std::uint64_t kMain = 1600 << 10;
    REQUIRE(run(std::format("gpu={},cpu={}", kGpu, kMain)) == 0);
    INFO(place.out());
    const auto result = read_run(place.model.string() + ".apreqel/run.json");
    REQUIRE(result);
    REQUIRE(result->plan.gpu_layers);
    REQUIRE(result->mix.placed);
    CHECK(*result->plan.gpu_layers > 0);
    const auto profile = read_profile(place.model.string() + ".apreqel/profile.json");
    REQUIRE(profile);
    REQUIRE(profile->device.offload);
    CHECK(profile->device.offload->layers == result->plan.gpu_layers);
    const ContextMemory& context = result->plan.request.limits.context;
    CHECK(context.gpu_cache_bytes > 0);
    CHECK(context.gpu_buffer_bytes > 0);
    CHECK(result->mix.placed->gpu_bytes + context.gpu_bytes() <= kGpu);
    CHECK(result->mix.placed->main_bytes + context.bytes() - context.gpu_bytes() <= kMain);
    CHECK(place.out().contains(std::format("--rpc {} -ngl {}", server.endpoint, *result->plan.gpu_layers)));
    CHECK(run("gpu=1,cpu=1") == 3);
    CHECK(place.out().contains("no mix of these types keeps the limits"));
    CHECK(run("cpu=1GiB") == 2);
    // None is here without a server.
    CHECK(place.run("run", {"--max-memory", "gpu=1GiB", "-o", place.in("other.gguf")}) == 2);
    CHECK(place.out().contains("finds none that it may use"));
}

TEST_CASE("a server that is lost is an error, and the same command goes on to the same result", "[cli][slow]")
{
    APREQEL_NEEDS_RPC();
    Place place;
    const Server one(place.folder.path());
    Server two(place.folder.path());
    const auto sensing = [&](const std::string& workspace) {
        return std::vector<std::string>{"--threads",
                                        "1",
                                        "--calibration",
                                        place.in("text.txt"),
                                        "--context",
                                        "64",
                                        "--thorough",
                                        "--probe-chunks",
                                        "2",
                                        "--types",
                                        "q3_K,q4_K,q5_K",
                                        "-C",
                                        place.in(workspace),
                                        "--rpc",
                                        one.endpoint,
                                        "--rpc",
                                        two.endpoint};
    };
    CHECK(place.run("sense", sensing("whole")) == 0);
    {
        Process job(place.command("sense", sensing("lost")), place.folder / "out");
        // Each probe is written when it is made.
        while (!job.has_ended() && (!fs::exists(place.folder / "lost/sense") || fs::is_empty(place.folder / "lost/sense")))
            std::this_thread::yield();
        two.end();
        CHECK(job.wait() == 1);
    }
    INFO(place.out());
    CHECK(place.out().contains("apreqel: error: run on RPC server " + two.endpoint + ": it was lost"));
    CHECK(place.out().contains("hint: start it again and repeat the command"));
    CHECK(!fs::exists(place.folder / "lost/sensitivity.json"));
    const Server again(place.folder.path(), two.endpoint.substr(two.endpoint.find(':') + 1));
    CHECK(place.run("sense", sensing("lost")) == 0);
    CHECK(read_text(place.folder / "lost/sensitivity.json") == read_text(place.folder / "whole/sensitivity.json").value());
}

}  // namespace
}  // namespace apreqel
