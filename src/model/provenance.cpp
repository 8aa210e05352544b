#include "model/provenance.h"

#include "gguf/container.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace apreqel {
namespace {

bool is_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// "OWNER/NAME" of "https://huggingface.co/OWNER/NAME"; empty: it is no address of a repository there.
std::string repository_of(std::string_view address)
{
    constexpr std::string_view kHost = "https://huggingface.co/";
    if (!address.starts_with(kHost)) return "";
    address.remove_prefix(kHost.size());
    if (address.ends_with('/')) address.remove_suffix(1);
    const bool plain = std::ranges::all_of(address, [](char c) { return is_word(c) || std::string_view("._-/").contains(c); });
    const std::size_t slash = address.find('/');
    const bool two = slash != std::string_view::npos && slash > 0 && slash + 1 < address.size() && slash == address.rfind('/');
    return plain && two ? std::string(address) : "";
}

std::string first_repository(const Container& container, std::initializer_list<std::string_view> keys)
{
    for (const std::string_view key : keys) {
        if (std::string repository = repository_of(container.text(key).value_or("")); !repository.empty()) return repository;
    }
    return "";
}

/// With - for whatever a file's name should not have, once, and not at its ends.
std::string plain_name(std::string_view text)
{
    constexpr std::size_t kMost = 100;
    std::string name;
    for (const char c : text) {
        if (is_word(c) || c == '_' || c == '.')
            name += c;
        else if (!name.ends_with('-'))
            name += '-';
        if (name.size() == kMost) break;
    }
    const auto keep = [](char c) { return c != '-' && c != '.'; };
    const auto first = std::ranges::find_if(name, keep);
    name.erase(name.begin(), first);
    while (!name.empty() && !keep(name.back())) name.pop_back();
    return name;
}

/// Without a full-precision type at its end: "model-f16" is "model".
std::string without_type(const std::string& name)
{
    for (const std::string_view type : {"f16", "bf16", "f32", "fp16", "fp32"}) {
        if (name.size() <= type.size() + 1) continue;
        const std::string_view end = std::string_view(name).substr(name.size() - type.size());
        const bool same = std::ranges::equal(end, type, [](char a, char b) { return std::tolower(a) == b; });
        const char before = name[name.size() - type.size() - 1];
        if (same && !is_word(before)) return plain_name(name.substr(0, name.size() - type.size() - 1));
    }
    return name;
}

}  // namespace

Result<Provenance> read_provenance(const std::filesystem::path& path)
{
    const auto file = InputFile::open(path);
    if (!file) return std::unexpected(file.error());
    const auto container = Container::read(*file);
    if (!container) return std::unexpected(container.error());
    const auto text = [&](std::string_view key) { return container->text(key).value_or(""); };
    Provenance found{.name = text("general.name"),
                     .basename = text("general.basename"),
                     .finetune = text("general.finetune"),
                     .version = text("general.version"),
                     .size_label = text("general.size_label"),
                     .license = text("general.license"),
                     .license_name = text("general.license.name"),
                     .license_link = text("general.license.link"),
                     .repository = first_repository(
                         *container, {"general.repo_url", "general.url", "general.source.repo_url", "general.source.url"}),
                     .has_chat_template = !text("tokenizer.chat_template").empty()};
    constexpr std::uint64_t kMostBases = 16;
    const std::uint64_t bases = std::min(kMostBases, container->natural("general.base_model.count").value_or(0));
    for (std::uint64_t b = 0; b < bases; ++b) {
        std::string repository = repository_of(text(std::format("general.base_model.{}.repo_url", b)));
        if (!repository.empty()) found.base_repositories.push_back(std::move(repository));
    }
    const MetadataEntry* languages = container->find("general.languages");
    if (languages != nullptr && languages->is_list_of("str"))
        for (const std::string_view language : container->texts(*languages)) found.languages.emplace_back(language);
    return found;
}

std::string file_stem_of(const Provenance& provenance, const std::filesystem::path& path)
{
    std::string name;
    if (!provenance.basename.empty()) {
        for (const auto& part : {provenance.basename, provenance.size_label, provenance.finetune, provenance.version}) {
            const std::string plain = plain_name(part);
            if (!plain.empty()) name += (name.empty() ? "" : "-") + plain;
        }
    }
    for (const std::string& other : {provenance.name, path.stem().string(), std::string("model")})
        if (name.empty()) name = without_type(plain_name(other));
    return name;
}

}  // namespace apreqel
