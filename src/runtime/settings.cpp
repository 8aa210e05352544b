#include "runtime/settings.h"

#include <algorithm>

namespace apreqel {

Result<std::size_t> count_chunks(std::size_t tokens, const QualitySettings& settings)
{
    if (settings.context < 8)
        return usage_error("measure: a context of {} tokens is too short, at least 8 are needed", settings.context);
    if (tokens < 2 * settings.context) {
        return usage_error("measure: the text has {} tokens, at least {} are needed (two contexts of {})", tokens,
                           2 * settings.context, settings.context);
    }
    const std::size_t available = tokens / settings.context;
    return settings.chunks == 0 ? available : std::min(settings.chunks, available);
}

}  // namespace apreqel
