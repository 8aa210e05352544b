// Watches what libllama multiplies weights with.
#pragma once

#include "base/monitor.h"
#include "runtime/session.h"

#include <ggml.h>

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace apreqel {

/// The name of the tensor that `name` is, or is a copy of: where a weight lies on another device than the operation, libggml
/// computes with a copy named "CUDA0#blk.3.attn_q.weight#0".
[[nodiscard]] std::string_view name_of_original(std::string_view name);

/// Told of every multiplication with one of the weights it watches, while a graph is evaluated.
///
/// libggml shows a multiplication once it is done, when its inputs are still intact: their memory is free for others only
/// after it.
class InputObserver {
public:
    InputObserver() = default;
    InputObserver(const InputObserver&) = delete;
    InputObserver& operator=(const InputObserver&) = delete;
    virtual ~InputObserver() = default;

    /// Whether `node` is such a multiplication; `shown`: it is done, and added.
    bool visit(const ggml_tensor& node, bool shown);

protected:
    /// `tensor` is watched from now on, and is called `number`.
    void watch(const std::string& tensor, std::size_t number) { numbers_.emplace(tensor, number); }

    /// Whether `weight` is the tensor that is watched, and not a part of it.
    [[nodiscard]] virtual bool is_whole(std::size_t number, const ggml_tensor& weight) const = 0;
    virtual void add(std::size_t number, const ggml_tensor& node) = 0;

    /// Everything between the first and the last byte of `tensor`, wherever it is: its rows may lie apart, or overlap.
    template <typename T>
    static void read(const ggml_tensor& tensor, std::vector<T>& elements)
    {
        elements.resize(ggml_nbytes(&tensor) / sizeof(T));
        read_bytes(tensor, elements.data());
    }

    /// Place of an element among what `read` gives; elements are 4 bytes.
    [[nodiscard]] static std::size_t element(const ggml_tensor& tensor, std::int64_t i0, std::int64_t i1, std::int64_t i2 = 0,
                                             std::int64_t i3 = 0);

private:
    static void read_bytes(const ggml_tensor& tensor, void* to);
    [[nodiscard]] bool find(const ggml_tensor& node, std::size_t& number) const;

    std::map<std::string, std::size_t, std::less<>> numbers_;
};

/// Runs `chunks` chunks of `context` tokens, the first token of each replaced by BOS, under the eyes of `observers`. Every token is
/// output, as the last block only keeps the rows of outputs. `step` is what the monitor is told.
[[nodiscard]] Result<> run_observed(const LoadedModel& model, std::span<const Token> tokens, std::size_t context,
                                    std::size_t chunks, std::vector<InputObserver*> observers, std::string_view step,
                                    Monitor& monitor);

}  // namespace apreqel
