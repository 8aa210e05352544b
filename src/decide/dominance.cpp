#include <apreqel/costs.h>

#include <algorithm>

namespace apreqel {
namespace {

/// The least of each criterion as `less` orders.
Costs extreme(std::span<const Costs> points, bool (*less)(double, double))
{
    if (points.empty()) return {};
    Costs result = points.front();
    for (const Costs& point : points)
        for (std::size_t j = 0; j < result.size(); ++j)
            if (less(point[j], result[j])) result[j] = point[j];
    return result;
}

}  // namespace

bool dominates(std::span<const double> a, std::span<const double> b)
{
    bool better = false;
    for (std::size_t j = 0; j < a.size(); ++j) {
        if (!(a[j] <= b[j])) return false;
        better = better || a[j] < b[j];
    }
    return better;
}

std::vector<bool> non_dominated(std::span<const Costs> points)
{
    std::vector<bool> front;
    for (const Costs& point : points)
        front.push_back(std::ranges::none_of(points, [&](const Costs& other) { return dominates(other, point); }));
    return front;
}

Costs best_of(std::span<const Costs> points)
{
    return extreme(points, [](double a, double b) { return a < b; });
}

Costs worst_of(std::span<const Costs> points)
{
    return extreme(points, [](double a, double b) { return a > b; });
}

}  // namespace apreqel
