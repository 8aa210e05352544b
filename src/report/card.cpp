#include "report/card.h"

#include "base/printable.h"
#include "report/table.h"

#include <algorithm>
#include <format>
#include <map>
#include <ranges>

namespace apreqel {
namespace {

bool is_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// A text of somebody else's inside a line of Markdown, where it means nothing but itself: no markup, HTML, link or column. Any
/// punctuation may have a backslash (https://spec.commonmark.org/0.31.2/#backslash-escapes).
std::string markdown(std::string_view text)
{
    std::string safe;
    const std::string line = printable_line(text);
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool address =
            (line[i] == ':' && line.substr(i + 1, 1) == "/") || std::string_view(line).substr(0, i + 1).ends_with("www.");
        if (address || std::string_view("\\`*_{}[]<>#|~&!@$").contains(line[i])) safe += '\\';
        safe += line[i];
    }
    return safe;
}

/// The same as a value in YAML.
std::string yaml(std::string_view text)
{
    std::string safe = "\"";
    for (const char c : printable_line(text)) {
        if (c == '"' || c == '\\') safe += '\\';
        safe += c;
    }
    return safe + '"';
}

/// What Hugging Face takes for the identifier of a licence, or a language: it refuses a card with anything else.
bool is_identifier(std::string_view text)
{
    return !text.empty() && text.size() < 64 &&
           std::ranges::all_of(text, [](char c) { return is_word(c) || c == '-' || c == '.' || c == '+'; });
}

std::string lower(std::string text)
{
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::string yaml_list(std::string_view key, const std::vector<std::string>& values)
{
    if (values.empty()) return "";
    std::string text = std::format("{}:\n", key);
    for (const std::string& value : values) text += std::format("  - {}\n", yaml(value));
    return text;
}

/// https://huggingface.co/docs/hub/model-cards#model-card-metadata
std::string front_matter(const Card& card)
{
    std::string text = "---\n";
    // What was quantized; where that is not known, what it was made from, which is another relation.
    if (!card.repository.empty())
        text += yaml_list("base_model", {card.repository}) + "base_model_relation: quantized\n";
    else
        text += yaml_list("base_model", card.base_models);
    const std::string license = lower(card.license);
    if (is_identifier(license)) {
        text += std::format("license: {}\n", yaml(license));
        if (!card.license_name.empty()) text += std::format("license_name: {}\n", yaml(card.license_name));
        if (!card.license_link.empty()) text += std::format("license_link: {}\n", yaml(card.license_link));
    }
    std::vector<std::string> languages = card.languages;
    std::erase_if(languages, [](const std::string& language) { return !is_identifier(language); });
    text += yaml_list("language", languages);
    text += "pipeline_tag: text-generation\nquantized_by: apreqel\n";
    std::vector<std::string> tags{"gguf", "mixed-precision", "apreqel"};
    if (!card.importance.empty()) tags.emplace_back("imatrix");
    if (card.has_chat_template) tags.emplace_back("conversational");
    return text + yaml_list("tags", tags) + "---\n\n";
}

/// The cells are Markdown already; all columns but the first are aligned as `others`.
std::string markdown_table(const std::vector<std::vector<std::string>>& rows, std::string_view others)
{
    std::string text;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (const std::string& cell : rows[r]) text += std::format("| {} ", cell);
        text += "|\n";
        if (r > 0) continue;
        for (std::size_t c = 0; c < rows[r].size(); ++c) text += c == 0 ? std::string_view("|---") : others;
        text += "|\n";
    }
    return text;
}

std::string measured_section(const CardMeasurements& measured)
{
    std::vector<std::vector<std::string>> rows{measurement_header("model")};
    for (const Measurement& model : measured.models) {
        std::vector<std::string> row = measurement_row(model);
        for (std::string& cell : row) cell = markdown(cell);
        if (model.name == measured.mix) row.front() = std::format("**{}**", row.front());
        rows.push_back(std::move(row));
    }
    std::string text =
        std::format("\n## Measured\n\nIn one session on {}. Text: {}.\n\n", markdown(measured.device), markdown(measured.text));
    text += markdown_table(rows, "|---:");
    text +=
        "\nMemory is that of all tensors, and of the KV cache where its types are named. Perplexity and KL divergence (to the "
        "full-precision model, nats per token) are "
        "llama-perplexity's, with their standard errors; ms/token is the median of interleaved rounds of generation, with its "
        "interval and the coverage of that. They hold for this device and this text.\n";
    if (!measured.because.empty()) text += std::format("\nChosen: {}.\n", markdown(measured.because));
    return text;
}

/// "0–5, 7".
std::string blocks_of(const LayoutRun& run)
{
    return run.first == run.last ? std::to_string(run.first) : std::format("{}–{}", run.first, run.last);
}

std::string types_section(const Card& card)
{
    std::vector<std::string> roles;
    std::map<std::string, std::string> types;
    for (const LayoutRun& run : runs_of(card.allocation)) {
        if (!types.contains(run.role)) roles.push_back(run.role);
        std::string& cell = types[run.role];
        cell += std::format("{}{}: {}", cell.empty() ? "" : "; ", blocks_of(run), run.type);
    }
    std::vector<std::vector<std::string>> rows{{"tensors", "type by block"}};
    for (const std::string& role : roles) rows.push_back({markdown(role), markdown(types[role])});
    const auto chosen = std::ranges::find(card.allocation, kEmbedding, &GroupType::group);
    const std::string embedding = chosen != card.allocation.end() ? chosen->type : card.embedding_type;
    if (!embedding.empty()) rows.push_back({"embedding and output", markdown(embedding)});
    std::string text = "\n## Types\n\n" + markdown_table(rows, "|---");
    if (!card.importance.empty())
        text += std::format("\n`+imatrix`: with the importance matrix {}.\n", markdown(card.importance));
    if (!card.calibration.empty())
        text += std::format("\n`+gptq`: rounded with error feedback (GPTQ) on inputs of the model's layers, {}.\n",
                            markdown(card.calibration));
    if (!card.fallbacks.empty()) text += "\n";
    for (const auto line : std::views::split(format_fallbacks(card.fallbacks), '\n'))
        if (!line.empty()) text += std::format("- {}\n", markdown(std::string_view(line)));
    return text;
}

std::string commands(const std::vector<std::string>& lines)
{
    std::string text = "```sh\n";
    for (const std::string& line : lines) text += printable_line(line) + "\n";
    return text + "```\n";
}

}  // namespace

