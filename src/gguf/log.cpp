#include "gguf/log.h"

#include <ggml.h>
#include <llama.h>

#include <string_view>

namespace apreqel {

struct LogCapture::Callbacks {
    ggml_log_callback llama = nullptr;
    void* llama_data = nullptr;
    ggml_log_callback ggml = nullptr;
    void* ggml_data = nullptr;
};

namespace {

std::string without_function(std::string_view line)
{
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
    const auto colon = line.find(": ");
    if (colon != line.npos && line.substr(0, colon).find(' ') == line.npos) line.remove_prefix(colon + 2);
    std::string printable(line);
    for (char& c : printable) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';  // a file's strings may be quoted in the log
    }
    return printable;
}

}  // namespace

LogCapture::LogCapture() : previous_(std::make_unique<Callbacks>())
{
    llama_log_get(&previous_->llama, &previous_->llama_data);
    ggml_log_get(&previous_->ggml, &previous_->ggml_data);
    // libllama hands its callback on to libggml.
    llama_log_set([](ggml_log_level level, const char* text, void* capture) { receive(level, text, capture); }, this);
}

LogCapture::~LogCapture()
{
    llama_log_set(previous_->llama, previous_->llama_data);
    ggml_log_set(previous_->ggml, previous_->ggml_data);
}

void LogCapture::receive(int level, const char* text, void* capture)
{
    auto& self = *static_cast<LogCapture*>(capture);
    const std::string line = without_function(text);
    if (line.empty()) return;
    const std::lock_guard lock(self.mutex_);
    if (level == GGML_LOG_LEVEL_ERROR && self.error_.empty()) self.error_ = line;
    if (level == GGML_LOG_LEVEL_WARN) self.warning_ = line;
    if (level == GGML_LOG_LEVEL_INFO) self.reports_.push_back(line);
}

std::vector<std::string> LogCapture::reports() const
{
    const std::lock_guard lock(mutex_);
    return reports_;
}

std::string LogCapture::first_error() const
{
    const std::lock_guard lock(mutex_);
    if (!error_.empty()) return error_;
    return warning_.empty() ? "no reason given" : warning_;
}

}  // namespace apreqel
