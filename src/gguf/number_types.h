// The number types of GGUF as C++ types.
#pragma once

#include <gguf.h>

#include <cstdint>

namespace apreqel {

/// Calls `f` with a value of the C++ type that holds a gguf_type; a boolean is a byte. False: it is no type of numbers.
template <typename F>
bool with_number_type(int type, F f)
{
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_BOOL: f(std::uint8_t{}); return true;
        case GGUF_TYPE_INT8: f(std::int8_t{}); return true;
        case GGUF_TYPE_UINT16: f(std::uint16_t{}); return true;
        case GGUF_TYPE_INT16: f(std::int16_t{}); return true;
        case GGUF_TYPE_UINT32: f(std::uint32_t{}); return true;
        case GGUF_TYPE_INT32: f(std::int32_t{}); return true;
        case GGUF_TYPE_FLOAT32: f(float{}); return true;
        case GGUF_TYPE_UINT64: f(std::uint64_t{}); return true;
        case GGUF_TYPE_INT64: f(std::int64_t{}); return true;
        case GGUF_TYPE_FLOAT64: f(double{}); return true;
        default: return false;
    }
}

}  // namespace apreqel