std::string shell_word(std::string_view argument)
{
    const auto plain = [](char c) { return is_word(c) || std::string_view("@%+=:,./_-").contains(c); };
    if (!argument.empty() && std::ranges::all_of(argument, plain)) return std::string(argument);
    std::string quoted = "'";
    for (const char c : argument) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string format_card(const Card& card)
{
    std::string text = front_matter(card);
    text += std::format("# {}, {:.2f} bits per weight\n\n", markdown(card.model), card.bits_per_weight);
    text += std::format(
        "`{}` is {} ({}, {} weights) as a GGUF of {}, in which every layer has a quantization type of its own. It runs in "
        "stock "
        "llama.cpp and in what is built on it. Made by {}.\n",
        printable_line(card.file).contains('`') ? "The file" : printable_line(card.file), markdown(card.model),
        markdown(card.architecture), format_count(static_cast<double>(card.parameters)),
        format_bytes(static_cast<double>(card.file_bytes)), markdown(card.version));
    if (card.measured) text += measured_section(*card.measured);
    text += types_section(card);
    const std::string file = shell_word(card.file);
    const std::string cache = card.cache ? std::format(" -c {} -ctk {} -ctv {}", card.context,
                                                       shell_word(card.cache->types.keys), shell_word(card.cache->types.values))
                                         : "";
    std::vector<std::string> use{"llama-cli -m " + file + cache,
                                 "llama-server -m " + file + cache + (card.cache ? " -np 1" : "")};
    if (!card.modelfile.empty())
        use.push_back(std::format("ollama create {} -f {}", shell_word(card.file.substr(0, card.file.rfind('.'))),
                                  shell_word(card.modelfile)));
    text += "\n## Use\n\n" + commands(use);
    if (card.command.empty()) return text;
    std::string made;
    for (const std::string& argument : card.command) made += (made.empty() ? "" : " ") + shell_word(argument);
    return text + "\n## How it was made\n\n" + commands({made});
}

Result<std::string> format_modelfile(std::string_view path, bool has_chat_template)
{
    // A Modelfile's FROM is the rest of its line; a quote at its beginning would need one at its end.
    if (!is_printable(path) || path.contains('"') || path.starts_with(' ') || path.ends_with(' '))
        return fail("write the Modelfile: {}: a Modelfile cannot name such a file", escaped(path));
    std::string text = std::format("FROM {}{}\n", path.starts_with("../") || path.starts_with('/') ? "" : "./", path);
    // Ollama takes the chat template of the GGUF. Where there is none the model goes on with what it is given.
    if (!has_chat_template)
        text += "# The model has no chat template: it completes text.\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n";
    return text;
}

}  // namespace apreqel
