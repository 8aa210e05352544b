// What libllama and libggml say while a call runs, kept off the terminal so that it can become the cause of an error.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace apreqel {

/// Captures the log of libllama and libggml from construction to destruction, then puts back what was there. Their log
/// callbacks are global to the process: captures nest, but only the innermost one receives.
class LogCapture {
public:
    LogCapture();
    ~LogCapture();
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;

    /// The first line logged as an error, as those after it only say that the call failed; else the last warning, without the function name libllama puts before it.
    [[nodiscard]] std::string first_error() const;

    /// The lines that are neither, such as sizes, without the function name.
    [[nodiscard]] std::vector<std::string> reports() const;

private:
    static void receive(int level, const char* text, void* capture);

    struct Callbacks;
    mutable std::mutex mutex_;
    std::string error_;
    std::string warning_;
    std::vector<std::string> reports_;
    std::unique_ptr<Callbacks> previous_;
};

}  // namespace apreqel
