// What can go wrong outside the program, and how a function says so.
#pragma once

#include <expected>
#include <format>
#include <string>
#include <utility>

namespace apreqel {

/// Why an operation did not succeed. The command line turns each into its exit code.
enum class ErrorCode {
    failed,       ///< input, output, format or backend (exit 1)
    usage,        ///< the request itself is wrong (exit 2)
    infeasible,   ///< no plan satisfies the limits (exit 3)
    interrupted,  ///< stopped by the user; finished work is kept (exit 130)
};

/// `message` reads "doing: object: what"; `hint` is the next step, or empty.
struct Error {
    ErrorCode code = ErrorCode::failed;
    std::string message;
    std::string hint = {};
};

template <typename T = void>
using Result = std::expected<T, Error>;

/// The error of an operation on the outside world: `return fail("{}: no such file", path);`
template <typename... Args>
[[nodiscard]] std::unexpected<Error> fail(std::format_string<Args...> format, Args&&... args)
{
    return std::unexpected(Error{ErrorCode::failed, std::format(format, std::forward<Args>(args)...)});
}

/// The error of a request that can never work as asked.
template <typename... Args>
[[nodiscard]] std::unexpected<Error> usage_error(std::format_string<Args...> format, Args&&... args)
{
    return std::unexpected(Error{ErrorCode::usage, std::format(format, std::forward<Args>(args)...)});
}

}  // namespace apreqel
