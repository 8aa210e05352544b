#include "runtime/rpc.h"

#include "base/joined.h"
#include "runtime/context.h"

#include <ggml-backend.h>
#include <ggml-rpc.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace apreqel {
namespace {

/// How long a server may take to accept a connection, to answer, and, once it is lost, to refuse one.
constexpr std::chrono::milliseconds kConnecting{3000};
constexpr std::chrono::milliseconds kAnswering{5000};
constexpr std::chrono::milliseconds kLost{300};
constexpr int kTries = 10;

/// Those that were added, or are about to be. Written before libggml knows of them.
std::vector<std::string> servers;
bool is_connecting = false;

using AddServer = ggml_backend_reg_t (*)(const char* endpoint);

/// libggml reads the host up to the first colon.
bool is_endpoint(std::string_view text)
{
    const std::size_t colon = text.find(':');
    if (colon == 0 || colon == std::string_view::npos) return false;
    unsigned port = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    return error == std::errc() && rest == end && port > 0 && port <= 65535;
}

/// Of an endpoint, as libggml looks it up. The error is the cause.
std::expected<sockaddr_in, std::string> resolve(const std::string& endpoint)
{
    const std::size_t colon = endpoint.find(':');
    const addrinfo wanted{.ai_flags = 0, .ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(endpoint.substr(0, colon).c_str(), endpoint.substr(colon + 1).c_str(), &wanted, &found);
    if (status != 0) return std::unexpected(::gai_strerror(status));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    sockaddr_in address{};
    std::memcpy(&address, found->ai_addr, sizeof address);
    return address;
}

/// A machine that loses its power or its cable closes no connection: the kernel gives up after a few unanswered seconds if it is
/// told to. A server that computes answers the kernel's questions all the while.
void guard(int socket)
{
    const auto set = [&](int level, int option, int value) {
        static_cast<void>(::setsockopt(socket, level, option, &value, sizeof value));
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, 2);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
}

/// libggml does not show its sockets: they are found by whom they are connected to, every second, as it makes new ones for each
/// model.
void guard_connections(const std::stop_token& stop, const std::vector<sockaddr_in>& peers)
{
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry("/proc/self/fd", ignored), end; !ignored && entry != end;
             entry.increment(ignored)) {
            sockaddr_in peer{};
            socklen_t size = sizeof peer;
            const int descriptor = std::atoi(entry->path().filename().c_str());
            if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET)
                continue;
            if (std::ranges::any_of(peers, [&](const sockaddr_in& server) {
                    return server.sin_addr.s_addr == peer.sin_addr.s_addr && server.sin_port == peer.sin_port;
                }))
                guard(descriptor);
        }
        never.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
    }
}

/// Those where nobody listens.
std::string lost_servers()
{
    std::vector<std::string> lost;
    for (const std::string& server : servers)
        if (unreachable(server, kLost)) lost.push_back(server);
    return joined(lost, ", ");
}

/// The registry of a server's devices; none: it did not answer in time. It answers one client after the other, and nothing but
/// the end of the process stops the waiting.
ggml_backend_reg_t ask(AddServer add_server, const std::string& endpoint)
{
    std::packaged_task<ggml_backend_reg_t()> task([=] { return add_server(endpoint.c_str()); });
    auto answer = task.get_future();
    std::thread(std::move(task)).detach();
    return answer.wait_for(kAnswering) == std::future_status::ready ? answer.get() : nullptr;
}

}  // namespace

std::optional<std::string> unreachable(const std::string& endpoint, std::chrono::milliseconds patience)
{
    const auto address = resolve(endpoint);
    if (!address) return address.error();
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return std::strerror(errno);
    int status = ::connect(socket, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 ? 0 : errno;
    if (status == EINPROGRESS) {
        pollfd waiting{.fd = socket, .events = POLLOUT, .revents = 0};
        socklen_t size = sizeof status;
        if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0)
            status = ETIMEDOUT;
        else if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &status, &size) != 0)
            status = errno;
    }
    ::close(socket);
    if (status == 0) return std::nullopt;
    return std::strerror(status);
}

Result<> add_servers(const std::vector<std::string>& endpoints)
{
    if (endpoints.empty()) return {};
    if (endpoints.size() > GGML_RPC_MAX_SERVERS)
        return usage_error("RPC servers: {} are given, libggml takes {}", endpoints.size(), GGML_RPC_MAX_SERVERS);
    std::vector<sockaddr_in> peers;
    for (const std::string& endpoint : endpoints) {
        if (!is_endpoint(endpoint)) return usage_error("RPC server {}: it must be HOST:PORT", endpoint);
        if (std::ranges::count(endpoints, endpoint) > 1) return usage_error("RPC server {}: it is given twice", endpoint);
        if (const auto cause = unreachable(endpoint, kConnecting))
            return std::unexpected(Error{ErrorCode::failed, std::format("connect to RPC server {}: {}", endpoint, *cause),
                                         "start ggml-rpc-server there, on an address that this machine reaches"});
        if (const auto address = resolve(endpoint)) peers.push_back(*address);
    }
    start_backend();
    ggml_backend_reg_t backend = ggml_backend_reg_by_name("RPC");
    void* const found =
        backend == nullptr ? nullptr : ggml_backend_reg_get_proc_address(backend, "ggml_backend_rpc_add_server");
    if (found == nullptr)
        return std::unexpected(Error{ErrorCode::failed, "connect to RPC servers: libggml has no RPC backend here",
                                     "install it; in Debian it is the package libggml0-backend-rpc"});
    servers = endpoints;
    is_connecting = true;
    for (const std::string& endpoint : endpoints) {
        ggml_backend_reg_t devices = ask(reinterpret_cast<AddServer>(found), endpoint);
        if (devices == nullptr)
            return std::unexpected(Error{ErrorCode::failed,
                                         std::format("connect to RPC server {}: it does not answer", endpoint),
                                         "it serves one client at a time: end the other, or start a second server"});
        ggml_backend_register(devices);
    }
    is_connecting = false;
    static const std::jthread guardian(guard_connections, std::move(peers));
    return {};
}

Error abort_error(std::string_view message)
{
    const std::size_t place = message.find(": ");
    const bool remote = !servers.empty() && place != std::string_view::npos && message.substr(0, place).contains("rpc");
    if (!remote) return {ErrorCode::failed, std::format("libggml stopped: {}", message)};
    std::string who = lost_servers();
    // A process that is killed closes its sockets one after the other.
    for (int waited = 0; who.empty() && !is_connecting && waited < kTries; ++waited) {
        std::this_thread::sleep_for(kLost / kTries);
        who = lost_servers();
    }
    if (who.empty()) who = joined(servers, " or ");
    const std::string_view said = message.substr(place + 2);
    if (is_connecting)
        return {ErrorCode::failed, std::format("connect to RPC server {}: {}", who, said),
                "it must be a ggml-rpc-server of the same version as libggml here"};
    return {ErrorCode::failed, std::format("run on RPC server {}: it was lost: {}", who, said),
            "start it again and repeat the command: what is finished is kept, and it goes on from there"};
}

}  // namespace apreqel
