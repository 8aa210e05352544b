#include "cli/command.h"

#include "base/joined.h"

#include <format>
#include <string_view>

namespace apreqel {
namespace {

/// In single quotes, unless no shell would mind.
std::string quoted(const std::string& text)
{
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:";
    if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
    std::string safe = "'";
    for (const char c : text) safe += c == '\'' ? "'\\''" : std::string(1, c);
    return safe + "'";
}

std::string overrides_of(const RunSettings& settings)
{
    std::string text;
    for (const auto& [pattern, buffer] : settings.overrides)
        text += std::format("{}{}={}", text.empty() ? "" : ",", pattern, buffer);
    return text;
}

}  // namespace

std::string llama_command(const std::filesystem::path& model, const RunSettings& settings, std::uint64_t context,
                          std::span<const std::string> servers)
{
    const RunSettings usual;
    std::string command = context > 0 ? "llama-server" : "llama-cli";
    const auto add = [&](bool given, std::string_view flag, const std::string& value) {
        if (given) command += std::format(" {} {}", flag, quoted(value));
    };
    add(true, "-m", model.string());
    add(context > 0, "-c", std::to_string(context));
    add(context > 0, "-np", "1");  // or llama-server has several sequences, each with a part of it
    add(settings.cache.keys != usual.cache.keys, "-ctk", settings.cache.keys);
    add(settings.cache.values != usual.cache.values, "-ctv", settings.cache.values);
    add(settings.threads > 0, "-t", std::to_string(settings.threads));
    add(!servers.empty(), "--rpc", joined(servers, ","));
    add(settings.gpu_layers >= 0, "-ngl", std::to_string(settings.gpu_layers));
    add(!settings.devices.empty(), "-dev", joined(settings.devices, ","));
    add(settings.split_mode != usual.split_mode, "-sm", settings.split_mode);
    add(!settings.overrides.empty(), "-ot", overrides_of(settings));
    if (!settings.offload_cache) command += " -nkvo";
    return command;
}

}  // namespace apreqel
